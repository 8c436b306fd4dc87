import { describe, expect, it } from 'vitest';
import type { Bytes, Cores } from '#core/model/units.ts';
import { acceptSample } from './accept-sample.ts';
import type { SampleMark } from './accept-sample.ts';
import { exampleSample, exampleVmSample, gibibyte } from './examples.ts';

const previous: SampleMark = { hostId: 'host-a', bootId: 'boot-1', sequence: 7, takenAtMs: 1_000_000 };
const next = exampleSample({ sequence: 8, takenAtMs: 1_003_000 });

const noRates = {
  cpuStealCores: null,
  netReceivedBytesPerSecond: null,
  netSentBytesPerSecond: null,
  diskReadBytesPerSecond: null,
  diskWrittenBytesPerSecond: null,
};

function outcome(sample: typeof next, nowMs = 1_003_100, before: SampleMark | null = previous): string {
  const verdict = acceptSample(before, sample, nowMs);
  if (!verdict.ok) expect(verdict.message).not.toBe('');
  return verdict.ok ? (verdict.restarted ? 'restarted' : 'accepted') : verdict.reason;
}

describe('accepting samples', () => {
  it('takes the next one, the first one, and one after a gap', () => {
    expect(outcome(next)).toBe('accepted');
    expect(outcome(next, 1_003_100, null)).toBe('accepted');
    expect(outcome({ ...next, sequence: 90 })).toBe('accepted');
  });

  it('takes a sequence that starts anew only from a new agent process', () => {
    expect(outcome({ ...next, sequence: 0, bootId: 'boot-2' })).toBe('restarted');
    expect(outcome({ ...next, sequence: 0 })).toBe('sequence-back');
  });

  it('rejects repeated, late and replayed samples', () => {
    expect(outcome({ ...next, sequence: 7 })).toBe('sequence-back');
    expect(outcome({ ...next, takenAtMs: 1_000_000 })).toBe('older-than-previous');
    expect(outcome({ ...next, bootId: 'boot-0', sequence: 50, takenAtMs: 999_000 })).toBe('older-than-previous');
    expect(outcome({ ...next, hostId: 'host-b' })).toBe('wrong-host');
  });

  it('bears a little clock skew and no more', () => {
    expect(outcome(next, 1_001_500)).toBe('accepted');
    expect(outcome(next, 1_000_500)).toBe('in-future');
    expect(outcome(next, 1_063_001)).toBe('too-old');
    expect(outcome({ ...next, takenAtMs: Number.NaN })).toBe('implausible');
  });

  it.each([
    ['CPU is NaN', { cpuUsedCores: Number.NaN as Cores }],
    ['CPU is negative', { cpuUsedCores: -0.1 as Cores }],
    ['CPU is far above capacity', { cpuUsedCores: 12.1 as Cores }],
    ['memory is above capacity', { memoryUsedBytes: (65 * gibibyte) as Bytes }],
    ['memory is infinite', { memoryUsedBytes: Infinity as Bytes }],
    ['capacity is zero', { capacity: { cpuCores: 0 as Cores, memoryBytes: gibibyte as Bytes } }],
    ['rates are negative', { rates: { ...noRates, netSentBytesPerSecond: -1 } }],
    ['pressure is no percentage', { pressure: { cpuSomePercent: 101, memorySomePercent: 0, ioSomePercent: 0 } }],
  ])('rejects a host whose %s', (_, host) => {
    expect(outcome(exampleSample({ sequence: 8, takenAtMs: 1_003_000 }, host))).toBe('implausible');
  });

  it.each([
    ['uses far more CPU than it has', [exampleVmSample('vm', 4.1)]],
    ['has NaN CPU', [exampleVmSample('vm', Number.NaN)]],
    ['waits with more virtual CPUs than it has', [exampleVmSample('vm', 1.9, { cpuDelayCores: 2.2 as Cores })]],
    ['has negative memory', [exampleVmSample('vm', 1, { memoryBytes: -1 as Bytes })]],
    ['has a negative rate', [exampleVmSample('vm', 1, { netSentBytesPerSecond: -1 })]],
    ['is listed twice', [exampleVmSample('vm', 1), exampleVmSample('vm', 1)]],
    ['uses, with the others, more than the host has', ['a', 'b', 'c', 'd', 'e'].map((id) => exampleVmSample(id, 3))],
  ])('rejects a sample in which a VM %s', (_, vms) => {
    expect(outcome({ ...next, vms })).toBe('implausible');
  });

  it('takes a new capacity from the second sample that has it, and at once from a new agent process', () => {
    const said = { bootId: 'boot-1', capacity: { ...next.host.capacity, cpuCores: 16 as Cores } };
    expect(acceptSample(previous, next, 1_003_100, said)).toMatchObject({ ok: false, reason: 'capacity-changed' });
    expect(acceptSample(previous, next, 1_003_100, { ...said, capacity: next.host.capacity })).toMatchObject({ ok: true });
    expect(acceptSample(previous, next, 1_003_100, { ...said, bootId: 'boot-0' })).toMatchObject({ ok: true });
  });

  it('rejects figures that contradict each other', () => {
    const vms = [exampleVmSample('vm', 3, { vcpus: 4 })];
    expect(outcome(exampleSample({ sequence: 8, takenAtMs: 1_003_000, vms }, { cpuUsedCores: 0.2 as Cores }))).toBe('cpu-contradicts');
  });

  it('takes unknown rates of a first reading, and jitter above capacity', () => {
    expect(outcome({ ...next, vms: [exampleVmSample('vm', null)] })).toBe('accepted');
    expect(outcome(exampleSample({ sequence: 8, takenAtMs: 1_003_000 }, { cpuUsedCores: 8.3 as Cores }))).toBe('accepted');
    expect(outcome(exampleSample({ sequence: 8, takenAtMs: 1_003_000 }, { cpuUsedCores: null }))).toBe('accepted');
  });
});
