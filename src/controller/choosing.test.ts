import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { exampleFacts, exampleOptions, mebibyte } from '#core/migration/forecast-examples.ts';
import { noCorrections } from '#core/migration/forecast-corrections.ts';
import { predict } from '#core/migration/prediction.ts';
import { begin } from '#core/migration/step.ts';
import type { Migration } from '#core/model/migration.ts';
import type { RefusalCode } from '#core/model/result.ts';
import { pastTransfersOf } from './choosing.ts';
import { type FakeAgent, guardState, plan, policy, refuse, silence } from './fakes.ts';
import { argsOf, type Cluster, count, newCluster, request, wish } from './fake-cluster.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

/** In MiB and MiB/s. */
function writes(agent: FakeAgent, { dirty = 0, used = 64 }: { readonly dirty?: number; readonly used?: number } = {}): void {
  const sizes = { usedBytes: used * mebibyte, dirtyBytesPerSecond: dirty * mebibyte, workingSetBytes: dirty * mebibyte };
  agent.answers['vm.measure'] = () => ({ activity: { measuredAtMs: Date.now(), measuredForMs: 3000, ...sizes } });
}

function carries(agent: FakeAgent, mebibytesPerSecond: number): void {
  agent.answers['path.stream'] = ({ durationMs }) => {
    const sent = Math.round((mebibytesPerSecond * mebibyte * Number(durationMs)) / 1000);
    return { bytes: sent, durationMs, packetsOut: 1000, packetBytesOut: sent };
  };
}

function userspace(agent: FakeAgent): void {
  agent.answers['channel.list'] = () => ({ backend: 'libipsec', guard: guardState(0), errors: null, sas: [], tuned: [] });
}

/** Until it is copying, or has ended. */
async function chosenFor(world: Cluster, changes: Parameters<Cluster['start']>[0] = {}): Promise<Migration | undefined> {
  const migrationId = await world.start(changes);
  await vi.advanceTimersByTimeAsync(20_000);
  return world.rooms.executor.current(migrationId) ?? world.parts.store.records.get(migrationId);
}

async function measured(dirty: number, carried = 32): Promise<Cluster> {
  const world = await newCluster(stop.signal);
  writes(world.source, { dirty });
  carries(world.source, carried);
  return world;
}

