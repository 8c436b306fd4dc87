/** Samples for tests: an 8-core, 64 GiB host with the given VMs. Figures are not checked, so that broken ones can be built. */
import type { HostReading, Sample } from '#core/model/sample.ts';
import type { Bytes, Cores } from '#core/model/units.ts';
import type { VmSample } from '#core/model/vm.ts';

export const gibibyte = 2 ** 30;

export function exampleSample(more: Partial<Sample> = {}, host: Partial<HostReading> = {}): Sample {
  return {
    hostId: 'host-a',
    sequence: 1,
    bootId: 'boot-1',
    takenAtMs: 1_000_000,
    host: {
      cpuUsedCores: 2 as Cores,
      memoryUsedBytes: (8 * gibibyte) as Bytes,
      capacity: { cpuCores: 8 as Cores, memoryBytes: (64 * gibibyte) as Bytes },
      pressure: null,
      ...host,
    },
    vms: [],
    ...more,
  };
}

export function exampleVmSample(vmId: string, cpuUsedCores: number | null, more: Partial<VmSample> = {}): VmSample {
  return {
    vmId,
    name: vmId,
    state: 'running',
    vcpus: 2,
    memoryBytes: (4 * gibibyte) as Bytes,
    memoryResidentBytes: (2 * gibibyte) as Bytes,
    cpuUsedCores: cpuUsedCores as Cores | null,
    cpuDelayCores: null,
    netReceivedBytesPerSecond: null,
    netSentBytesPerSecond: null,
    diskReadBytesPerSecond: null,
    diskWrittenBytesPerSecond: null,
    ...more,
  };
}
