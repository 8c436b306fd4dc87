import type { BootTime, LeaseGrant } from '#core/model/recovery.ts';
import type { LeaseBook } from '#core/ports.ts';
import type { VirtualTime } from './virtual-time.ts';

const writeMs = 1;

/** A host's memory, which its agents share and which ends with each boot. */
export class SimLeaseBook implements LeaseBook {
  readonly #time: VirtualTime;
  readonly #hostId: string;
  #boots = 1;
  #grant: LeaseGrant | null = null;

  constructor(time: VirtualTime, hostId: string) {
    this.#time = time;
    this.#hostId = hostId;
  }

  now(): BootTime {
    return { bootId: `${this.#hostId} boot ${this.#boots}`, atMs: this.#time.elapsedMs };
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
