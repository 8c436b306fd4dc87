import type { Recovery } from '#core/model/recovery.ts';
import type { VmId } from '#core/model/vm.ts';
import { type RecoveryEffect, type RecoveryEvent, restartLimits, step } from '#core/recovery/restart.ts';
import type { ControllerParts } from './parts.ts';

/** The records of all restartable VMs: each change is durable before it counts, one at a time, and in the log. */
export class RecoveryRecords {
  readonly #parts: ControllerParts;
  readonly #kept: Map<VmId, Recovery>;
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(parts: ControllerParts, kept: readonly Recovery[]) {
    this.#parts = parts;
    this.#kept = new Map(kept.map((recovery) => [recovery.vmId, recovery]));
  }

  static async load(parts: ControllerParts): Promise<RecoveryRecords> {
    return new RecoveryRecords(parts, await parts.store.recoveries());
  }

  get(vmId: VmId): Recovery | undefined {
    return this.#kept.get(vmId);
  }

  get all(): readonly Recovery[] {
    return [...this.#kept.values()];
  }

  /** Runs the machine; what it says is durable before its effect may be performed. */
  async step(vmId: VmId, event: RecoveryEvent): Promise<RecoveryEffect> {
    let effect: RecoveryEffect = { kind: 'none' };
    await this.change(vmId, (known) => {
      const done = step(known, event, this.#parts.clock.nowMs(), restartLimits);
      effect = done.effect;
      return done.recovery;
    });
    return effect;
  }

  /** A record that is gone stays gone. */
  change(vmId: VmId, change: (known: Recovery) => Recovery): Promise<void> {
    return this.put(vmId, (known) => known && change(known));
  }

  put(vmId: VmId, change: (known: Recovery | undefined) => Recovery | undefined): Promise<void> {
    return this.#inTurn(async () => {
      const known = this.#kept.get(vmId);
      const next = change(known);
      if (next === known || next === undefined) return;
      await this.#parts.store.saveRecovery(next);
      this.#kept.set(vmId, next);
      this.#tell(known, next);
    });
  }

  remove(vmId: VmId): Promise<void> {
    return this.#inTurn(async () => {
      await this.#parts.store.removeRecovery(vmId);
      this.#kept.delete(vmId);
    });
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => null);
    return done;
  }

  #tell(before: Recovery | undefined, { vmName, phase, reason, hostId }: Recovery): void {
    if (before?.phase === phase && before.reason === reason) return;
    const level = phase === 'watched' || phase === 'off' ? 'info' : 'warn';
    this.#parts.log[level]('restartable VM', { vm: vmName, phase, hostId, reason });
  }
}
