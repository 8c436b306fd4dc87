import { type Command, InvalidArgumentError, Option } from 'commander';
import { CliError } from './errors.ts';
import { formatDuration } from './format.ts';
import { interruptSignal } from './interrupt.ts';
import { countArgument, durationArgument } from './options.ts';
import { LiveLine, writeLine, writeNote } from './output.ts';
import { printSoak, soak, type SoakRange, type SoakTotals } from './sim-soak.ts';
import { firstDifference, type LogDifference, printDifference } from './sim-printer.ts';
import type { SnapshotFile } from '#wire/snapshot-file.ts';
import {
  type FolderPlayed,
  playFolder,
  type Playing,
  playSchedule,
  playSnapshot,
  playSoakSeed,
  type Played,
  type ScheduleWish,
} from './simulations.ts';
import { readClusterFile } from './snapshot-files.ts';

type SimForm = 'text' | 'json';

const soakSeedsDefault = 100;
const playMsDefault = 3_600_000;

interface RunOptions {
  readonly seed?: number;
  readonly expect: boolean;
  readonly output: SimForm;
}

interface ScheduleOptions {
  readonly hosts?: number;
  /** False for `--no-faults`; true when nothing was said. */
  readonly faults: readonly string[] | boolean;
  /** False for `--no-placement`. */
  readonly placement: boolean;
  readonly output: SimForm;
}

interface PlayOptions extends ScheduleOptions {
  readonly seed: number;
}

interface SoakOptions extends ScheduleOptions, SoakRange {}

interface SnapshotOptions {
  readonly for: number;
  readonly mode?: NonNullable<SnapshotFile['mode']>;
  readonly seed: number;
  readonly util?: string;
  readonly output: SimForm;
}

const snapshotHelp = `
Without --mode it goes on in the mode that the cluster was in, or in automatic where the file does not say.
What the file does not say and has to be assumed is told first.

Examples:
  plimsoll snapshot save monday.json
  plimsoll sim snapshot monday.json --mode automatic   what would be moved within the next hour?
  plimsoll sim snapshot ganeti.data --for 10m          the same of a cluster of hbal`;

const runHelp = `
The folder holds cluster.yaml and events.yaml, such as these:

  # cluster.yaml                                        # events.yaml
  seed: 7                                               - { at: 20, do: migrate, vm: web, to: host2 }
  runForSeconds: 120                                    - { at: { vm: web, reaches: switch-over }, do: kill, what: agent, host: host1 }
  mode: observe                                         - { at: 60, do: start, what: agent, host: host1 }
  hosts:
    host1: { cpuCores: 4, memoryGiB: 8 }
    host2: { cpuCores: 4, memoryGiB: 8 }
  vms:
    web: { host: host1, vcpus: 2, memoryGiB: 1, demandCores: 1 }

With expected.log in the folder the run is compared with it, byte for byte.
Exit code: 1 when an invariant was broken or the log is not the expected one.

Examples:
  plimsoll sim run ./my-scenario                       the decision log
  plimsoll sim run ./my-scenario > my-scenario/expected.log
  plimsoll sim run ./my-scenario --expect              does it still go as it did?
  plimsoll sim run ./my-scenario --seed 8              the same story with other dice`;

const simHelp = `
The same seed of the same version gives the same log, byte for byte. Exit code: 1 when an invariant was broken.

Examples:
  plimsoll sim --seed 42                               a cluster, its work and its faults, all from the seed
  plimsoll sim --seed 42 --hosts 8 --faults power-off,link-cut
  plimsoll sim soak --seeds 100                        many seeds, and what they came to
  plimsoll sim run ./my-scenario                       a story of your own
  plimsoll sim snapshot monday.json                    a saved cluster, from there on`;

/** `sim [play]|soak|run|snapshot`. */
export function addSimCommands(program: Command): void {
  const sim = program
    .command('sim')
    .description('the real controller and agents on a simulated cluster, in virtual time')
    .addHelpText('after', simHelp);
  addPlayCommand(sim);
  addSoakCommand(sim);
  addRunCommand(sim);
  addSnapshotCommand(sim);
}

