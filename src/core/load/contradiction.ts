import type { HostCapacity } from '#core/model/host.ts';
import type { HostReading, Sample } from '#core/model/sample.ts';
import type { SampleRejection } from './rejection.ts';

/** How far two figures that count the same thing may be apart before they contradict each other. */
export interface ContradictionLimits {
  /** The VMs' CPU against the host's: counters of two sources, read some milliseconds apart. */
  readonly vmCpuOverHostFactor: number;
  /** The larger of these two is borne beside it. */
  readonly vmCpuOverHostCores: number;
  readonly vmCpuOverHostCapacityPercent: number;
  /** The VMs' resident memory against what is in use: pages that the kernel has merged (KSM) count for each VM. */
  readonly residentOverUsedFactor: number;
  readonly residentOverUsedBytes: number;
  /** Use and steal together, of the capacity: both are of one reading. */
  readonly stealOverCapacityFactor: number;
  /** Firmware and crash kernels may take a little memory after the start. */
  readonly memoryCapacityChangePercent: number;
}

export const defaultContradictionLimits: ContradictionLimits = {
  vmCpuOverHostFactor: 1.25,
  vmCpuOverHostCores: 0.5,
  vmCpuOverHostCapacityPercent: 10,
  residentOverUsedFactor: 3,
  residentOverUsedBytes: 2 ** 30,
  stealOverCapacityFactor: 1.1,
  memoryCapacityChangePercent: 1,
};

/**
 * Figures of one sample that cannot be true together, whichever of them is the wrong one: a host that uses less than its VMs do would be
 * taken for an empty one and drawn on as a target. For samples whose figures are plausible one by one.
 */
export function contradictionIn(sample: Sample, limits: ContradictionLimits = defaultContradictionLimits): SampleRejection | null {
  return cpuContradiction(sample, limits) ?? stealContradiction(sample.host, limits) ?? memoryContradiction(sample, limits);
}

function cpuContradiction({ host, vms }: Sample, limits: ContradictionLimits): SampleRejection | null {
  if (host.cpuUsedCores === null) return null;
  const vmCores = vms.reduce((sum, vm) => sum + (vm.cpuUsedCores ?? 0), 0);
  const borneCores = Math.max(limits.vmCpuOverHostCores, (host.capacity.cpuCores * limits.vmCpuOverHostCapacityPercent) / 100);
  if (vmCores <= host.cpuUsedCores * limits.vmCpuOverHostFactor + borneCores) return null;
  return { reason: 'cpu-contradicts', message: `its VMs use ${shown(vmCores)} cores, the host says ${shown(host.cpuUsedCores)}` };
}

function stealContradiction({ cpuUsedCores, capacity, rates }: HostReading, limits: ContradictionLimits): SampleRejection | null {
  const stolen = rates?.cpuStealCores ?? 0;
  const used = cpuUsedCores ?? 0;
  if (stolen === 0 || used + stolen <= capacity.cpuCores * limits.stealOverCapacityFactor) return null;
  return {
    reason: 'cpu-contradicts',
    message: `${shown(used)} cores used and ${shown(stolen)} stolen are more than its ${shown(capacity.cpuCores)}`,
  };
}

/** A host that says it is full hides nothing: one that offers a part of its memory says so when its VMs hold more. */
function memoryContradiction({ host, vms }: Sample, limits: ContradictionLimits): SampleRejection | null {
  const { memoryUsedBytes, capacity } = host;
  const running = vms.filter(({ state }) => state === 'running').length;
  if (running > 0 && memoryUsedBytes === 0) {
    return { reason: 'memory-contradicts', message: `no memory is in use, and ${running} of its VMs run` };
  }
  const residentBytes = vms.reduce((sum, vm) => sum + vm.memoryResidentBytes, 0);
  const most = memoryUsedBytes * limits.residentOverUsedFactor + limits.residentOverUsedBytes;
  if (residentBytes <= most || memoryUsedBytes >= capacity.memoryBytes) return null;
  return {
    reason: 'memory-contradicts',
    message: `its VMs hold ${residentBytes} bytes of memory, the host says ${memoryUsedBytes} in use`,
  };
}

/**
 * A capacity that is another one than a sample ago, of the same agent process. Compared with the newest sample, taken or not: cores that
 * are switched on cost one sample, a capacity that comes and goes costs every other one.
 */
export function capacityChange(
  previous: HostCapacity | null,
  { capacity }: HostReading,
  limits: ContradictionLimits = defaultContradictionLimits,
): SampleRejection | null {
  if (previous === null) return null;
  const borneBytes = (previous.memoryBytes * limits.memoryCapacityChangePercent) / 100;
  const isSame = capacity.cpuCores === previous.cpuCores && Math.abs(capacity.memoryBytes - previous.memoryBytes) <= borneBytes;
  if (isSame) return null;
  return { reason: 'capacity-changed', message: `a sample ago it had ${sizeOf(previous)}, now ${sizeOf(capacity)}` };
}

function sizeOf({ cpuCores, memoryBytes }: HostCapacity): string {
  return `${shown(cpuCores)} cores and ${memoryBytes} bytes of memory`;
}

function shown(cpuCores: number): string {
  return String(Math.round(cpuCores * 100) / 100);
}