describe('how a transfer is made', () => {
  it('is chosen from what is measured while the channel is made, once', async () => {
    const world = await measured(1);
    const migration = await chosenFor(world);
    expect(migration).toMatchObject({ phase: 'copying', plan: { options: { method: 'pre-copy' } } });
    expect(migration?.plan?.prediction).toMatchObject({
      activity: { dirtyBytesPerSecond: mebibyte },
      bandwidth: { bytesPerSecond: 32 * mebibyte, by: 'stream', measuredAtMs: expect.any(Number) },
    });
    expect(migration?.decisions).toMatchObject([{ by: 'choice', action: expect.stringContaining('start pre-copy') }]);
    const { asked } = world.source;
    expect(asked.indexOf('vm.measure')).toBeLessThan(asked.indexOf('channel.prepare'));
    expect(asked.indexOf('path.stream')).toBeLessThan(asked.indexOf('channel.probe'));
    expect(count(world.source, 'vm.measure')).toBe(1);
    expect(argsOf(world.source, 'transfer.start')).toMatchObject([{ plan: { prediction: { bandwidth: { by: 'stream' } } } }]);
  });

  it('takes no longer than the channel, where the VM is watched for less long than that takes', async () => {
    const took = async (channelMs: number) => {
      const world = await measured(1);
      const later = (name: 'vm.measure' | 'channel.establish', ms: number) =>
        world.source.delay(name, new Promise((resolve) => void setTimeout(resolve, ms)));
      const migrationId = await world.start();
      later('channel.establish', channelMs);
      const usual = world.source.answers['vm.measure'];
      world.source.answers['vm.measure'] = (args) => new Promise((resolve) => void setTimeout(() => resolve(usual?.(args)), 3000));
      const sinceMs = Date.now();
      while (world.rooms.executor.current(migrationId)?.phase !== 'copying') await vi.advanceTimersByTimeAsync(100);
      return Date.now() - sinceMs;
    };
    expect(await took(5000)).toBeLessThan(5500);
    expect(await took(0)).toBeGreaterThan(2900);
  });

  it.each([
    ['the memory', ({ source }: Cluster) => (source.answers['vm.measure'] = refuse('method-unsupported'))],
    ['the memory in time', ({ source }: Cluster) => (source.answers['vm.measure'] = () => silence)],
    ['the channel', ({ source }: Cluster) => (source.answers['path.stream'] = refuse('channel-failed'))],
    ['a channel that carried nothing', ({ source }: Cluster) => carries(source, 0)],
  ] as const)('is left to the autopilot where %s could not be measured', async (_story, spoil) => {
    const world = await measured(1);
    spoil(world);
    expect(await chosenFor(world)).toMatchObject({
      phase: 'copying',
      plan: {
        options: { method: 'pre-copy' },
        prediction: null,
        pilot: { ladder: policy.migration.pilot.ladder },
        reason: expect.stringContaining('nothing is predicted'),
      },
    });
  });

  it.each<[story: string, wished: Parameters<Cluster['start']>[0], dirty: number, code: RefusalCode]>([
    ['writes faster than the channel carries', { wish: { method: 'auto', autoConverge: false } }, 600, 'not-converging'],
    ['is to go by post-copy, which the policy does not allow', { wish: { method: 'post-copy' } }, 1, 'post-copy-not-allowed'],
    ['would be stopped for longer than is accepted', { wish: { method: 'stop-and-copy', downtimeMsMax: 100 } }, 1, 'downtime-budget'],
    ['is to go over more streams than the channel bears', { wish: { method: 'auto', streams: 32 } }, 1, 'method-unsupported'],
  ])('is refused for a VM that %s, before the first byte', async (_story, wished, dirty, code) => {
    const world = await measured(dirty);
    writes(world.source, { dirty, used: 600 });
    expect(await chosenFor(world, wished)).toMatchObject({ phase: 'failed', plan: null, failure: { code } });
    expect(world.source.asked).not.toContain('transfer.start');
    expect(world.source.asked.at(-1)).toBe('channel.close');
  });

  it('is refused when the source does not say what it can do', async () => {
    const world = await measured(1);
    world.source.answers['vm.method-faults'] = refuse('hypervisor-unavailable');
    expect(await chosenFor(world)).toMatchObject({ phase: 'failed', failure: { code: 'hypervisor-unavailable' } });
    const short = await measured(1);
    short.source.answers['vm.method-faults'] = () => ({ faults: [] });
    expect(await chosenFor(short)).toMatchObject({
      phase: 'failed',
      failure: { code: 'method-unsupported', message: expect.stringContaining('did not say') },
    });
  });

  it('is refused when a certificate, overdue for renewal, would end before the predicted end', async () => {
    const slow = async (lifeMs: number) => {
      const world = await newCluster(stop.signal, { lifeMs });
      writes(world.source, { used: 900 });
      carries(world.source, 0.5);
      return chosenFor(world);
    };
    const refused = await slow(1_000_000);
    expect(refused).toMatchObject({
      phase: 'failed',
      failure: { code: 'certificate-expired', message: expect.stringContaining('may take') },
    });
    expect(await slow(20 * 3_600_000)).toMatchObject({ phase: 'copying' });
  });
});

describe('streams', () => {
  const several = { wish: { method: 'auto', streams: 4 } } as const;

  it.each(['source', 'destination'] as const)('are one where the %s has its ESP in user space', async (end) => {
    const world = await measured(1);
    userspace(world[end]);
    expect(await chosenFor(world, several)).toMatchObject({
      phase: 'failed',
      failure: { code: 'method-unsupported', message: expect.stringContaining('userspace ESP') },
    });
    const kernel = await measured(1);
    expect(await chosenFor(kernel, several)).toMatchObject({ phase: 'copying', plan: { options: { streams: 4 } } });
  });

  it('of the policy are put aside there, and the choice says why', async () => {
    const changes = { migration: { ...policy.migration, streams: 4 } };
    const world = await newCluster(stop.signal, { changes });
    userspace(world.destination);
    const migration = await chosenFor(world);
    expect(migration).toMatchObject({ phase: 'copying', plan: { options: { streams: 1 } } });
    expect(migration?.decisions[0]).toMatchObject({ action: 'put aside 4 streams', reason: expect.stringContaining('userspace ESP') });
  });
});

