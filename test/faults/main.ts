/**
 * The fault campaign: every process killed and stopped, the link cut, ports, memory and disk taken away, the user's abort, in each phase of
 * a migration; an oracle outside the product decides. As root:
 *   node test/faults/main.ts [--runs N] [--resume FILE] [--only FAULT,PHASE] [--seed N] [--control-arm]
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { playControlArm } from './control-arm.ts';
import { playAll } from './campaign.ts';
import { combinations, leftOf, parseOnly, planRuns } from './plan.ts';
import { mendRecords, readRecords } from './record.ts';
import { judgeCampaign, limits, printSenseless, printTable } from './verdict.ts';

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: `${combinations().length * limits.timesMin}` },
    resume: { type: 'string' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
    'control-arm': { type: 'boolean', default: false },
  },
});

/** Exit code: 0 as promised, 1 not as promised, 2 not everything was played. */
async function playCampaign(): Promise<number> {
  const only = parseOnly(values.only);
  const runs = Number(values.runs);
  const seed = Number(values.seed);
  if (only === null || !Number.isInteger(runs) || runs < 1 || !Number.isInteger(seed)) {
    say(`--only takes FAULT,PHASE (either may be left out), --runs and --seed whole numbers`);
    return 2;
  }
  const file = values.resume ?? join(tmpdir(), `plimsoll-faults-${Date.now()}.jsonl`);
  if (values.resume !== undefined) await mendRecords(file);
  const played = values.resume === undefined ? [] : await readRecords(file);
  const left = leftOf(planRuns(runs, seed, only), played);
  say(`${left.length} runs to play, ${played.length} played before; each is kept in ${file}`);
  const stop = new AbortController();
  process.once('SIGINT', () => {
    say('stopping after this run; go on with --resume');
    stop.abort();
  });
  await playAll(left, file, say, stop.signal);
  const records = (await readRecords(file).catch(() => [])).filter(({ arm }) => arm === 'plimsoll');
  const { sentences, holds, isComplete } = judgeCampaign(records);
  say(`\n${printTable(records)}\n\n${printSenseless()}\n\n${sentences.join('\n')}`);
  say(holds ? `As promised${isComplete ? '' : ', as far as it was played'}.` : 'NOT as promised.');
  return holds ? (isComplete ? 0 : 2) : 1;
}

const missing = process.env['PLIMSOLL_LAB_MISSING'];
if (missing !== undefined) {
  say(`not run: ${missing}`);
  process.exitCode = 2;
} else {
  process.exitCode = values['control-arm'] ? await playControlArm(say) : await playCampaign();
}
