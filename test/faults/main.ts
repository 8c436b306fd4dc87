/**
 * The fault campaign: every process killed and stopped, the link cut, ports, memory and disk taken away, the user's abort, in each phase of
 * a migration; an oracle outside the product decides. As root: node test/faults/main.ts --help
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { processorTime, stolenPercent } from '#bench/stolen.ts';
import { controlArmRunsDefault, playControlArm } from './control-arm.ts';
import { playAll } from './campaign.ts';
import { combinations, faults, leftOf, parseOnly, phases, planRuns } from './plan.ts';
import { readRecords } from './record.ts';
import { judgeCampaign, limits, printSenseless, printTable } from './verdict.ts';

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string' },
    resume: { type: 'string' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
    labs: { type: 'string', default: '1' },
    'control-arm': { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const help = `Plays faults into migrations of a lab and judges from outside what became of the VM. As root.

  --runs N             how many (default: each of ${combinations().length} combinations ${limits.timesMin} times)
  --only FAULT,PHASE   one fault, one phase, or with both one combination: --only "link reset,switching", --only "abort", --only ",prepare"
  --resume FILE        plays what FILE (one line of JSON a run; made where it is not there) does not hold yet
  --seed N             another order (default: 1)
  --labs N             plays in so many labs side by side (default: 1; two want 8 GiB of memory, and are as fast as the processors allow)
  --control-arm        faults of the switch-over against a naive driver, which loses VMs, and the same with what it lacks;
                       --runs: interrupted migrations of each (default: ${controlArmRunsDefault})

Each run takes about 20 s and is kept as soon as it is over, so that Ctrl-C and --resume lose nothing.
Exit code: 0 as promised, 1 not as promised, 2 not everything was played.

Faults: ${faults.join(', ')}.
Phases: ${phases.join(', ')}.`;

/** Exit code: 0 as promised, 1 not as promised, 2 not everything was played. */
async function playCampaign(): Promise<number> {
  const only = parseOnly(values.only);
  const runs = Number(values.runs ?? combinations().length * limits.timesMin);
  const seed = Number(values.seed);
  const labs = Number(values.labs);
  if (only === null || !Number.isInteger(runs) || runs < 1 || !Number.isInteger(seed) || !Number.isInteger(labs) || labs < 1) {
    say('--only takes FAULT,PHASE (either may be left out), --runs, --labs and --seed whole numbers');
    return 2;
  }
  const file = values.resume ?? join(tmpdir(), `plimsoll-faults-${Date.now()}.jsonl`);
  const played = await readRecords(file);
  const left = leftOf(planRuns(runs, seed, only), played);
  say(`${left.length} runs to play, ${played.length} played before; each is kept in ${file}`);
  const stop = new AbortController();
  process.once('SIGINT', () => {
    say('stopping after the runs that are under way; go on with --resume');
    stop.abort();
  });
  const before = await processorTime();
  await playAll(left, { file, labs, say, signal: stop.signal });
  const stolen = stolenPercent(before, await processorTime());
  const records = await readRecords(file);
  const { sentences, holds, isComplete } = judgeCampaign(records);
  say(`\n${printTable(records)}\n\n${printSenseless()}\n\n${sentences.join('\n')}`);
  if (left.length > 0) say(`Other machines took ${stolen.toFixed(0)} % of the processors' time while these runs were played.`);
  say(holds ? `As promised${isComplete ? '' : ', as far as it was played'}.` : 'NOT as promised.');
  return holds ? (isComplete ? 0 : 2) : 1;
}

/** Exit code: 0 the naive driver loses VMs and the careful one none, 1 it is not so, 2 not everything was played. */
async function playNaively(): Promise<number> {
  const runs = Number(values.runs ?? controlArmRunsDefault);
  if (Number.isInteger(runs) && runs >= 1) return playControlArm(say, runs);
  say('--runs takes a whole number');
  return 2;
}

const missing = process.env['PLIMSOLL_LAB_MISSING'];
if (values.help) {
  say(help);
} else if (missing !== undefined) {
  say(`not run: ${missing}`);
  process.exitCode = 2;
} else {
  process.exitCode = values['control-arm'] ? await playNaively() : await playCampaign();
}
