import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Policy } from '#core/model/policy.ts';
import type { VmId } from '#core/model/vm.ts';

type CoolDownPolicy = Pick<Policy, 'coolDownMs' | 'coolDownMsMax'>;

/** The ledger by VM, oldest first: one pass, so that ten thousand VMs can be asked. */
export function ledgerByVm(ledger: readonly LedgerEntry[]): ReadonlyMap<VmId, readonly LedgerEntry[]> {
  const byVm = new Map<VmId, LedgerEntry[]>();
  for (const entry of ledger) {
    const entries = byVm.get(entry.vmId);
    if (entries === undefined) byVm.set(entry.vmId, [entry]);
    else entries.push(entry);
  }
  for (const entries of byVm.values()) entries.sort((a, b) => a.endedAtMs - b.endedAtMs || compareText(a.migrationId, b.migrationId));
  return byVm;
}

/**
 * When a VM may move again, in ms since the epoch; null when it never moved. `entries` are its ledger
 * entries, oldest first.
 *
 * The first move cools for `coolDownMs`; each further one doubles that up to `coolDownMsMax`, whoever
 * asked for it. A VM that stayed quiet for a whole `coolDownMsMax` after its cool-down ended starts anew.
 * A try that failed or is unclear cools as well (its cause is probably still there) but does not double.
 */
export function coolDownEndsAtMs(entries: readonly LedgerEntry[], policy: CoolDownPolicy): number | null {
  let endsAtMs: number | null = null;
  let lengthMs = 0;
  for (const entry of entries) {
    const quiet = endsAtMs === null || entry.startedAtMs >= endsAtMs + policy.coolDownMsMax;
    if (quiet) lengthMs = 0;
    if (entry.outcome === 'moved') lengthMs = lengthMs === 0 ? policy.coolDownMs : lengthMs * 2;
    const boundedMs = Math.min(lengthMs === 0 ? policy.coolDownMs : lengthMs, policy.coolDownMsMax);
    if (lengthMs > 0) lengthMs = boundedMs;
    endsAtMs = Math.max(endsAtMs ?? entry.endedAtMs, entry.endedAtMs + boundedMs);
  }
  return endsAtMs;
}

/** Plain code-unit order: the same on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