function addPlayCommand(sim: Command): void {
  withSchedule(
    sim
      .command('play', { isDefault: true })
      .description('play what is generated from a seed, and print its decision log')
      .requiredOption('--seed <n>', 'what everything is made from', seedArgument),
  ).action(async (options: PlayOptions) => {
    const played = await withProgress((playing) => playSchedule(options.seed, wishOf(options), playing));
    if (options.output === 'json') writeLine(JSON.stringify(resourceOf(played), null, 2));
    else process.stdout.write(played.log);
    refuseBreaches(played);
  });
}

function addSoakCommand(sim: Command): void {
  withSchedule(
    sim
      .command('soak')
      .description('play many seeds one after the other, and count what happened and what broke')
      .option('--seeds <n>', 'so many', countArgument, soakSeedsDefault)
      .option('--from <n>', 'the first seed', seedArgument, 1),
  ).action(async (options: SoakOptions) => {
    const signal = interruptSignal();
    const wish = wishOf(options);
    const line = new LiveLine();
    const onTotals = ({ seeds, broken }: SoakTotals) => {
      if (process.stderr.isTTY) line.update('soak', `${seeds} of ${options.seeds} seeds played, ${broken.length} broke something`);
    };
    const totals = await soak(
      options,
      (seed) => playSoakSeed(seed, wish, signal),
      () => performance.now(),
      onTotals,
    );
    line.end();
    writeLine(
      options.output === 'json'
        ? JSON.stringify(totals, null, 2)
        : printSoak(totals, (seed) => `plimsoll sim --seed ${seed}${replayOptions(wish)}`),
    );
    if (signal.aborted) throw new CliError('interrupted', `stopped after ${totals.seeds} of ${options.seeds} seeds`);
    if (totals.broken.length > 0) process.exitCode = 1;
  });
}

function withSchedule(command: Command): Command {
  return command
    .option('--hosts <n>', 'so many hosts (default: 3 to 8)', hostsArgument)
    .option('--faults <kinds>', 'only these may happen, with commas between (default: all)', kindsArgument)
    .option('--no-faults', 'nothing breaks')
    .option('--no-placement', 'no rules, cordons and drains')
    .addOption(formOption());
}

function wishOf({ hosts, faults, placement }: ScheduleOptions): ScheduleWish {
  const kinds = faults === true ? { placement } : { placement, faults: faults === false ? [] : faults };
  return { ...(hosts === undefined ? {} : { hosts }), ...kinds };
}

/** What the same schedule needs beside its seed. */
function replayOptions({ hosts, faults, placement }: ScheduleWish): string {
  const size = `${hosts === undefined ? '' : ` --hosts ${hosts}`}${placement === false ? ' --no-placement' : ''}`;
  if (faults === undefined) return size;
  return `${size}${faults.length === 0 ? ' --no-faults' : ` --faults ${faults.join(',')}`}`;
}

function addRunCommand(sim: Command): void {
  sim
    .command('run')
    .description('play a scenario folder, and print its decision log')
    .argument('<folder>', 'holds cluster.yaml and events.yaml, and maybe expected.log')
    .option('--seed <n>', 'another seed than that of cluster.yaml', seedArgument)
    .option('--expect', 'print only whether the log is that of expected.log', false)
    .addOption(formOption())
    .addHelpText('after', runHelp)
    .action(async (folder: string, options: RunOptions) => {
      const played = await withProgress((playing) => playFolder(folder, options.seed ?? null, playing));
      const difference = differenceOf(folder, played, options.expect);
      tell(played, difference, options);
      refuseBreaches(played);
      if (difference !== null) process.exitCode = 1;
    });
}

