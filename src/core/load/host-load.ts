import type { HostCapacity, HostId, HostStatus } from '#core/model/host.ts';
import type { HostRates, Pressure, Sample } from '#core/model/sample.ts';
import type { SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { Cores } from '#core/model/units.ts';
import type { VmId, VmSample } from '#core/model/vm.ts';
import type { SampleMark } from './accept-sample.ts';
import { smooth } from './smoothing.ts';
import type { Smoothed } from './smoothing.ts';
import { type Traffic, trafficIn } from './traffic.ts';

/** Smoothed load of one VM; `cpuCores` is null until its first rate is known. */
export interface VmLoad {
  readonly sample: VmSample;
  readonly cpuCores: Smoothed | null;
  /** What it waited for; null where its host does not tell. */
  readonly delayCores: Smoothed | null;
  /** Null where it is not known yet. */
  readonly traffic: Traffic<Smoothed | null>;
}

/**
 * Smoothed load of one host, all that the controller holds per host. The host's own part (everything that
 * no VM accounts for) and each VM are smoothed apart, so that a VM that leaves takes its load with it at
 * once: smoothing the sum would show an overload for minutes after it has been relieved.
 */
export interface HostLoad {
  readonly mark: SampleMark;
  readonly capacity: HostCapacity;
  readonly pressure: Pressure | null;
  /** Of the newest sample, not smoothed; null where its agent does not measure them. */
  readonly rates: HostRates | null;
  /** Cores that no VM accounts for; may be slightly negative, as counters of two sources do not line up. */
  readonly cpuOtherCores: Smoothed | null;
  /** Through its cards and disks, that no VM accounts for: below 0 where VMs talk to each other. Null where its agent does not know. */
  readonly otherTraffic: Traffic<Smoothed | null>;
  /** Memory in use that no VM accounts for, in bytes. */
  readonly memoryOtherBytes: Smoothed | null;
  readonly vms: ReadonlyMap<VmId, VmLoad>;
}

/**
 * Takes in one accepted sample. `carried` holds the smoothed CPU of VMs that have come from another host;
 * their first rate here is not known yet.
 *
 * `copied`: the VMs whose migrations this host takes part in, or did at its sample before; null: none. Encrypting and copying, in the kernel and
 * in the threads of QEMU that are counted with their VM (libvirt's `cpu.time`), are no load that would stay: meanwhile what no VM
 * accounts for, and the VM itself, may fall and not rise; nor may what goes through the host's cards and disks. Without that the smoothed load shows the copy long
 * after its end, and the host would be relieved of it. What a VM that is on its way here uses is its copy alone.
 */
export function nextHostLoad(
  previous: HostLoad | null,
  sample: Sample,
  halfLifeMs: number,
  carried: ReadonlyMap<VmId, Cores> = new Map(),
  copied: ReadonlySet<VmId> | null = null,
): HostLoad {
  const { host, takenAtMs } = sample;
  const next = (before: Smoothed | null, reading: number, isHeld: boolean) =>
    smooth(before, isHeld && before !== null ? Math.min(reading, before.value) : reading, takenAtMs, halfLifeMs);
  const vms = new Map<VmId, VmLoad>();
  const vmBytesPerSecond = { network: 0, disk: 0 };
  let vmCores = 0;
  let vmBytes = 0;
  for (const vm of sample.vms) {
    const before = previous?.vms.get(vm.vmId);
    const from = carried.get(vm.vmId);
    const known = before?.cpuCores ?? (from === undefined ? null : { value: from, atMs: takenAtMs });
    const isMeasured = vm.cpuUsedCores !== null && vm.state !== 'incoming';
    const cpuCores = isMeasured ? next(known, vm.cpuUsedCores ?? 0, copied?.has(vm.vmId) === true) : known;
    const delayBefore = before?.delayCores ?? null;
    const delayCores = vm.cpuDelayCores === null ? delayBefore : smooth(delayBefore, vm.cpuDelayCores, takenAtMs, halfLifeMs);
    const traffic = nextVmTraffic(before, vm, halfLifeMs, takenAtMs);
    vms.set(vm.vmId, { sample: vm, cpuCores, delayCores, traffic });
    const reading = trafficIn(vm);
    for (const kind of kinds) vmBytesPerSecond[kind] += reading[kind] ?? traffic[kind]?.value ?? 0;
    vmCores += vm.cpuUsedCores ?? cpuCores?.value ?? 0;
    vmBytes += vm.memoryResidentBytes;
  }
  const cpuOther = previous?.cpuOtherCores ?? null;
  const through = host.rates === undefined ? null : trafficIn(host.rates);
  const otherOf = (kind: keyof Traffic): Smoothed | null => {
    if (through === null) return null;
    const [known, reading] = [previous?.otherTraffic[kind] ?? null, through[kind]];
    return reading === null ? known : next(known, reading - vmBytesPerSecond[kind], copied !== null);
  };
  return {
    mark: { hostId: sample.hostId, bootId: sample.bootId, sequence: sample.sequence, takenAtMs },
    capacity: host.capacity,
    pressure: host.pressure,
    rates: host.rates ?? null,
    cpuOtherCores: host.cpuUsedCores === null ? cpuOther : next(cpuOther, host.cpuUsedCores - vmCores, copied !== null),
    otherTraffic: { network: otherOf('network'), disk: otherOf('disk') },
    memoryOtherBytes: smooth(previous?.memoryOtherBytes ?? null, host.memoryUsedBytes - vmBytes, takenAtMs, halfLifeMs),
    vms,
  };
}

const kinds = ['network', 'disk'] as const satisfies readonly (keyof Traffic)[];

/** Not of a copy that waits for its memory: what it does is no load that would stay. */
function nextVmTraffic(before: VmLoad | undefined, vm: VmSample, halfLifeMs: number, takenAtMs: number): VmLoad['traffic'] {
  const reading = trafficIn(vm);
  const next = (kind: keyof Traffic) => {
    const [known, rate] = [before?.traffic[kind] ?? null, reading[kind]];
    return rate === null || vm.state === 'incoming' ? known : smooth(known, rate, takenAtMs, halfLifeMs);
  };
  return { network: next('network'), disk: next('disk') };
}

/** What goes through the host's cards or disks, smoothed; null where it is not known. */
function throughHost(load: HostLoad, kind: keyof Traffic): number | null {
  const other = load.otherTraffic[kind];
  if (other === null) return null;
  let sum = other.value;
  for (const vm of load.vms.values()) sum += vm.traffic[kind]?.value ?? 0;
  return Math.max(0, sum);
}

/** The host's smoothed CPU; null before its first rate is known, which is not the same as idle. */
export function cpuUsedCores(load: HostLoad): Cores | null {
  if (load.cpuOtherCores === null) return null;
  let sum = load.cpuOtherCores.value;
  for (const vm of load.vms.values()) sum += vm.cpuCores?.value ?? 0;
  return cores(Math.max(0, sum));
}

/** The smoothed CPU of each VM whose rate is known: what `carried` needs when one moves. */
export function vmCpuCores(load: HostLoad): ReadonlyMap<VmId, Cores> {
  const known = new Map<VmId, Cores>();
  for (const [vmId, vm] of load.vms) if (vm.cpuCores !== null) known.set(vmId, cores(Math.max(0, vm.cpuCores.value)));
  return known;
}

/** The host as the planner sees it; null while its CPU is not known. */
export function snapshotHostOf(
  load: HostLoad,
  facts: Pick<SnapshotHost, 'roundsOverLine' | 'relieving' | 'quarantine' | 'cordoned' | 'unfit'> & { readonly status: HostStatus },
): SnapshotHost | null {
  const cpu = cpuUsedCores(load);
  if (cpu === null) return null;
  let memory = load.memoryOtherBytes?.value ?? 0;
  for (const vm of load.vms.values()) memory += vm.sample.memoryResidentBytes;
  return {
    hostId: load.mark.hostId,
    status: facts.status,
    capacity: load.capacity,
    cpuUsedCores: cpu,
    memoryUsedBytes: bytes(Math.max(0, memory)),
    networkBytesPerSecond: throughHost(load, 'network'),
    diskBytesPerSecond: throughHost(load, 'disk'),
    pressure: load.pressure,
    sampledAtMs: load.mark.takenAtMs,
    roundsOverLine: facts.roundsOverLine,
    relieving: facts.relieving,
    quarantine: facts.quarantine,
    cordoned: facts.cordoned,
    unfit: facts.unfit,
  };
}

/** The host's VMs as the planner sees them, without a forecast. One whose CPU is not known yet counts as idle: its load is still in the host's own part. */
export function snapshotVmsOf(load: HostLoad): readonly SnapshotVm[] {
  return [...load.vms.values()].map((vm) => snapshotVmOf(load.mark.hostId, vm));
}

function snapshotVmOf(hostId: HostId, { sample: vm, cpuCores, delayCores, traffic }: VmLoad): SnapshotVm {
  return {
    vmId: vm.vmId,
    name: vm.name,
    hostId,
    state: vm.state,
    vcpus: vm.vcpus,
    cpuUsedCores: cores(Math.max(0, cpuCores?.value ?? 0)),
    cpuDelayCores: cores(Math.max(0, delayCores?.value ?? 0)),
    memoryBytes: vm.memoryBytes,
    networkBytesPerSecond: traffic.network?.value ?? null,
    diskBytesPerSecond: traffic.disk?.value ?? null,
    forecast: null,
  };
}
