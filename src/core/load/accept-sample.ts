import type { HostCapacity } from '#core/model/host.ts';
import type { Result } from '#core/model/result.ts';
import type { Sample } from '#core/model/sample.ts';
import type { VmSample } from '#core/model/vm.ts';
import { capacityChange, contradictionIn } from './contradiction.ts';
import type { SampleRejection } from './rejection.ts';

/** What has to be remembered of the newest accepted sample of a host; a Sample is one. */
export type SampleMark = Pick<Sample, 'hostId' | 'bootId' | 'sequence' | 'takenAtMs'>;

export interface SampleLimits {
  /** Clock skew that is borne: a sample may be this far in the future. */
  readonly futureMsMax: number;
  readonly ageMsMax: number;
  /** Counters of two intervals do not line up exactly; above this factor of the capacity it is not jitter. */
  readonly cpuOverCapacityFactor: number;
  /** A VM's CPU includes its emulator's own threads (migration, I/O), so it may exceed its virtual CPUs. */
  readonly vmCpuOverVcpusFactor: number;
  readonly vmCpuOverVcpusCores: number;
}

export const defaultSampleLimits: SampleLimits = {
  futureMsMax: 2_000,
  ageMsMax: 60_000,
  cpuOverCapacityFactor: 1.5,
  vmCpuOverVcpusFactor: 1.5,
  vmCpuOverVcpusCores: 1,
};

/** `restarted`: another agent process than before (its sequence starts anew). */
export type SampleVerdict = Result<{ readonly sample: Sample; readonly restarted: boolean }, SampleRejection>;

/** What the newest sample of a host said, taken or not. */
export interface SaidBefore {
  readonly bootId: string;
  readonly capacity: HostCapacity;
}

/**
 * Accepts a sample as the next one of its host, or says why not. A rejected sample changes nothing: the
 * host goes on with what was accepted before, and freezes when that gets too old, or at once when its figures
 * cannot be true (see host-trust.ts).
 */
export function acceptSample(
  previous: SampleMark | null,
  sample: Sample,
  nowMs: number,
  said: SaidBefore | null = null,
  limits: SampleLimits = defaultSampleLimits,
): SampleVerdict {
  const rejection =
    orderFault(previous, sample) ??
    timeFault(sample, nowMs, limits) ??
    figureFault(sample, limits) ??
    capacityChange(said?.bootId === sample.bootId ? said.capacity : null, sample.host) ??
    contradictionIn(sample);
  if (rejection !== null) return { ok: false, ...rejection };
  return { ok: true, sample, restarted: previous !== null && previous.bootId !== sample.bootId };
}

function orderFault(previous: SampleMark | null, sample: Sample): SampleRejection | null {
  if (!Number.isSafeInteger(sample.sequence) || sample.sequence < 0) return implausible(`sequence is ${sample.sequence}`);
  if (previous === null) return null;
  if (previous.hostId !== sample.hostId)
    return { reason: 'wrong-host', message: `a sample of ${sample.hostId}, expected ${previous.hostId}` };
  if (previous.bootId === sample.bootId && sample.sequence <= previous.sequence) {
    return { reason: 'sequence-back', message: `sequence ${sample.sequence} after ${previous.sequence}: a late or repeated sample` };
  }
  // Holds over restarts too: a sample of an earlier agent process that is sent again is older.
  if (sample.takenAtMs <= previous.takenAtMs) {
    return { reason: 'older-than-previous', message: `taken ${previous.takenAtMs - sample.takenAtMs} ms before the one already accepted` };
  }
  return null;
}

function timeFault(sample: Sample, nowMs: number, limits: SampleLimits): SampleRejection | null {
  const ageMs = nowMs - sample.takenAtMs;
  if (!Number.isFinite(ageMs)) return implausible(`taken at ${sample.takenAtMs}`);
  if (ageMs < -limits.futureMsMax) return { reason: 'in-future', message: `taken ${-ageMs} ms in the future: check the host's clock` };
  if (ageMs > limits.ageMsMax) return { reason: 'too-old', message: `taken ${ageMs} ms ago: check the host's clock and link` };
  return null;
}

function figureFault(sample: Sample, limits: SampleLimits): SampleRejection | null {
  const { host, vms } = sample;
  const { cpuCores, memoryBytes } = host.capacity;
  if (!isAmount(cpuCores) || cpuCores === 0) return implausible(`capacity is ${cpuCores} cores`);
  if (!isAmount(memoryBytes) || memoryBytes === 0) return implausible(`capacity is ${memoryBytes} bytes of memory`);
  const coresMax = cpuCores * limits.cpuOverCapacityFactor;
  if (!isAmountOrNull(host.cpuUsedCores) || (host.cpuUsedCores ?? 0) > coresMax) {
    return implausible(`${host.cpuUsedCores} cores used of ${cpuCores}`);
  }
  if (!isAmount(host.memoryUsedBytes) || host.memoryUsedBytes > memoryBytes) {
    return implausible(`${host.memoryUsedBytes} bytes of memory used of ${memoryBytes}`);
  }
  if (host.pressure !== null && !Object.values(host.pressure).every(isPercent)) return implausible('pressure is not a percentage');
  if (host.rates !== undefined && !Object.values(host.rates).every(isAmountOrNull))
    return implausible('a rate is negative or not a number');
  return vmsFault(vms, coresMax, limits);
}

function vmsFault(vms: readonly VmSample[], coresMax: number, limits: SampleLimits): SampleRejection | null {
  const seen = new Set<string>();
  let coresSum = 0;
  for (const vm of vms) {
    if (seen.has(vm.vmId)) return implausible(`${vm.name} is listed twice`);
    seen.add(vm.vmId);
    const fault = vmFault(vm, limits);
    if (fault !== null) return implausible(fault);
    coresSum += vm.cpuUsedCores ?? 0;
  }
  return coresSum > coresMax ? implausible(`the VMs together use ${coresSum} cores, more than the host has`) : null;
}

function vmFault(vm: VmSample, limits: SampleLimits): string | null {
  const rates = [vm.netReceivedBytesPerSecond, vm.netSentBytesPerSecond, vm.diskReadBytesPerSecond, vm.diskWrittenBytesPerSecond];
  const amounts = [vm.vcpus, vm.memoryBytes, vm.memoryResidentBytes];
  if (!amounts.every(isAmount) || ![...rates, vm.cpuUsedCores, vm.cpuDelayCores].every(isAmountOrNull)) {
    return `a figure of ${vm.name} is negative or not a number`;
  }
  const most = vm.vcpus * limits.vmCpuOverVcpusFactor + limits.vmCpuOverVcpusCores;
  if ((vm.cpuUsedCores ?? 0) > most) return `${vm.name} uses ${vm.cpuUsedCores} cores with ${vm.vcpus} virtual CPUs`;
  // A virtual CPU that waits does not run.
  const wanted = (vm.cpuUsedCores ?? 0) + (vm.cpuDelayCores ?? 0);
  return wanted > most ? `${vm.name} uses or waits for ${wanted} cores with ${vm.vcpus} virtual CPUs` : null;
}

function implausible(message: string): SampleRejection {
  return { reason: 'implausible', message };
}

function isAmount(value: number): boolean {
  return Number.isFinite(value) && value >= 0;
}

function isAmountOrNull(value: number | null): boolean {
  return value === null || isAmount(value);
}

function isPercent(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= 100;
}
