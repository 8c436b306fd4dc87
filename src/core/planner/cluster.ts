import type { HostCapacity, HostId } from '#core/model/host.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { Bytes, Cores } from '#core/model/units.ts';
import type { VmId, VmState } from '#core/model/vm.ts';
import { compareText } from './cool-down.ts';
import { type PressureSlopes, pressureSlopes } from './pressure.ts';
import { wantedCores } from './shortage.ts';
import { diskOf, networkOf, trafficOf, type TrafficScale, trafficScale } from './traffic.ts';
import { occupiesMemory } from './where.ts';

export interface ClusterVm {
  readonly vmId: VmId;
  readonly name: string;
  readonly state: VmState;
  readonly cpuUsedCores: Cores;
  /** With what it has to wait for. */
  readonly cpuWantedCores: number;
  /** What it is expected to want over the forecast's horizon, and its standard deviation; what it uses now, and 0, where nothing is known. */
  readonly meanCores: number;
  readonly spreadCores: number;
  /** Mean and standard deviation of its last hours; as it is now where they are not known. */
  readonly usualCores: number;
  readonly usualSpreadCores: number;
  /** What it may use, and what a target must have free. */
  readonly memoryBytes: Bytes;
  /** What its host's used memory is expected to fall by when it leaves: never more than it may use. */
  readonly memoryReliefBytes: Bytes;
  /** What it takes along, in percent of what goes through the cards and disks of all hosts; 0 where it is not known. */
  readonly networkPercent: number;
  readonly diskPercent: number;
}

export interface ClusterHost {
  readonly hostId: HostId;
  readonly capacity: HostCapacity;
  readonly cpuUsedCores: Cores;
  readonly memoryUsedBytes: Bytes;
  /** Sum of what its VMs may use, in use or not. */
  readonly memoryPromisedBytes: Bytes;
  /** How far above an even share of what goes through the cards and disks of all hosts, in percent of that; null where it is not known. */
  readonly networkAbovePercent: number | null;
  readonly diskAbovePercent: number | null;
  /** Null where it has no more than is usual. */
  readonly pressure: PressureSlopes | null;
  readonly vms: readonly ClusterVm[];
}

/** The hosts whose load is known, sorted by id, as they will be when the migrations under way have ended. */
export interface Cluster {
  readonly policy: Policy;
  readonly hosts: readonly ClusterHost[];
  readonly positions: ReadonlyMap<HostId, number>;
}

export function findHost(cluster: Cluster, hostId: HostId): ClusterHost | undefined {
  const position = cluster.positions.get(hostId);
  return position === undefined ? undefined : cluster.hosts[position];
}

/** A new cluster with some hosts replaced (by id). */
export function withHosts(cluster: Cluster, changed: readonly ClusterHost[]): Cluster {
  const hosts = [...cluster.hosts];
  for (const host of changed) {
    const position = cluster.positions.get(host.hostId);
    if (position !== undefined) hosts[position] = host;
  }
  return { ...cluster, hosts };
}

/** The host without the VM. */
export function withoutVm(host: ClusterHost, vm: ClusterVm): ClusterHost {
  return {
    ...host,
    cpuUsedCores: cores(Math.max(0, host.cpuUsedCores - vm.cpuUsedCores)),
    memoryUsedBytes: bytes(Math.max(0, host.memoryUsedBytes - vm.memoryReliefBytes)),
    memoryPromisedBytes: bytes(Math.max(0, host.memoryPromisedBytes - vm.memoryBytes)),
    networkAbovePercent: host.networkAbovePercent === null ? null : host.networkAbovePercent - vm.networkPercent,
    diskAbovePercent: host.diskAbovePercent === null ? null : host.diskAbovePercent - vm.diskPercent,
    vms: host.vms.filter((other) => other.vmId !== vm.vmId),
  };
}

/** The host with the VM; all the memory it may use counts as used, because a copy touches every page. */
export function withVm(host: ClusterHost, vm: ClusterVm): ClusterHost {
  return {
    ...host,
    cpuUsedCores: cores(host.cpuUsedCores + vm.cpuUsedCores),
    memoryUsedBytes: bytes(host.memoryUsedBytes + vm.memoryBytes),
    memoryPromisedBytes: bytes(host.memoryPromisedBytes + vm.memoryBytes),
    networkAbovePercent: host.networkAbovePercent === null ? null : host.networkAbovePercent + vm.networkPercent,
    diskAbovePercent: host.diskAbovePercent === null ? null : host.diskAbovePercent + vm.diskPercent,
    vms: [...host.vms, { ...vm, memoryReliefBytes: vm.memoryBytes }],
  };
}

/**
 * The cluster of the hosts that are not frozen. VMs with unusable figures stay out: they can neither be
 * counted nor moved. Migrations under way are applied, so that a destination's room is taken and a source
 * is not relieved twice of the same load.
 */
