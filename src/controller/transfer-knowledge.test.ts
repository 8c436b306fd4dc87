import { noCorrections } from '#core/migration/forecast-corrections.ts';
import { exampleFacts, exampleOptions, mebibyte } from '#core/migration/forecast-examples.ts';
import { predict } from '#core/migration/prediction.ts';
import { begin } from '#core/migration/step.ts';
import type { Migration } from '#core/model/migration.ts';
import { pilotPolicyOf } from '#core/model/policy.ts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { newCluster, request } from './fake-cluster.ts';
import { MemoryStore, otherVmId, vmId } from './fakes.ts';
import { TransferKnowledge } from './transfer-knowledge.ts';

const dayMs = 86_400_000;
const nowMs = 10 * dayMs;
const ends = { fromHostId: 'b', toHostId: 'a' };
const plain = { total: 1, downtime: 1, bytes: 1 };

/** It moved from a to b and took `factor` times as long as the model says; what it was told was measured at `atMs`. */
function moved(migrationId: string, atMs: number, factor = 1, changes: Partial<Migration['request']> = {}): Migration {
  const { activity, bandwidth, ...facts } = exampleFacts();
  const told = { ...facts, activity: { ...activity, measuredAtMs: atMs }, bandwidth: { ...bandwidth, measuredAtMs: atMs } };
  const options = exampleOptions();
  const prediction = predict(options, { ...told, corrections: noCorrections });
  const outcome = {
    totalMs: prediction.totalMs.expected * factor,
    downtimeMs: prediction.downtimeMs.expected * factor,
    memorySentBytes: prediction.bytes.expected,
    iterations: 2,
  };
  return {
    ...begin({ ...request, migrationId, ...changes }).migration,
    phase: 'done',
    outcome,
    plan: { options, pilot: pilotPolicyOf('balanced'), reason: '', prediction },
    endedAtMs: atMs + 1000,
  };
}

function knowing(...migrations: readonly Migration[]): Promise<TransferKnowledge> {
  const store = new MemoryStore();
  for (const migration of migrations) store.records.set(migration.request.migrationId, migration);
  return TransferKnowledge.load(store);
}

describe('what is known of channels and of memory', () => {
  it('is nothing at first', async () => {
    const knowledge = await knowing();
    expect([knowledge.bandwidths(), knowledge.vmFacts([], nowMs)]).toEqual([[], []]);
  });

  it('is the newest that was measured of a pair, whoever sent', async () => {
    const knowledge = await knowing();
    knowledge.noteBandwidth(ends, { bytesPerSecond: 7 * mebibyte, measuredAtMs: 5, by: 'stream' });
    knowledge.noteBandwidth({ fromHostId: 'a', toHostId: 'b' }, { bytesPerSecond: 9 * mebibyte, measuredAtMs: 6, by: 'stream' });
    knowledge.noteBandwidth(ends, { bytesPerSecond: 0, measuredAtMs: 7, by: 'stream' });
    expect(knowledge.bandwidths()).toEqual([{ hostA: 'a', hostB: 'b', bytesPerSecond: 9 * mebibyte, measuredAtMs: 6, factors: plain }]);
  });

  it('is what migrations were told before a restart; another channel than IPsec says nothing of it', async () => {
    const knowledge = await knowing(moved('m1', nowMs - 5000), moved('m2', nowMs - 9000, 1, { toHostId: 'c', channelKind: 'qemu-tls' }));
    expect(knowledge.bandwidths()).toMatchObject([{ hostA: 'a', hostB: 'b', measuredAtMs: nowMs - 5000 }]);
    expect(knowledge.vmFacts([], nowMs)).toEqual([{ vmId, slaClass: null, tenant: null, activity: knowledge.activityOf(vmId, nowMs) }]);
    expect(knowledge.activityOf(vmId, nowMs)?.usedBytes).toBe(256 * mebibyte);
  });

  it('counts by how much migrations of the pair were longer than the model, and by those of all pairs where it has few', async () => {
    const slow = ['1', '2', '3', '4'].map((name, index) => moved(`slow-${name}`, nowMs - 9000 + index, 2));
    const knowledge = await knowing(...slow);
    knowledge.noteBandwidth({ fromHostId: 'c', toHostId: 'd' }, { bytesPerSecond: 8 * mebibyte, measuredAtMs: 5, by: 'stream' });
    const found = knowledge.bandwidths();
    expect(found.map(({ hostA }) => hostA).toSorted()).toEqual(['a', 'c']);
    // All of the time depends on the bandwidth but the hand-over: half of what was measured is what migrations get.
    for (const { hostA, bytesPerSecond } of found) expect(bytesPerSecond / mebibyte / (hostA === 'a' ? 32 : 8)).toBeCloseTo(0.5, 1);
    for (const index of [5, 6, 7, 8]) knowledge.noteMoved(moved(`fast-${index}`, nowMs + index, 1, { fromHostId: 'c', toHostId: 'd' }));
    const later = knowledge.bandwidths().find(({ hostA }) => hostA === 'c');
    expect(later?.bytesPerSecond).toBeCloseTo(32 * mebibyte, 0);
  });

  it('forgets what a VM did to its memory after a day, and has it beside what operators say', async () => {
    const knowledge = await knowing(moved('m1', nowMs - dayMs - 1));
    const said = [{ vmId: otherVmId, slaClass: 'critical', tenant: null }];
    expect(knowledge.vmFacts(said, nowMs)).toEqual([{ ...said[0], activity: null }]);
    const { activity } = exampleFacts();
    knowledge.noteActivity(otherVmId, { ...activity, measuredAtMs: nowMs });
    expect(knowledge.vmFacts(said, nowMs)).toEqual([{ ...said[0], activity: { ...activity, measuredAtMs: nowMs } }]);
  });
});

describe('of a migration that was made', () => {
  let stop: AbortController;
  beforeEach(() => {
    vi.useFakeTimers({ now: 1_000_000 });
    stop = new AbortController();
  });
  afterEach(() => {
    stop.abort();
    vi.useRealTimers();
  });

  it('the planner knows the channel and the memory, and the ledger what it sent', async () => {
    const world = await newCluster(stop.signal);
    world.source.answers['path.stream'] = ({ durationMs }) => ({ bytes: 4 * mebibyte, durationMs, packetsOut: 9, packetBytesOut: 9 });
    expect((await world.rooms.surveys.snapshot()).bandwidths).toEqual([]);
    const migrationId = await world.start();
    await vi.advanceTimersByTimeAsync(20_000);
    world.arrive({ memorySentBytes: 123_456 });
    await world.end(migrationId);
    const { bandwidths, vmFacts } = await world.rooms.surveys.snapshot();
    expect(bandwidths).toMatchObject([{ hostA: 'a', hostB: 'b', bytesPerSecond: expect.any(Number) as number }]);
    expect(vmFacts).toMatchObject([{ vmId, activity: { measuredForMs: expect.any(Number) as number } }]);
    expect(world.parts.store.ledger).toMatchObject([{ migrationId, outcome: 'moved', sentBytes: 123_456 }]);
  });
});
