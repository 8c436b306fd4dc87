/** `npm run sim:soak`: see `--help`. Ends with 1 when an invariant was broken, with 2 when an option was not understood. */
import { refusalOf } from '#core/model/result.ts';
import { nothingPlayed, printBroken, printSoak, withPlayed } from '#cli/sim-soak.ts';
import { replayCommandOf, type SoakOptions, soakOptionsOf, usage } from './options.ts';
import { replay } from './replay.ts';
import { soak } from './runner.ts';

const progressEvery = 100;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Ctrl-C ends the playing, not the counting: what was played so far is printed. */
async function playMany(options: SoakOptions): Promise<boolean> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const again = replayCommandOf(options);
  let totals = nothingPlayed;
  const [startedAtMs, cpuAtStart] = [performance.now(), process.cpuUsage()];
  const onPlayed: Parameters<typeof soak>[1] = (played) => {
    totals = withPlayed(totals, played, (performance.now() - startedAtMs) / 1000);
    if (played.breaches.length > 0) print([...played.log, printBroken(played, again)].join('\n'));
    if (totals.seeds % progressEvery === 0) print(`${totals.seeds} seeds played, ${totals.broken.length} of them broke an invariant`);
  };
  await soak(options, onPlayed, stop.signal);
  const { user, system } = process.cpuUsage(cpuAtStart);
  print(printSoak(totals, again, (user + system) / 1e6));
  return totals.broken.length === 0;
}

async function main(): Promise<number> {
  const options = soakOptionsOf(process.argv.slice(2));
  if (options.help) {
    print(usage);
    return 0;
  }
  const isWell = options.seed === null ? await playMany(options) : await replay(options.seed, options, print);
  return isWell ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const { code, message } = refusalOf(error);
  process.stderr.write(`${code}: ${message}\n`);
  process.exitCode = 2;
}
