import { describe, expect, it } from 'vitest';

import type { DomainStats } from './procedures.ts';
import { overheadSeconds, postCopyOf, readVmFacts, toVmView, VmSampler } from './vm-stats.ts';

const uuid = '466b12ad-41d1-465c-a339-b802545650a3';

function record(cpuNs: bigint, more: DomainStats['params'] = [], id = 3): DomainStats {
  return {
    domain: { name: 'web', uuid, id },
    params: [
      { field: 'state.state', type: 'i32', value: 1 },
      { field: 'state.reason', type: 'i32', value: 1 },
      { field: 'cpu.time', type: 'u64', value: cpuNs },
      { field: 'balloon.current', type: 'u64', value: 1_024n },
      { field: 'balloon.maximum', type: 'u64', value: 2_048n },
      { field: 'balloon.rss', type: 'u64', value: 512n },
      { field: 'vcpu.current', type: 'u32', value: 2 },
      { field: 'vcpu.maximum', type: 'u32', value: 4 },
      ...more,
    ],
  };
}

describe('statistics of a VM', () => {
  it('are read in bytes, cores and states', () => {
    expect(readVmFacts(record(5n))).toMatchObject({
      vmId: uuid,
      state: 'running',
      vcpus: 2,
      memoryBytes: 2_048 * 1_024,
      memoryResidentBytes: 512 * 1_024,
      counters: { cpuNs: 5, netReceivedBytes: null, diskReadBytes: null },
    });
  });

  it('sum over virtual CPUs, interfaces and disks', () => {
    const facts = readVmFacts(
      record(0n, [
        { field: 'vcpu.0.delay', type: 'u64', value: 10n },
        { field: 'vcpu.1.delay', type: 'u64', value: 20n },
        { field: 'net.count', type: 'u32', value: 2 },
        { field: 'net.0.rx.bytes', type: 'u64', value: 1n },
        { field: 'net.1.rx.bytes', type: 'u64', value: 2n },
        { field: 'net.0.tx.bytes', type: 'u64', value: 4n },
        { field: 'block.0.rd.bytes', type: 'u64', value: 8n },
        { field: 'block.10.rd.bytes', type: 'u64', value: 16n },
        { field: 'block.0.wr.bytes', type: 'u64', value: 32n },
      ]),
    );
    expect(facts.counters).toEqual({
      cpuNs: 0,
      cpuDelayNs: 30,
      netReceivedBytes: 3,
      netSentBytes: 4,
      diskReadBytes: 24,
      diskWrittenBytes: 32,
    });
  });

  it('become rates between two readings', () => {
    const sampler = new VmSampler();
    expect(sampler.sample([readVmFacts(record(1_000_000_000n))], 10_000)[0]?.cpuUsedCores).toBeNull();
    expect(sampler.sample([readVmFacts(record(4_000_000_000n))], 12_000)[0]?.cpuUsedCores).toBe(1.5);
  });

  it('give no rate when a counter went back, as after a restart, nor when no time has passed', () => {
    const sampler = new VmSampler();
    sampler.sample([readVmFacts(record(4_000n))], 1_000);
    expect(sampler.sample([readVmFacts(record(10n))], 2_000)[0]?.cpuUsedCores).toBeNull();
    expect(sampler.sample([readVmFacts(record(20n))], 2_000)[0]?.cpuUsedCores).toBeNull();
  });

  it('forget a VM that was not there in between', () => {
    const sampler = new VmSampler();
    sampler.sample([readVmFacts(record(1n))], 1_000);
    sampler.sample([], 2_000);
    expect(sampler.sample([readVmFacts(record(9n))], 3_000)[0]?.cpuUsedCores).toBeNull();
  });

  it('tell a copy that comes in from a VM that is paused', () => {
    const paused = readVmFacts({ domain: { name: 'web', uuid, id: 3 }, params: [{ field: 'state.state', type: 'i32', value: 3 }] });
    expect(toVmView(paused, { persistent: false, job: 'incoming' })).toMatchObject({ state: 'incoming', jobActive: true });
    expect(toVmView(paused, { persistent: false, job: 'none' })).toMatchObject({ state: 'paused', jobActive: false });
  });

  it('name a state that this driver does not know', () => {
    expect(readVmFacts({ domain: { name: 'web', uuid, id: 3 }, params: [] }).state).toBe('unknown');
  });

  it('tell what the process used beyond its virtual CPUs, where both are known', () => {
    const whole = { field: 'cpu.time', type: 'u64', value: 9_000_000_000n } as const;
    const vcpus = [0, 1].map((index) => ({ field: `vcpu.${index}.time`, type: 'u64', value: 3_000_000_000n }) as const);
    expect(overheadSeconds([whole, ...vcpus])).toBe(3);
    expect(overheadSeconds([whole])).toBeNull();
    expect(overheadSeconds(vcpus)).toBeNull();
  });

  it.each([
    [1, 10, 'active'],
    [1, 11, 'failed'],
    [3, 12, 'active'],
    [3, 13, 'failed'],
    [1, 1, null],
    [1, 12, null],
    [3, 2, null],
    [3, 10, null],
    [5, 12, null],
  ] as const)('tell post-copy: state %i with reason %i is %s', (state, reason, postCopy) => {
    expect(postCopyOf({ state, reason })).toBe(postCopy);
  });
});
