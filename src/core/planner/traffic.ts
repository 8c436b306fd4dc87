/**
 * What goes through the cards and the disks of hosts, as shares of what goes through those of all of them. Neither has a capacity that could
 * be known: cards are bonded or virtual, storage is behind a network. A share needs none, is in percent for both, is 100 at most however large
 * the cluster, and does not change for the others when a VM moves, since it takes along what it takes.
 */
import type { SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';

/** Below so much for each host in the mean unevenness counts for less, down to nothing: a quiet cluster is not made even. */
const quietBytesPerSecond = 10 * 2 ** 20;

/** Bytes per second of one resource of a host or a VM, both directions; null where it is not known. */
export type RateOf = (one: SnapshotHost | SnapshotVm) => number | null;

export const networkOf: RateOf = ({ networkBytesPerSecond }) => usable(networkBytesPerSecond);
export const diskOf: RateOf = ({ diskBytesPerSecond }) => usable(diskBytesPerSecond);

function usable(rate: number | null): number | null {
  return rate !== null && Number.isFinite(rate) && rate >= 0 ? rate : null;
}

/** What the hosts whose rate is known have together. */
export interface TrafficScale {
  readonly rateOf: RateOf;
  readonly percentPerByte: number;
  /** The share of a host when all have as much. */
  readonly evenPercent: number;
}

export function trafficScale(hosts: readonly SnapshotHost[], rateOf: RateOf): TrafficScale {
  let [known, total] = [0, 0];
  for (const host of hosts) {
    const rate = rateOf(host);
    if (rate === null) continue;
    known += 1;
    total += rate;
  }
  if (known === 0) return { rateOf, percentPerByte: 0, evenPercent: 0 };
  const percentPerByte = 100 / Math.max(total, known * quietBytesPerSecond);
  return { rateOf, percentPerByte, evenPercent: (total / known) * percentPerByte };
}

export interface HostTraffic {
  /** How far it is above an even share; null where its rate is not known. */
  readonly abovePercent: number | null;
  /** What a VM takes along when it leaves; 0 where its rate or the host's is not known. */
  readonly shareOf: (vm: SnapshotVm) => number;
}

/**
 * Traffic between two VMs of a host goes through none of its cards, and what a cache answers through no disk: what leaves with a VM is its
 * share of what does, so never more than the host has. Where it is not known what the host has, nothing is known to leave.
 */
export function trafficOf(
  host: SnapshotHost,
  vms: readonly SnapshotVm[],
  { rateOf, percentPerByte, evenPercent }: TrafficScale,
): HostTraffic {
  const rate = rateOf(host);
  if (rate === null) return { abovePercent: null, shareOf: () => 0 };
  const ofVms = vms.reduce((sum, vm) => sum + (rateOf(vm) ?? 0), 0);
  const share = ofVms > rate ? rate / ofVms : 1;
  return { abovePercent: rate * percentPerByte - evenPercent, shareOf: (vm) => (rateOf(vm) ?? 0) * share * percentPerByte };
}
