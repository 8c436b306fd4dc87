/** For the linter: amounts on the hosts while the moves of a plan are replayed. */
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';

/** Amounts on one host while the moves are replayed: used, and promised to VMs. */
export interface Tally {
  readonly host: SnapshotHost;
  /** Share of what its VMs may use that is in use. */
  readonly residentShare: number;
  cores: number;
  /** What its VMs use, which may be more than what the host says it uses; and what they wait for. */
  vmCores: number;
  waitingCores: number;
  usedBytes: number;
  promisedBytes: number;
}

export interface Tallies {
  readonly tallies: ReadonlyMap<string, Tally>;
  /** The copy of each VM that runs. */
  readonly vms: ReadonlyMap<string, SnapshotVm>;
}

/** As the migrations under way will leave the hosts. */
export function talliesOf(snapshot: Snapshot): Tallies {
  const held = Map.groupBy(snapshot.vms.filter(isHeld), ({ hostId }) => hostId);
  const tallies = new Map(snapshot.hosts.map((host) => [host.hostId, tallyOf(host, held.get(host.hostId) ?? [])]));
  const vms = new Map(snapshot.vms.filter((vm) => vm.state !== 'incoming').map((vm) => [vm.vmId, vm]));
  for (const { vmId, fromHostId, toHostId } of snapshot.inFlight) {
    const vm = vms.get(vmId);
    if (vm === undefined || vm.hostId === toHostId) continue;
    // What the destination holds of it already is counted in full below.
    const copy = snapshot.vms.find((other) => other.vmId === vmId && other.hostId === toHostId);
    if (copy !== undefined) shift(tallies.get(toHostId), undefined, copy);
    shift(isHeld(vm) ? tallies.get(fromHostId) : undefined, tallies.get(toHostId), vm);
  }
  return { tallies, vms };
}

function tallyOf(host: SnapshotHost, here: readonly SnapshotVm[]): Tally {
  const promisedBytes = here.filter(isUsable).reduce((sum, vm) => sum + vm.memoryBytes, 0);
  const residentShare = promisedBytes === 0 ? 1 : Math.min(1, host.memoryUsedBytes / promisedBytes);
  const waitingCores = here.reduce((sum, vm) => sum + waitedBy(vm), 0);
  const vmCores = here.reduce((sum, vm) => sum + (isUsable(vm) ? vm.cpuUsedCores : 0), 0);
  return { host, residentShare, cores: host.cpuUsedCores, vmCores, waitingCores, usedBytes: host.memoryUsedBytes, promisedBytes };
}

/** What a VM uses and waits for; no more than its virtual CPUs where it uses no more. */
export function wantedBy({ vcpus, cpuUsedCores, cpuDelayCores }: SnapshotVm): number {
  const wanted = cpuUsedCores + cpuDelayCores;
  return wanted > vcpus ? Math.max(vcpus, cpuUsedCores) : wanted;
}

function waitedBy(vm: SnapshotVm): number {
  return isUsable(vm) ? Math.max(0, wantedBy(vm) - vm.cpuUsedCores) : 0;
}

function isUsable(vm: SnapshotVm): boolean {
  return vm.cpuUsedCores >= 0 && vm.memoryBytes >= 0;
}

/** Percent of its CPU that is used on it or waited for. */
export function wantedPercent({ host, cores, vmCores, waitingCores }: Tally): number {
  return (100 * (Math.max(cores, vmCores) + waitingCores)) / host.capacity.cpuCores;
}

export function isHeld(vm: SnapshotVm): boolean {
  return vm.state !== 'shut-off' && vm.state !== 'crashed';
}

export function shift(source: Tally | undefined, target: Tally | undefined, vm: SnapshotVm): void {
  if (source !== undefined) {
    source.cores = Math.max(0, source.cores - vm.cpuUsedCores);
    source.vmCores = Math.max(0, source.vmCores - vm.cpuUsedCores);
    source.waitingCores = Math.max(0, source.waitingCores - waitedBy(vm));
    source.usedBytes -= vm.memoryBytes * source.residentShare;
    source.promisedBytes -= vm.memoryBytes;
  }
  if (target === undefined) return;
  target.cores += vm.cpuUsedCores;
  target.vmCores += vm.cpuUsedCores;
  target.waitingCores += waitedBy(vm);
  target.usedBytes += vm.memoryBytes;
  target.promisedBytes += vm.memoryBytes;
}

export function percentages({ host, cores, usedBytes }: Tally): { readonly cpu: number; readonly memory: number } {
  return { cpu: (100 * cores) / host.capacity.cpuCores, memory: (100 * Math.max(0, usedBytes)) / host.capacity.memoryBytes };
}
