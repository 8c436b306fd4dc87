import type { HostId } from '#core/model/host.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import type { VmId, VmState } from '#core/model/vm.ts';

/** On which host a VM is, in one state of a plan; undefined for one that is not known. */
export type Where = (vmId: VmId) => HostId | undefined;

export function occupiesMemory(state: VmState): boolean {
  return state === 'running' || state === 'paused' || state === 'incoming' || state === 'unknown';
}

/** Where the VMs are when the migrations under way have ended. */
export function baseWhere(snapshot: Snapshot): Where {
  const places = new Map<VmId, HostId>();
  for (const vm of snapshot.vms) if (vm.state !== 'incoming' || !places.has(vm.vmId)) places.set(vm.vmId, vm.hostId);
  for (const { vmId, toHostId } of snapshot.inFlight) if (places.has(vmId)) places.set(vmId, toHostId);
  return (vmId) => places.get(vmId);
}

/** The same with some VMs on other hosts. */
export function whereWith(where: Where, moved: ReadonlyMap<VmId, HostId>): Where {
  return (vmId) => moved.get(vmId) ?? where(vmId);
}
