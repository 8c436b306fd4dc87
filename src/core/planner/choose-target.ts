import type { HostId } from '#core/model/host.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { compareText } from './cool-down.ts';
import { frozenHosts } from './freeze.ts';
import { loadOf } from './line.ts';

/** A destination for a VM that a person wants elsewhere without saying where. Null when no other host has the room. */
export interface Target {
  readonly hostId: HostId;
  readonly reason: string;
}

/** The host with the least CPU in use that has fresh samples and memory for the VM; ties by id. */
export function chooseTarget(snapshot: Snapshot, vm: SnapshotVm): Target | null {
  const frozen = frozenHosts(snapshot);
  const reserved = (host: SnapshotHost) =>
    snapshot.inFlight
      .filter(({ toHostId, vmId }) => toHostId === host.hostId && vmId !== vm.vmId)
      .reduce((sum, { vmId }) => sum + (snapshot.vms.find((other) => other.vmId === vmId)?.memoryBytes ?? 0), 0);
  const fitting = snapshot.hosts
    .filter((host) => host.hostId !== vm.hostId && !frozen.has(host.hostId))
    .filter((host) => host.capacity.memoryBytes - host.memoryUsedBytes - reserved(host) >= vm.memoryBytes)
    .toSorted((a, b) => loadOf(a).cpuPercent - loadOf(b).cpuPercent || compareText(a.hostId, b.hostId));
  const best = fitting[0];
  if (!best) return null;
  return {
    hostId: best.hostId,
    reason: `${best.hostId} is the least loaded host with room (${Math.round(loadOf(best).cpuPercent)} % CPU)`,
  };
}
