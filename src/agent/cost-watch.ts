import { costBetween } from '#core/migration/cost.ts';
import type { HostCost } from '#core/model/measures.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Clock, CostMeter } from '#core/ports.ts';
import { pause, withDeadline } from '#core/time.ts';

const intervalMs = 1_000;
const readMsMax = 2_000;

/** The CPU time that this host spends on one transfer. Read again and again: the meter keeps what the VM's process had used when it ends. */
export class CostWatch {
  readonly #clock: Clock;
  readonly #meter: CostMeter;
  readonly #vmId: VmId;
  #first: HostCost | null = null;
  #last: HostCost | null = null;

  /** Reads until `ended` aborts. */
  constructor(parts: { readonly clock: Clock; readonly costMeter: CostMeter }, vmId: VmId, ended: AbortSignal) {
    this.#clock = parts.clock;
    this.#meter = parts.costMeter;
    this.#vmId = vmId;
    void this.#keepReading(ended);
  }

  /** Since the first reading; null where this host cannot tell. */
  async spent(): Promise<HostCost | null> {
    await this.#read();
    return this.#first === null || this.#last === null ? null : costBetween(this.#first, this.#last);
  }

  async #keepReading(ended: AbortSignal): Promise<void> {
    do await this.#read();
    while (await pause(this.#clock, intervalMs, ended));
  }

  async #read(): Promise<void> {
    const going = new AbortController().signal;
    try {
      const now = await withDeadline(this.#clock, readMsMax, going, (limited) => this.#meter.read(this.#vmId, limited));
      this.#first ??= now;
      this.#last = now;
    } catch {
      // The next reading, or none: what a transfer costs is no reason to disturb it.
    }
  }
}
