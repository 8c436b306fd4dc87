/**
 * VMs and hosts that were found not to go together, so that the next plan takes another target. In memory and for a while: a restart
 * asks anew, and so does time, because what was missing may have been put in place.
 */
import type { HostId } from '#core/model/host.ts';
import type { Refusal, RefusalCode } from '#core/model/result.ts';
import type { PairRefusal } from '#core/model/rule.ts';
import type { VmId } from '#core/model/vm.ts';

const pairsMax = 1000;
const minuteMs = 60_000;

/** How long it is believed. What is not here says nothing of the pair, or may be over in a moment. */
const believedMs: Partial<Record<RefusalCode, number>> = {
  'cpu-incompatible': 60 * minuteMs,
  'device-host-only': 60 * minuteMs,
  'disk-not-shared': 30 * minuteMs,
  'disk-unreachable': 15 * minuteMs,
  'lock-missing': 15 * minuteMs,
  'machine-unsupported': 60 * minuteMs,
  'method-unsupported': 60 * minuteMs,
  'network-missing': 30 * minuteMs,
  'version-unsupported': 60 * minuteMs,
  // Changes with what the VM does and what else runs there.
  'downtime-budget': 10 * minuteMs,
  'no-memory': 5 * minuteMs,
  'not-converging': 10 * minuteMs,
  'profile-unsupported': 30 * minuteMs,
};

export class PairRefusals {
  readonly #pairs = new Map<string, PairRefusal>();

  /** Notes it, if it is about the two of them. */
  note(vmId: VmId, hostId: HostId, { code, message }: Refusal, nowMs: number): void {
    const forMs = believedMs[code];
    if (forMs === undefined) return;
    const key = `${vmId} ${hostId}`;
    this.#pairs.delete(key);
    this.#pairs.set(key, { vmId, hostId, code, reason: message, untilMs: nowMs + forMs });
    const oldest = this.#pairs.size > pairsMax ? this.#pairs.keys().next().value : undefined;
    if (oldest !== undefined) this.#pairs.delete(oldest);
  }

  /** It has moved there after all. */
  forget(vmId: VmId, hostId: HostId): void {
    this.#pairs.delete(`${vmId} ${hostId}`);
  }

  current(nowMs: number): readonly PairRefusal[] {
    for (const [key, { untilMs }] of this.#pairs) if (untilMs <= nowMs) this.#pairs.delete(key);
    return [...this.#pairs.values()];
  }
}
