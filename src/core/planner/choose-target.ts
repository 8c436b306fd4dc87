import type { HostId } from '#core/model/host.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import { applyMove } from './apply-move.ts';
import { type Cluster, clusterOf, findHost } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { frozenHosts } from './freeze.ts';
import { isAbove, type Load, loadOf, startLimit } from './line.ts';
import { percent } from './words.ts';

/** A destination for a VM that a person wants elsewhere without saying where. */
export interface Target {
  readonly hostId: HostId;
  readonly reason: string;
}

/**
 * The host with the least CPU in use after the move among those with fresh samples and room, hosts that stay
 * under their line first; ties by id. Null when no other host can take the VM.
 */
export function chooseTarget(snapshot: Snapshot, vm: Pick<SnapshotVm, 'vmId' | 'hostId'>): Target | null {
  const cluster = clusterOf(snapshot, frozenHosts(snapshot));
  const limit = startLimit(snapshot.policy);
  const fitting = cluster.hosts
    .flatMap(({ hostId }) => {
      const load = loadAfter(cluster, vm, hostId);
      return load === null ? [] : [{ hostId, load, over: isAbove(load, limit) }];
    })
    .toSorted((a, b) => Number(a.over) - Number(b.over) || a.load.cpuPercent - b.load.cpuPercent || compareText(a.hostId, b.hostId));
  const best = fitting[0];
  if (!best) return null;
  const warning = best.over ? ', and it will be over its line' : '';
  return {
    hostId: best.hostId,
    reason: `${best.hostId} is the least loaded host with room: ${percent(best.load.cpuPercent)} CPU with it${warning}`,
  };
}

function loadAfter(cluster: Cluster, vm: Pick<SnapshotVm, 'vmId' | 'hostId'>, toHostId: HostId): Load | null {
  const applied = applyMove(cluster, { vmId: vm.vmId, fromHostId: vm.hostId, toHostId });
  const host = applied.ok ? findHost(applied.cluster, toHostId) : undefined;
  return host === undefined ? null : loadOf(host);
}
