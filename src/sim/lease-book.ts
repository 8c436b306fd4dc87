import type { BootTime, LeaseGrant } from '#core/model/recovery.ts';
import type { LeaseBook } from '#core/ports.ts';
import type { NodeClock } from './node-clock.ts';
import type { VirtualTime } from './virtual-time.ts';

const writeMs = 1;

/** In a host's memory (/run), which its agents share and which ends with each boot: no matter of its disk. By the host's own clock. */
export class SimLeaseBook implements LeaseBook {
  readonly #time: VirtualTime;
  readonly #hostId: string;
  readonly #clock: NodeClock;
  #boots = 1;
  #grant: LeaseGrant | null = null;

  constructor(time: VirtualTime, hostId: string, clock: NodeClock) {
    this.#time = time;
    this.#hostId = hostId;
    this.#clock = clock;
  }

  now(): BootTime {
    return { bootId: `${this.#hostId} boot ${this.#boots}`, atMs: this.#clock.monotonicMs };
  }

  load(): Promise<LeaseGrant | null> {
    return Promise.resolve(structuredClone(this.#grant));
  }

  async save(grant: LeaseGrant): Promise<void> {
    this.#grant = structuredClone(grant);
    await this.#time.sleep(writeMs);
  }

  reboot(): void {
    this.#boots += 1;
    this.#grant = null;
  }
}