describe('earlier migrations', () => {
  const facts = exampleFacts({ memory: 1024, used: 64, dirty: 1 });

  /** Took twice as long as the model says. */
  function past(migrationId: string, changes: Partial<Migration> = {}): Migration {
    const prediction = predict(exampleOptions(), { ...facts, corrections: noCorrections });
    const { migration } = begin({ ...request, migrationId, askedAtMs: 500_000 });
    const outcome = { totalMs: prediction.totalMs.expected * 2, downtimeMs: 50, memorySentBytes: prediction.bytes.expected, iterations: 2 };
    return { ...migration, phase: 'done', endedAtMs: 600_000, plan: { ...plan, prediction }, outcome, ...changes };
  }

  async function predictedAfter(migrations: readonly Migration[]) {
    const world = await measured(1);
    for (const one of migrations) world.parts.store.records.set(one.request.migrationId, one);
    return (await chosenFor(world))?.plan?.prediction ?? null;
  }

  it('correct the next prediction', async () => {
    const first = await predictedAfter([]);
    const later = await predictedAfter(['p1', 'p2', 'p3', 'p4'].map((id) => past(id)));
    expect([first?.correctedBy, later?.correctedBy]).toEqual([0, 4]);
    const ratio = (later?.totalMs.expected ?? 0) / (first?.totalMs.expected ?? 1);
    expect(ratio).toBeGreaterThan(1.5);
    expect(ratio).toBeLessThan(2.5);
  });

  it('teach nothing when they stayed, or when nobody saw their end', async () => {
    const stayed = past('p1', { phase: 'failed', failure: { code: 'migration-failed', message: 'no' } });
    const nothing = {
      hypervisorDowntimeMs: null,
      outside: null,
      espBytes: null,
      espPackets: null,
      source: null,
      destination: null,
      arrival: null,
    };
    const seenLast = { method: 'pre-copy', attempts: 1, totalMs: 800, memorySentBytes: 700, rounds: 3, ...nothing } as const;
    const unseen = past('p2', { outcome: null, measures: seenLast });
    // Control arm: seen to its end, the same teaches.
    expect((await predictedAfter([past('p2', { measures: seenLast })]))?.correctedBy).toBe(1);
    expect((await predictedAfter([stayed, unseen]))?.correctedBy).toBe(0);
    expect(pastTransfersOf([past('p3'), unseen, stayed])).toHaveLength(1);
  });
});

describe('what was measured', () => {
  it('of the channel is good for the next migrations, for ten minutes, and for IPsec only', async () => {
    const world = await measured(1);
    await world.rooms.choosing.measureChannel(request, policy.channel.profile);
    const bandwidthOf = async (changes: object = {}) => {
      const choice = await world.rooms.choosing.choose({ ...request, ...changes });
      return choice.ok ? (choice.plan.prediction?.bandwidth.bytesPerSecond ?? null) : choice.refusal;
    };
    expect(await bandwidthOf()).toBe(32 * mebibyte);
    expect(await bandwidthOf({ channelKind: 'none' })).toBeNull();
    vi.setSystemTime(Date.now() + 600_001);
    expect(await bandwidthOf()).toBeNull();
  });

  it.each([
    ['that met a stall is sent again', [1, 30], 30],
    ['that is slow again and again is believed', [1, 2, 1.5, 40], 2],
    ['that is half as fast as before is believed at once', [16, 40], 16],
    ['that carries nothing is sent again', [0, 31], 31],
  ])('of the channel rests on a stream; one %s', async (_story, speeds, expected) => {
    const world = await measured(0);
    await world.rooms.choosing.measureChannel(request, policy.channel.profile);
    expect(count(world.source, 'path.stream')).toBe(1);
    const left = [...speeds];
    world.source.answers['path.stream'] = ({ durationMs }) => {
      const bytes = Math.round(((left.shift() ?? 0) * mebibyte * Number(durationMs)) / 1000);
      return { bytes, durationMs, packetsOut: 1000, packetBytesOut: bytes };
    };
    await world.rooms.choosing.measureChannel(request, policy.channel.profile);
    const choice = await world.rooms.choosing.choose(request);
    expect(choice).toMatchObject({ plan: { prediction: { bandwidth: { bytesPerSecond: expected * mebibyte, by: 'stream' } } } });
    expect(count(world.source, 'path.stream')).toBe(1 + speeds.length - left.length);
  });

  it('of a migration that never comes to a choice is forgotten', async () => {
    const world = await measured(1);
    world.source.answers['channel.establish'] = refuse('ipsec-failed');
    const failed = await chosenFor(world);
    expect(failed).toMatchObject({ phase: 'failed', failure: { code: 'ipsec-failed' } });
    expect(count(world.source, 'vm.measure')).toBe(1);
    await world.rooms.choosing.choose({ ...request, migrationId: failed?.request.migrationId ?? '' });
    expect(count(world.source, 'vm.measure')).toBe(2);
  });

  it('is taken by the choice (control arm of the one before)', async () => {
    const world = await measured(1);
    world.rooms.choosing.begin(request);
    await world.rooms.choosing.choose(request);
    expect(count(world.source, 'vm.measure')).toBe(1);
  });
});

describe('an abort', () => {
  it('while it is chosen how keeps every byte here', async () => {
    const world = await measured(1);
    const { promise, resolve } = Promise.withResolvers<void>();
    world.source.delay('vm.method-faults', promise);
    const migrationId = await world.start();
    await vi.advanceTimersByTimeAsync(5000);
    expect(world.rooms.executor.current(migrationId)?.phase).toBe('secured');
    await world.rooms.executor.abort(migrationId);
    resolve();
    expect(await world.end(migrationId)).toMatchObject({ phase: 'failed', failure: { code: 'aborted' } });
    expect(world.source.asked).not.toContain('transfer.start');
    expect(world.parts.store.ledger).toMatchObject([{ vmId: wish.vmId, outcome: 'stayed', failureCode: 'aborted' }]);
  });
});