export function clusterOf(snapshot: Snapshot, frozen: ReadonlyMap<HostId, unknown>): Cluster {
  const vmsByHost = new Map<HostId, SnapshotVm[]>();
  for (const vm of snapshot.vms) {
    if (!hasUsableFigures(vm) || !occupiesMemory(vm.state)) continue;
    const vms = vmsByHost.get(vm.hostId);
    if (vms === undefined) vmsByHost.set(vm.hostId, [vm]);
    else vms.push(vm);
  }
  // Sorted before anything is summed up: rounding must not depend on the order in which hosts are told.
  const known = snapshot.hosts.filter((host) => !frozen.has(host.hostId)).toSorted((a, b) => compareText(a.hostId, b.hostId));
  const scales = { network: trafficScale(known, networkOf), disk: trafficScale(known, diskOf) };
  const hosts = known.map((host) => clusterHostOf(host, vmsByHost.get(host.hostId) ?? [], scales));
  const positions = new Map(hosts.map((host, position) => [host.hostId, position]));
  return applyInFlight({ policy: snapshot.policy, hosts, positions }, snapshot);
}

interface Scales {
  readonly network: TrafficScale;
  readonly disk: TrafficScale;
}

export function hasUsableFigures(vm: SnapshotVm): boolean {
  return Number.isFinite(vm.cpuUsedCores) && vm.cpuUsedCores >= 0 && Number.isFinite(vm.memoryBytes) && vm.memoryBytes >= 0;
}

function clusterHostOf(host: SnapshotHost, vms: readonly SnapshotVm[], scales: Scales): ClusterHost {
  const sorted = vms.toSorted((a, b) => compareText(a.vmId, b.vmId));
  const promisedBytes = sorted.reduce((sum, vm) => sum + vm.memoryBytes, 0);
  // Guests seldom touch all they may use: what leaves with one is its share of what is really in use.
  const residentShare = promisedBytes > 0 ? Math.min(1, host.memoryUsedBytes / promisedBytes) : 1;
  const { hostId, capacity, cpuUsedCores, memoryUsedBytes } = host;
  const network = trafficOf(host, sorted, scales.network);
  const disk = trafficOf(host, sorted, scales.disk);
  const use = { capacity, cpuUsedCores, memoryUsedBytes, diskAbovePercent: disk.abovePercent, evenDiskPercent: scales.disk.evenPercent };
  return {
    hostId,
    capacity,
    cpuUsedCores,
    memoryUsedBytes,
    memoryPromisedBytes: bytes(promisedBytes),
    networkAbovePercent: network.abovePercent,
    diskAbovePercent: disk.abovePercent,
    pressure: pressureSlopes(host.pressure, use),
    vms: sorted.map((vm) =>
      clusterVmOf(vm, vm.memoryBytes * residentShare, { networkPercent: network.shareOf(vm), diskPercent: disk.shareOf(vm) }),
    ),
  };
}

/** Of a normal distribution, nine tenths lie below its mean and this many standard deviations. */
export const deviationsOfHigh = 1.2816;

const noTraffic: Pick<ClusterVm, 'networkPercent' | 'diskPercent'> = { networkPercent: 0, diskPercent: 0 };

/** A forecast counts by its confidence, against the guess that the VM goes on as it is. `traffic`: for the score only. */
export function clusterVmOf(vm: SnapshotVm, memoryReliefBytes: number, traffic = noTraffic): ClusterVm {
  const { vmId, name, state, cpuUsedCores, memoryBytes, forecast } = vm;
  const share = (forecast?.confidencePercent ?? 0) / 100;
  const { meanCores, highCores } = forecast ?? { meanCores: cpuUsedCores, highCores: cpuUsedCores };
  return {
    vmId,
    name,
    state,
    cpuUsedCores,
    cpuWantedCores: wantedCores(vm),
    meanCores: share * meanCores + (1 - share) * cpuUsedCores,
    spreadCores: Math.max(0, highCores - meanCores) / deviationsOfHigh,
    usualCores: forecast?.usual?.meanCores ?? cpuUsedCores,
    usualSpreadCores: forecast?.usual?.spreadCores ?? 0,
    memoryBytes,
    memoryReliefBytes: bytes(memoryReliefBytes),
    ...traffic,
  };
}

function applyInFlight(cluster: Cluster, snapshot: Snapshot): Cluster {
  const copies = new Map<VmId, SnapshotVm>();
  // Both hosts may report the VM at this time; the running copy carries the load.
  for (const vm of snapshot.vms) if (hasUsableFigures(vm) && vm.state !== 'incoming') copies.set(vm.vmId, vm);
  let result = cluster;
  for (const { vmId, fromHostId, toHostId } of snapshot.inFlight.toSorted((a, b) => compareText(a.vmId, b.vmId))) {
    const source = findHost(result, fromHostId);
    const leaving = source?.vms.find((vm) => vm.vmId === vmId);
    if (source !== undefined && leaving !== undefined) result = withHosts(result, [withoutVm(source, leaving)]);
    const copy = copies.get(vmId);
    const destination = findHost(result, toHostId);
    if (copy === undefined || copy.hostId === toHostId || destination === undefined) continue;
    const arriving: ClusterVm = leaving ?? clusterVmOf(copy, copy.memoryBytes);
    const incoming = destination.vms.find((vm) => vm.vmId === vmId);
    result = withHosts(result, [withVm(incoming === undefined ? destination : withoutVm(destination, incoming), arriving)]);
  }
  return result;
}
