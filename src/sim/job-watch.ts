/** What the hypervisors are at, against what the controller has on its disk. */
import { type Breach, breach } from './breach.ts';
import type { MigrationJob } from './migration-job.ts';
import type { SimStore } from './store.ts';
import type { World } from './world.ts';

/** The intent is durable before anything is sent: a transfer begins for an open migration whose method is chosen, or for none. */
export class JobWatch {
  readonly #store: SimStore;
  readonly #found: Breach[] = [];

  constructor(world: World, store: SimStore) {
    this.#store = store;
    world.onStage((job, stage) => {
      if (stage === 'transfer') this.#began(job);
    });
  }

  get found(): readonly Breach[] {
    return this.#found;
  }

  #began({ guest, source, destination }: MigrationJob): void {
    const isAsked = this.#store
      .allMigrations()
      .some(
        ({ request, endedAtMs, plan }) =>
          endedAtMs === null &&
          plan !== null &&
          request.vmId === guest.vmId &&
          request.fromHostId === source.hostId &&
          request.toHostId === destination.hostId,
      );
    if (isAsked) return;
    const way = `${guest.name} from ${source.hostId} to ${destination.hostId}`;
    this.#found.push(breach('job-unasked', `the hypervisors begin to move ${way}, and no open migration says so`));
  }
}
