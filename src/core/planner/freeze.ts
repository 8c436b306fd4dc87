import type { HostId } from '#core/model/host.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Snapshot, SnapshotHost } from '#core/model/snapshot.ts';
import type { Stay } from './stay.ts';
import { count, seconds } from './words.ts';

/** Why the load of a host is not known well enough: `reason` goes on from "it is left alone". */
export type Freeze = Stay & { readonly code: 'stale-sample' | 'quarantined' };

/**
 * Hosts whose load is not known well enough to plan on, each with the reason; neither source nor target.
 * Besides hosts that are down, late, not believed or report unusable figures, these are hosts that have just given or
 * taken a VM: for one half-life after the move the smoothed load still shows the old placement, and
 * planning on it would move a second VM for the same overload.
 */
export function frozenHosts(snapshot: Snapshot): ReadonlyMap<HostId, Freeze> {
  const seen = new Set<HostId>();
  const frozen = new Map<HostId, Freeze>();
  const settling = lastMoves(snapshot.ledger);
  for (const host of snapshot.hosts) {
    const reason = seen.has(host.hostId) ? 'the snapshot lists it twice' : freezeReason(host, settling.get(host.hostId), snapshot);
    seen.add(host.hostId);
    const freeze = quarantineOf(host) ?? (reason === null ? null : ({ code: 'stale-sample', reason } as const));
    if (freeze !== null) frozen.set(host.hostId, freeze);
  }
  return frozen;
}

/** Said also of one that is silent: what it said last was not believed. */
function quarantineOf({ quarantine }: SnapshotHost): Freeze | null {
  if (quarantine === null) return null;
  const left = count(quarantine.cleanSamplesLeft, 'clean sample');
  return { code: 'quarantined', reason: `its samples cannot be true (${quarantine.message}), it is believed again after ${left} in a row` };
}

function freezeReason(host: SnapshotHost, last: LedgerEntry | undefined, snapshot: Snapshot): string | null {
  const { policy, takenAtMs } = snapshot;
  if (host.status !== 'up') return host.status === 'silent' ? 'it is silent' : 'it has never sent a sample';
  const ageMs = takenAtMs - host.sampledAtMs;
  // Written so that NaN freezes too: what cannot be compared is not known.
  if (!(ageMs <= policy.sampleAgeMsMax))
    return `its newest sample is ${seconds(ageMs)} old, the limit is ${seconds(policy.sampleAgeMsMax)}`;
  if (!hasUsableFigures(host)) return 'its load figures are unusable';
  if (last !== undefined && host.sampledAtMs < last.endedAtMs + policy.smoothingHalfLifeMs) {
    const direction = last.fromHostId === host.hostId ? 'left' : 'arrived';
    return `its smoothed load does not show yet that a VM ${direction} ${seconds(takenAtMs - last.endedAtMs)} ago`;
  }
  return null;
}

function hasUsableFigures(host: SnapshotHost): boolean {
  const { cpuCores, memoryBytes } = host.capacity;
  const amounts = [host.cpuUsedCores, host.memoryUsedBytes, cpuCores, memoryBytes];
  return amounts.every((amount) => Number.isFinite(amount) && amount >= 0) && cpuCores > 0 && memoryBytes > 0;
}

/** The newest real move that each host took part in; a failed one changed no placement. */
function lastMoves(ledger: readonly LedgerEntry[]): ReadonlyMap<HostId, LedgerEntry> {
  const last = new Map<HostId, LedgerEntry>();
  for (const entry of ledger) {
    if (entry.outcome === 'stayed') continue;
    for (const hostId of [entry.fromHostId, entry.toHostId]) {
      const known = last.get(hostId);
      if (known === undefined || entry.endedAtMs > known.endedAtMs) last.set(hostId, entry);
    }
  }
  return last;
}
