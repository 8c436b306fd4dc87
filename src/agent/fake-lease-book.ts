import type { BootTime, LeaseGrant } from '#core/model/recovery.ts';
import type { LeaseBook } from '#core/ports.ts';

/** A machine's boot, on vitest's fake timers; outlives the agents that use it, and ends with `reboot`. */
export class FakeLeaseBook implements LeaseBook {
  saved: LeaseGrant | null = null;
  fault: Error | null = null;
  bootId = 'boot-a';

  now(): BootTime {
    return { bootId: this.bootId, atMs: 1_000_000 + Date.now() };
  }

  async load(): Promise<LeaseGrant | null> {
    if (this.fault) throw this.fault;
    return this.saved;
  }

  async save(grant: LeaseGrant): Promise<void> {
    if (this.fault) throw this.fault;
    this.saved = grant;
  }

  reboot(): void {
    this.bootId = `${this.bootId}'`;
    this.saved = null;
  }
}
