/** Plays schedules, one seed after the other, and counts what came of them. */
import type { Breach } from './breach.ts';
import { InvariantBreach, SimCluster, type Surroundings } from './cluster.ts';
import type { Scenario } from './scenario.ts';
import { type Schedule, scheduleOf, type ScheduleOptions } from './schedule.ts';

/** Counts by name. */
export type Tally = Readonly<Record<string, number>>;

/** What came of one run. `log` is all of it. */
export interface Outcome {
  readonly virtualSeconds: number;
  readonly breaches: readonly Breach[];
  /** Migrations by the outcome that the ledger has, and those that are open. */
  readonly migrations: Tally;
  readonly log: readonly string[];
}

export interface Played extends Outcome {
  readonly seed: number;
  /** Faults and commands of the schedule, by kind. */
  readonly events: Tally;
  readonly hosts: number;
}

export async function playSeed(seed: number, options: ScheduleOptions, surroundings: Surroundings): Promise<Played> {
  const schedule = scheduleOf(seed, options);
  const outcome = await playScenario(schedule.scenario, surroundings);
  return { seed, events: eventsOf(schedule), hosts: Object.keys(schedule.scenario.cluster.hosts).length, ...outcome };
}

/** Never rejects: what breaks is in the outcome, also when it is the simulator itself. */
export async function playScenario(scenario: Scenario, surroundings: Surroundings): Promise<Outcome> {
  const cluster = new SimCluster(scenario, surroundings);
  const breaches = await cluster.run().then(
    () => [],
    (error: unknown) => breachesOf(error),
  );
  const { store, time } = cluster;
  const log = [...cluster.log.lines];
  cluster.actors.end();
  const open = store.allMigrations().filter(({ endedAtMs }) => endedAtMs === null);
  const outcomes = [...store.allLedger().map(({ outcome }) => outcome), ...open.map(() => 'open')];
  return { virtualSeconds: time.elapsedMs / 1000, breaches, migrations: tallyOf(outcomes), log };
}

function breachesOf(error: unknown): readonly Breach[] {
  if (error instanceof InvariantBreach) return error.breaches;
  return [
    {
      code: 'process-crashed',
      message: `the simulation itself: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    },
  ];
}

function eventsOf({ units }: Schedule): Tally {
  return tallyOf(units.map(({ kind }) => kind));
}

export function tallyOf(names: readonly string[]): Tally {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

export function sumOf(one: Tally, other: Tally): Tally {
  const sum: Record<string, number> = { ...one };
  for (const [name, count] of Object.entries(other)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}
