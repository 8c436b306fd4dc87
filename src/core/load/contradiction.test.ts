import { describe, expect, it } from 'vitest';
import type { HostRates } from '#core/model/sample.ts';
import type { Bytes, Cores } from '#core/model/units.ts';
import { capacityChange, contradictionIn } from './contradiction.ts';
import { exampleSample, exampleVmSample, gibibyte } from './examples.ts';

const vm = (cpuUsedCores: number | null, residentGib = 2) =>
  exampleVmSample('vm', cpuUsedCores, { vcpus: 8, memoryResidentBytes: (residentGib * gibibyte) as Bytes });
const rates = (cpuStealCores: number): HostRates => ({
  cpuStealCores: cpuStealCores as Cores,
  netReceivedBytesPerSecond: null,
  netSentBytesPerSecond: null,
  diskReadBytesPerSecond: null,
  diskWrittenBytesPerSecond: null,
});

describe('figures of one sample', () => {
  it.each([
    ['VMs that use far more CPU than the host', exampleSample({ vms: [vm(4)] }, { cpuUsedCores: 0.5 as Cores }), 'cpu-contradicts'],
    ['an idle host with busy VMs', exampleSample({ vms: [vm(2)] }, { cpuUsedCores: 0 as Cores }), 'cpu-contradicts'],
    ['use and steal beyond the capacity', exampleSample({}, { cpuUsedCores: 6 as Cores, rates: rates(4) }), 'cpu-contradicts'],
    ['VMs that hold far more memory than is used', exampleSample({ vms: [vm(1, 40)] }), 'memory-contradicts'],
    ['running VMs on a host without used memory', exampleSample({ vms: [vm(0)] }, { memoryUsedBytes: 0 as Bytes }), 'memory-contradicts'],
  ])('contradict each other: %s', (_, sample, reason) => {
    const found = contradictionIn(sample);
    expect(found).toMatchObject({ reason });
    expect(found?.message).not.toBe('');
  });

  it.each([
    ['counters that were read some milliseconds apart', exampleSample({ vms: [vm(2.4)] })],
    ['a first reading of the host', exampleSample({ vms: [vm(4)] }, { cpuUsedCores: null })],
    ['a first reading of the VM', exampleSample({ vms: [vm(null)] }, { cpuUsedCores: 0 as Cores })],
    ['merged pages', exampleSample({ vms: [vm(1, 20)] })],
    ['a host that is full and has more promised', exampleSample({ vms: [vm(1, 400)] }, { memoryUsedBytes: (64 * gibibyte) as Bytes })],
    ['an empty host that offers a part of its memory', exampleSample({}, { memoryUsedBytes: 0 as Bytes })],
    ['a machine from which much is stolen', exampleSample({}, { cpuUsedCores: 2 as Cores, rates: rates(6) })],
  ])('do not contradict each other: %s', (_, sample) => {
    expect(contradictionIn(sample)).toBeNull();
  });
});

describe('a capacity', () => {
  const { host } = exampleSample();
  const with2More = { ...host, capacity: { ...host.capacity, cpuCores: 10 as Cores } };

  it('does not change from one sample to the next', () => {
    expect(capacityChange(host.capacity, with2More)).toMatchObject({ reason: 'capacity-changed' });
    expect(capacityChange(host.capacity, { ...host, capacity: { ...host.capacity, memoryBytes: gibibyte as Bytes } })).not.toBeNull();
  });

  it('is compared with one that was said, and may differ by what firmware takes', () => {
    expect(capacityChange(null, with2More)).toBeNull();
    expect(capacityChange(host.capacity, host)).toBeNull();
    const less = { ...host.capacity, memoryBytes: (63.9 * gibibyte) as Bytes };
    expect(capacityChange(host.capacity, { ...host, capacity: less })).toBeNull();
  });
});
