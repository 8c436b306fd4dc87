/** Plays a schedule to its end, or until something that must hold does not. */
import { InvariantBreach, SimCluster } from '#sim/cluster.ts';
import type { Breach } from '#sim/invariants.ts';
import { surroundings } from '#sim/surroundings.ts';
import { scheduleOf } from './schedules.ts';

export interface Played {
  readonly schedule: string;
  readonly breaches: readonly Breach[];
  /** When it was caught, or ended. */
  readonly virtualSeconds: number;
}

/** Rejects with what is no breach, such as a schedule that does not exist, or virtual time that stands still. */
export async function play(schedule: string): Promise<Played> {
  const cluster = new SimCluster(await scheduleOf(schedule), surroundings);
  const ended = (breaches: readonly Breach[]): Played => ({ schedule, breaches, virtualSeconds: cluster.time.elapsedMs / 1000 });
  try {
    await cluster.run();
    return ended([]);
  } catch (error) {
    if (error instanceof InvariantBreach) return ended(error.breaches);
    throw error;
  }
}
