import type { HostId } from '#core/model/host.ts';
import type { Result } from '#core/model/result.ts';
import type { VmId, VmState } from '#core/model/vm.ts';
import { findHost, withHosts, withoutVm, withVm } from './cluster.ts';
import type { Cluster, ClusterHost, ClusterVm } from './cluster.ts';

export interface MoveStep {
  readonly vmId: VmId;
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
}

/** Why a move cannot be applied. Amounts are those of the destination. */
export type MoveRefusal =
  | { readonly reason: 'destination-same-as-source' }
  | { readonly reason: 'host-unknown'; readonly hostId: HostId }
  | { readonly reason: 'vm-unknown'; readonly vmId: VmId }
  | { readonly reason: 'vm-not-running'; readonly state: VmState }
  | { readonly reason: 'no-memory'; readonly needBytes: number; readonly freeBytes: number }
  | { readonly reason: 'no-cpu'; readonly needCores: number; readonly freeCores: number };

/**
 * The cluster after one move, or why it cannot be made; the given cluster is not changed. Checks what is
 * physically possible; whether a move is wise (lines, gain, cool-down) is the planner's question.
 */
export function applyMove(cluster: Cluster, step: MoveStep): Result<{ readonly cluster: Cluster }, MoveRefusal> {
  if (step.fromHostId === step.toHostId) return { ok: false, reason: 'destination-same-as-source' };
  const source = findHost(cluster, step.fromHostId);
  if (source === undefined) return { ok: false, reason: 'host-unknown', hostId: step.fromHostId };
  const destination = findHost(cluster, step.toHostId);
  if (destination === undefined) return { ok: false, reason: 'host-unknown', hostId: step.toHostId };
  const vm = source.vms.find((candidate) => candidate.vmId === step.vmId);
  if (vm === undefined) return { ok: false, reason: 'vm-unknown', vmId: step.vmId };
  const refusal = roomRefusal(destination, vm);
  if (refusal !== null) return { ok: false, ...refusal };
  return { ok: true, cluster: withHosts(cluster, [withoutVm(source, vm), withVm(destination, vm)]) };
}

/** Free memory is what neither is in use nor has been promised to a VM. */
export function freeMemoryBytes(host: ClusterHost): number {
  return host.capacity.memoryBytes - Math.max(host.memoryUsedBytes, host.memoryPromisedBytes);
}

function roomRefusal(destination: ClusterHost, vm: ClusterVm): MoveRefusal | null {
  if (vm.state !== 'running') return { reason: 'vm-not-running', state: vm.state };
  const freeBytes = freeMemoryBytes(destination);
  if (vm.memoryBytes > freeBytes) return { reason: 'no-memory', needBytes: vm.memoryBytes, freeBytes };
  const freeCores = destination.capacity.cpuCores - destination.cpuUsedCores;
  if (vm.cpuUsedCores > freeCores) return { reason: 'no-cpu', needCores: vm.cpuUsedCores, freeCores };
  return null;
}
