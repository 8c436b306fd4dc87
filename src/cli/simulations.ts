/**
 * Plays simulations. The one file of the CLI that reaches the simulator, which holds the real controller and agents: everything behind
 * it is imported only when a simulation is asked for.
 */
import type { Scenario } from '#sim/scenario.ts';
import type { ScheduleOptions } from '#sim/schedule.ts';
import type { SnapshotWish } from '#sim/snapshot-scenario.ts';
import type { SnapshotFile } from '#wire/snapshot-file.ts';
import { CliError, codeOf } from './errors.ts';
import { readScenarioFolder } from './sim-folder.ts';

/** How a run went. The log is the same for the same seed, byte for byte. */
export interface Played {
  readonly seed: number;
  readonly log: string;
  readonly virtualSeconds: number;
  /** Empty when every invariant held. */
  readonly breaches: readonly { readonly code: string; readonly message: string }[];
}

export interface Playing {
  readonly signal: AbortSignal;
  /** Called often; cheap to ignore. */
  readonly onTurn: (doneSeconds: number, totalSeconds: number) => void;
}

export interface FolderPlayed extends Played {
  /** What the folder's expected.log holds; null where there is none. */
  readonly expectedLog: string | null;
  /** Played from a seed that is not the folder's: the log has to be another one. */
  readonly isOtherSeed: boolean;
}

/** Of the simulation, each a fraction of a millisecond. */
const turnsPerCall = 1000;

/**
 * Plays a scenario folder, from its own seed when `seed` is null. Throws CliError `input-invalid` for what cannot be read,
 * `config-invalid` with file and place for what is wrong in it, and `interrupted` when the signal aborts.
 */
export async function playFolder(folder: string, seed: number | null, playing: Playing): Promise<FolderPlayed> {
  const texts = await readScenarioFolder(folder);
  const { scenarioOf } = await import('#sim/scenario.ts');
  const cluster = await valueOf(texts.cluster, texts.clusterPath);
  const events = (await valueOf(texts.events, texts.eventsPath)) ?? [];
  const scenario = within(folder, () => scenarioOf(cluster, events));
  const own = scenario.cluster.seed;
  const played = await play({ ...scenario, cluster: { ...scenario.cluster, seed: seed ?? own } }, playing);
  return { ...played, expectedLog: texts.expectedLog, isOtherSeed: played.seed !== own };
}

/** A saved cluster, played from there. */
export interface SnapshotPlayed extends Played {
  /** What the snapshot does not say, or the simulator has no place for. */
  readonly assumed: readonly string[];
}

/** Plays a saved cluster: what would happen from there on. Throws CliError `input-invalid` and `config-invalid` for what cannot be played. */
export async function playSnapshot(file: SnapshotFile, wish: SnapshotWish, playing: Playing): Promise<SnapshotPlayed> {
  const { snapshotOf } = await import('#wire/snapshot-file.ts');
  const { scenarioOfSnapshot } = await import('#sim/snapshot-scenario.ts');
  const { scenario, assumed } = scenarioOfSnapshot(snapshotOf(file), wish);
  return { ...(await play(scenario, playing)), assumed };
}

/** What a generated schedule may be made of. */
export interface ScheduleWish {
  readonly hosts?: number;
  /** Kinds of faults; every kind when absent, none when empty. */
  readonly faults?: readonly string[];
  /** Rules, cordons, drains and strategies too, unless this is false. */
  readonly placement?: boolean;
}

/** Plays the schedule that is generated from a seed. Throws CliError `usage` for an unknown kind of fault, and `interrupted`. */
export async function playSchedule(seed: number, wish: ScheduleWish, playing: Playing): Promise<Played> {
  const { scheduleOf } = await import('#sim/schedule.ts');
  return play(scheduleOf(seed, await optionsOf(wish)).scenario, playing);
}

/** One schedule of many, without its log. */
export interface SoakPlayed extends Omit<Played, 'log'> {
  /** Faults and commands by kind. */
  readonly events: Counts;
  /** By outcome. */
  readonly migrations: Counts;
}

export type Counts = Readonly<Record<string, number>>;

/** Plays a seed of a soak; null when the signal aborts first. Throws CliError `usage` for an unknown kind of fault. */
export async function playSoakSeed(seed: number, wish: ScheduleWish, signal: AbortSignal): Promise<SoakPlayed | null> {
  const { playSeed } = await import('#sim/soak.ts');
  const { surroundings } = await import('#sim/surroundings.ts');
  const drain = () => (signal.aborted ? Promise.reject(interrupted(`seed ${seed} was not played to its end`)) : surroundings.drain());
  const { virtualSeconds, breaches, events, migrations } = await playSeed(seed, await optionsOf(wish), { ...surroundings, drain });
  return signal.aborted ? null : { seed, virtualSeconds, breaches, events, migrations };
}

async function optionsOf({ hosts, faults, placement = true }: ScheduleWish): Promise<ScheduleOptions> {
  const { faultKinds } = await import('#sim/schedule-faults.ts');
  const strange = faults?.find((name) => !faultKinds.some((kind) => kind === name));
  if (strange !== undefined) throw new CliError('usage', `there is no fault '${strange}': take from ${faultKinds.join(', ')}`);
  return {
    placement,
    ...(hosts === undefined ? {} : { hosts }),
    ...(faults === undefined ? {} : { kinds: faultKinds.filter((kind) => faults.includes(kind)) }),
  };
}

function interrupted(sentence: string): CliError {
  return new CliError('interrupted', sentence);
}

async function play(scenario: Scenario, playing: Playing): Promise<Played> {
  const { InvariantBreach, SimCluster } = await import('#sim/cluster.ts');
  const { surroundings } = await import('#sim/surroundings.ts');
  const { seed, runForSeconds } = scenario.cluster;
  let turns = 0;
  const drain = (): Promise<void> => {
    turns += 1;
    const doneSeconds = cluster.time.elapsedMs / 1000;
    if (playing.signal.aborted) {
      const soFar = `stopped after ${doneSeconds.toFixed(0)} of ${runForSeconds} virtual seconds`;
      return Promise.reject(interrupted(`${soFar}: nothing can be said of the rest`));
    }
    if (turns % turnsPerCall === 0) playing.onTurn(doneSeconds, runForSeconds);
    return surroundings.drain();
  };
  const cluster = new SimCluster(scenario, { ...surroundings, drain });
  const played = (breaches: Played['breaches']): Played => ({
    seed,
    log: cluster.log.text,
    virtualSeconds: Math.round(cluster.time.elapsedMs / 1000),
    breaches,
  });
  try {
    await cluster.run();
    return played([]);
  } catch (error) {
    if (!(error instanceof InvariantBreach)) throw error;
    return played(error.breaches.map(({ code, message }) => ({ code, message })));
  }
}

/** A YAML file's value; null for one that holds nothing but comments. */
async function valueOf(text: string, path: string): Promise<unknown> {
  if (text.split('\n').every((line) => /^\s*(?:#.*)?$/.test(line))) return null;
  const { parseYamlConfig } = await import('#drivers/config/yaml-config.ts');
  const { Type } = await import('typebox');
  return parseYamlConfig(text, path, Type.Unknown());
}

/** What is wrong in a folder is told with the folder. */
function within<Value>(folder: string, read: () => Value): Value {
  try {
    return read();
  } catch (cause) {
    throw new CliError(codeOf(cause), `${folder}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
