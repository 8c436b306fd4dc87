/** The teeth of the simulator: plants bugs in the product, one at a time, and shows which schedule and which invariant catch each. */
import { parseArgs } from 'node:util';
import { bugs } from './bugs.ts';
import { bite, type Bite, playInnocent } from './run.ts';
import { schedulesToSearch } from './search.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    search: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '0' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const help = `Plants bugs in the product's code, in memory, and plays schedules until an invariant breaks.

  --only NAME   one of: ${bugs.map(({ name }) => name).join(', ')}
  --search      forgets which schedule catches which bug, and plays all that there are until one does
  --seeds N     with --search: the generated schedules 1 to N after those (default: 0)

Each bug is played in a process of its own; at the end the same schedules are played without any bug, and must break nothing.
Exit code: 0 all caught, 1 not all, 2 wrong options.`;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function tell({ bug, verdict, played, failure }: Bite): void {
  const codes = [...new Set(played?.breaches.map(({ code }) => code))].join(', ');
  say(`${verdict.padEnd(9)} ${bug.name}: ${bug.what}`);
  if (failure !== null) say(`          ${failure}`);
  if (played === null) return;
  const provoked = bug.provocation === undefined ? '' : `, with ${bug.provocation.name}`;
  say(`          ${codes || 'nothing broke'}; ${played.schedule}${provoked}, after ${played.virtualSeconds.toFixed(1)} virtual seconds`);
  for (const { message } of played.breaches.slice(0, 1)) say(`          ${message}`);
}

async function main(signal: AbortSignal): Promise<number> {
  const seeds = Number(values.seeds);
  const chosen = bugs.filter(({ name }) => values.only === undefined || values.only === name);
  if (!Number.isInteger(seeds) || seeds < 0 || chosen.length === 0) {
    say('--seeds takes a whole number, --only the name of a bug: see --help');
    return 2;
  }
  const toSearch = values.search ? await schedulesToSearch(seeds) : null;
  const bites: Bite[] = [];
  for (const bug of chosen) {
    const one = await bite(bug, toSearch ?? [bug.schedule], signal);
    tell(one);
    bites.push(one);
  }
  const caught = bites.filter(({ verdict }) => verdict === 'caught');
  const innocent = await playInnocent(
    caught.map(({ bug, played }) => ({ ...bug, schedule: played?.schedule ?? bug.schedule })),
    signal,
  );
  const broken = innocent.filter(({ breaches }) => breaches.length > 0);
  for (const { schedule, breaches } of broken) say(`breaks without any bug: ${schedule}: ${breaches[0]?.code}: ${breaches[0]?.message}`);
  say(`${caught.length} of ${bites.length} bugs caught; ${innocent.length} schedules without them, ${broken.length} break`);
  return caught.length === bites.length && broken.length === 0 ? 0 : 1;
}

if (values.help) say(help);
else {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('stopped')));
  process.exitCode = await main(stop.signal);
}
