import type { HostId } from '#core/model/host.ts';
import type { Result } from '#core/model/result.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import { applyMove } from './apply-move.ts';
import { type Cluster, clusterOf, findHost } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { frozenHosts } from './freeze.ts';
import { isAbove, type Load, loadOf, startLimit } from './line.ts';
import { ruleBookOf } from './rules.ts';
import type { RuleFault } from './rules.ts';
import { percent } from './words.ts';

/** A destination for a VM that a person wants elsewhere without saying where. */
export interface Target {
  readonly hostId: HostId;
  readonly reason: string;
}

/**
 * The host with the least CPU in use after the move among those with fresh samples and room that no rule closes to the VM, hosts that
 * stay under their line first; ties by id. `forbidden`: what closes the best of the others, null when none has room.
 */
export function chooseTarget(
  snapshot: Snapshot,
  vm: Pick<SnapshotVm, 'vmId' | 'name' | 'hostId'>,
): Result<Target, { readonly forbidden: RuleFault | null }> {
  const cluster = clusterOf(snapshot, frozenHosts(snapshot));
  const limit = startLimit(snapshot.policy);
  const book = ruleBookOf(snapshot);
  const fitting = cluster.hosts
    .flatMap(({ hostId }) => {
      const load = loadAfter(cluster, vm, hostId);
      return load === null ? [] : [{ hostId, load, over: isAbove(load, limit) }];
    })
    .toSorted((a, b) => Number(a.over) - Number(b.over) || a.load.cpuPercent - b.load.cpuPercent || compareText(a.hostId, b.hostId));
  let forbidden: RuleFault | null = null;
  for (const { hostId, load, over } of fitting) {
    const fault = book.placementFault(vm, hostId, book.where);
    if (fault !== null) {
      forbidden ??= fault;
      continue;
    }
    const warning = over ? ', and it will be over its line' : '';
    return { ok: true, hostId, reason: `${hostId} is the least loaded host with room: ${percent(load.cpuPercent)} CPU with it${warning}` };
  }
  return { ok: false, forbidden };
}

function loadAfter(cluster: Cluster, vm: Pick<SnapshotVm, 'vmId' | 'hostId'>, toHostId: HostId): Load | null {
  const applied = applyMove(cluster, { vmId: vm.vmId, fromHostId: vm.hostId, toHostId });
  const host = applied.ok ? findHost(applied.cluster, toHostId) : undefined;
  return host === undefined ? null : loadOf(host);
}