function addSnapshotCommand(sim: Command): void {
  sim
    .command('snapshot')
    .description('play a saved cluster: what would happen from there on')
    .argument('<file>', "what 'snapshot save' wrote, or a .data file of hbal")
    .option('--for <time>', 'so much virtual time (default: 1h)', durationArgument, playMsDefault)
    .addOption(new Option('--mode <mode>', 'the mode of the balancer').choices(['observe', 'approve', 'automatic']))
    .option('--seed <n>', 'what chance is made from', seedArgument, 1)
    .option('--util <file>', "hbal's utilisation of the instances (default: FILE.util beside FILE.data)")
    .addOption(formOption())
    .addHelpText('after', snapshotHelp)
    .action(async (path: string, options: SnapshotOptions) => {
      const { snapshot } = await readClusterFile(path, options.util ?? null);
      const wish = { seed: options.seed, runForSeconds: options.for / 1000, mode: options.mode ?? snapshot.mode ?? 'automatic' };
      const played = await withProgress((playing) => playSnapshot(snapshot, wish, playing));
      if (options.output === 'json') writeLine(JSON.stringify({ ...resourceOf(played), assumed: played.assumed }, null, 2));
      else {
        for (const assumption of played.assumed) writeNote(`assumed: ${assumption}`);
        process.stdout.write(played.log);
      }
      refuseBreaches(played);
    });
}

function differenceOf(folder: string, { expectedLog, isOtherSeed, log }: FolderPlayed, isAsked: boolean): LogDifference | null {
  if (isAsked && isOtherSeed) throw new CliError('usage', 'expected.log is of the seed in cluster.yaml: leave out --seed or --expect');
  if (isAsked && expectedLog === null) throw new CliError('input-invalid', `there is no expected.log in ${folder}: write the log into it`);
  return expectedLog === null || isOtherSeed ? null : firstDifference(expectedLog, log);
}

function tell(played: FolderPlayed, difference: LogDifference | null, { expect, output }: RunOptions): void {
  const isCompared = played.expectedLog !== null && !played.isOtherSeed;
  const verdict = difference === null ? 'The log is that of expected.log.' : printDifference(difference);
  if (output === 'json') {
    const expected = isCompared ? { same: difference === null, difference } : null;
    writeLine(JSON.stringify({ ...resourceOf(played), expected }, null, 2));
  } else if (expect) {
    writeLine(verdict);
  } else {
    process.stdout.write(played.log);
    if (isCompared) writeNote(verdict);
  }
}

function resourceOf({ seed, virtualSeconds, breaches, log }: Played): object {
  return { seed, virtualSeconds, breaches, log: log.trimEnd().split('\n') };
}

function refuseBreaches({ seed, virtualSeconds, breaches }: Played): void {
  if (breaches.length === 0) return;
  const what = breaches.map(({ code, message }) => `${code}: ${message}`).join('; ');
  throw new CliError('invariant-broken', `seed ${seed}, after ${virtualSeconds} virtual seconds: ${what}`);
}

/** On a terminal: how far it is. */
async function withProgress<Value>(work: (playing: Playing) => Promise<Value>): Promise<Value> {
  const line = new LiveLine();
  const isShown = process.stderr.isTTY;
  const onTurn = (doneSeconds: number, totalSeconds: number) => {
    const share = Math.floor((doneSeconds / totalSeconds) * 100);
    if (isShown)
      line.update('playing', `${formatDuration(doneSeconds * 1000)} of ${formatDuration(totalSeconds * 1000)} played, ${share} %`);
  };
  try {
    return await work({ signal: interruptSignal(), onTurn });
  } finally {
    line.end();
  }
}

function formOption(): Option {
  return new Option('-o, --output <form>', 'text, or json: the lines of the log with what became of the run')
    .choices(['text', 'json'])
    .default('text');
}

function seedArgument(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Write a whole number of at most 15 digits.');
  return Number(text);
}

/** A schedule moves VMs between hosts, and a simulated cluster has no more than 200. */
function hostsArgument(text: string): number {
  if (!/^\d{1,3}$/.test(text) || Number(text) < 2 || Number(text) > 200)
    throw new InvalidArgumentError('Write a whole number from 2 to 200.');
  return Number(text);
}

function kindsArgument(text: string): readonly string[] {
  return text.split(',').filter((kind) => kind !== '');
}
