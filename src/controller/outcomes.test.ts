import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { begin } from '#core/migration/step.ts';
import type { Migration } from '#core/model/migration.ts';
import { proofPolicy } from '#core/channel/proof.ts';
import { association, definition, MemoryStore, plan, reading, refuse, runningVm, silence } from './fakes.ts';
import { bridged, canWatch, type Cluster, count, echoing, echoReport, newCluster, request } from './fake-cluster.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const cost = (hypervisorCpuSeconds: number | null, ipsecCpuSeconds: number | null = 1) => ({
  cost: { hypervisorCpuSeconds, ipsecCpuSeconds, agentCpuSeconds: 2 },
});
const sourceCost = { hypervisorCpuSeconds: 3, ipsecCpuSeconds: null, agentCpuSeconds: 0.5 };

async function newWorld(options: Parameters<typeof newCluster>[1] = {}): Promise<Cluster> {
  const world = await newCluster(stop.signal, options);
  world.source.definition = world.destination.definition = definition({ interfaces: bridged });
  world.destination.offered = { networks: ['br0'] };
  return world;
}

/** Until the source is copying. */
async function copying(world: Cluster): Promise<string> {
  const migrationId = await world.start();
  while (world.rooms.executor.current(migrationId)?.phase !== 'copying') await vi.advanceTimersByTimeAsync(100);
  return migrationId;
}

describe('what a migration cost', () => {
  it('is told by both hosts, by the channel, and by one outside', async () => {
    const world = await newWorld();
    canWatch(world.bystander, echoing({ gaps: [{ fromMs: 1_000_500, untilMs: 1_000_620 }] }));
    let read = 0;
    world.destination.answers['vm.cost'] = () => cost((read += 1) * 4);
    world.source.answers['witness.look'] = () => ({ addresses: [], place: 'elsewhere' });
    const migrationId = await copying(world);
    world.arrive({ sourceCost, attempts: 2 });
    const record = await world.end(migrationId);
    expect(record?.measures).toEqual({
      method: 'pre-copy',
      attempts: 2,
      totalMs: 900,
      hypervisorDowntimeMs: 50,
      outside: {
        witnessHostId: 'c',
        address: '10.9.0.5',
        intervalMs: 5,
        sent: expect.any(Number),
        answered: expect.any(Number),
        downtimeMs: 120,
        brownoutMs: 0,
        delayMsP50: 0.4,
        delayMsP99: 2,
      },
      memorySentBytes: 1000,
      rounds: 2,
      espBytes: 500_000,
      espPackets: 5000,
      source: sourceCost,
      destination: { hypervisorCpuSeconds: 4, ipsecCpuSeconds: 0, agentCpuSeconds: 0 },
      arrival: { definitionRight: true, sourceClean: true, announced: true, answers: true, lockedOnce: null, troubles: [] },
    });
    expect(count(world.bystander, 'witness.stop')).toBe(1);
  });

  const lease = { lockspace: 'locks', key: 'web1', path: '/srv' };

  it.each<readonly [story: string, change: (world: Cluster) => unknown, lockedOnce: boolean | null]>([
    ['as it should be', () => undefined, true],
    ['the destination has lost it', ({ destination }) => (destination.held = false), false],
    ['the source has kept it', ({ source }) => (source.held = true), false],
    ['the source does not say', ({ source }) => (source.answers['vm.find'] = () => ({ vm: null, image: null })), null],
  ])('tells who holds the storage lock, by the word of both lock managers: %s', async (_story, change, lockedOnce) => {
    const world = await newWorld();
    world.source.definition = world.destination.definition = definition({ interfaces: bridged, leases: [lease] });
    const migrationId = await copying(world);
    world.arrive();
    change(world);
    expect((await world.end(migrationId))?.measures?.arrival).toMatchObject({ definitionRight: true, lockedOnce });
  });

  it('is told without what nobody saw from outside', async () => {
    const world = await newWorld();
    const migrationId = await copying(world);
    world.arrive();
    expect((await world.end(migrationId))?.measures).toMatchObject({
      totalMs: 900,
      outside: null,
      source: null,
      destination: { hypervisorCpuSeconds: 0 },
      arrival: { definitionRight: true, answers: null, announced: null },
    });
  });

  it.each([
    ['cannot be read', refuse('hypervisor-unavailable'), null],
    ['is not known in part', () => cost(null), { hypervisorCpuSeconds: null, ipsecCpuSeconds: 0, agentCpuSeconds: 0 }],
  ] as const)('is null where the destination %s', async (_story, answer, expected) => {
    const world = await newWorld();
    world.destination.answers['vm.cost'] = answer;
    const migrationId = await copying(world);
    world.arrive();
    expect((await world.end(migrationId))?.measures?.destination).toEqual(expected);
  });

  it('is null for the destination where only one of the two readings came', async () => {
    const first = await newWorld();
    first.destination.answers['vm.cost'] = refuse('hypervisor-unavailable');
    const one = await copying(first);
    first.destination.answers['vm.cost'] = () => cost(9);
    first.arrive();
    expect((await first.end(one))?.measures?.destination).toBeNull();
  });

  it('tells the way that the autopilot took', async () => {
    const pilot = (action: string) => ({ by: 'autopilot', atMs: 1, elapsedMs: 1, action, reason: 'the VM writes too fast' });
    for (const [action, method] of [
      ['raise downtime to 400 ms', 'pre-copy'],
      ['post-copy', 'hybrid'],
      ['stop and copy', 'stop-and-copy'],
    ] as const) {
      const world = await newWorld();
      const migrationId = await copying(world);
      world.arrive({}, [pilot(action)]);
      expect((await world.end(migrationId))?.measures?.method).toBe(method);
    }
  });

  it('is what was seen last, of a transfer whose end nobody saw', async () => {
    const world = await newWorld();
    const figures = { memoryTotalBytes: 1000, memoryRemainingBytes: 10, memorySentBytes: 700, bandwidthBytesPerSecond: null };
    const rest = { dirtyPagesPerSecond: null, pageSizeBytes: null, iteration: 3, expectedDowntimeMs: null, throttlePercent: null };
    const progress = { elapsedMs: 800, ...figures, ...rest, stage: 'copying' };
    const status = { kind: 'running', progress, ask: null, decisions: [], attempts: 1 };
    world.source.answers['transfer.status'] = () => ({ status });
    const migrationId = await copying(world);
    await vi.advanceTimersByTimeAsync(1000);
    [world.source.vm, world.destination.vm] = [null, runningVm()];
    world.source.answers['transfer.status'] = () => ({ status: { kind: 'unknown' } });
    const record = await world.end(migrationId);
    expect(record).toMatchObject({ phase: 'done', outcome: null });
    expect(record?.measures).toMatchObject({ totalMs: 800, memorySentBytes: 700, rounds: 3, hypervisorDowntimeMs: null, source: null });
  });
});

describe('a witness', () => {
  it('that dies with the VM on its way leaves no word, and holds nothing up', async () => {
    const world = await newWorld();
    canWatch(world.bystander);
    const migrationId = await copying(world);
    world.bystander.line.close('gone');
    world.arrive();
    const sinceMs = Date.now();
    expect((await world.end(migrationId))?.measures).toMatchObject({ outside: null, arrival: { answers: null } });
    expect(Date.now() - sinceMs).toBeLessThanOrEqual(2000);
  });

  it('whose agent has restarted knows nothing any more', async () => {
    const world = await newWorld();
    canWatch(world.bystander);
    const migrationId = await copying(world);
    world.bystander.answers['witness.report'] = () => ({ report: null });
    world.arrive();
    expect((await world.end(migrationId))?.measures).toMatchObject({ outside: null, arrival: { answers: null } });
  });

  it('that hears no more of the VM says so after a while; one that never heard it says nothing of that', async () => {
    const answersAfter = async (answered: number) => {
      const world = await newWorld();
      canWatch(world.bystander, () => echoReport({ answered, lastAnswerAtMs: answered === 0 ? null : Date.now() }));
      const migrationId = await copying(world);
      world.arrive();
      return (await world.end(migrationId))?.measures?.arrival;
    };
    expect(await answersAfter(190)).toMatchObject({ answers: false, troubles: ['the VM does not answer on its network'] });
    expect(await answersAfter(0)).toMatchObject({ answers: null, troubles: [] });
  });

  it('with a clock of its own is understood: its gap counts where it was', async () => {
    const seen = async (aheadMs: number, gapAtMs: number) => {
      const world = await newWorld();
      world.rooms.skews.forget('c');
      world.rooms.skews.note('c', Date.now() + aheadMs, Date.now());
      canWatch(world.bystander, echoing({ gaps: [{ fromMs: gapAtMs, untilMs: gapAtMs + 100 }] }));
      const startedAtMs = Date.now();
      const migrationId = await copying(world);
      world.arrive();
      const downtimeMs = (await world.end(migrationId))?.measures?.outside?.downtimeMs;
      vi.setSystemTime(startedAtMs);
      return downtimeMs;
    };
    expect(await seen(60_000, 1_060_300)).toBe(100);
    expect(await seen(60_000, 1_000_300)).toBe(0);
    expect(await seen(0, 1_000_300)).toBe(100);
  });
});

describe('the start of the transfer', () => {
  /** Between the proof's last word and the first byte. */
  async function waited(spoil: (world: Cluster) => unknown): Promise<number> {
    const world = await newWorld();
    canWatch(world.bystander);
    spoil(world);
    let provenAtMs = 0;
    let startedAtMs = 0;
    const heard = world.destination.usual('channel.heard');
    const start = world.source.usual('transfer.start');
    world.destination.answers['channel.heard'] = (args) => {
      provenAtMs = Date.now();
      return heard(args);
    };
    world.source.answers['transfer.start'] = (args) => {
      startedAtMs = Date.now();
      return start(args);
    };
    await copying(world);
    return startedAtMs - provenAtMs;
  }

  it('waits at most a second for a witness or a cost that does not come, while the proof is fresh', async () => {
    const quiet = await waited(() => undefined);
    expect(quiet).toBeLessThan(100);
    const slow = await waited((world) => {
      world.destination.answers['vm.cost'] = () => silence;
      for (const agent of [world.source, world.destination, world.bystander])
        for (const name of ['witness.look', 'witness.start', 'witness.stop'] as const) agent.answers[name] = () => silence;
    });
    expect(slow).toBeGreaterThanOrEqual(900);
    expect(slow).toBeLessThanOrEqual(1100);
    expect(slow).toBeLessThan(proofPolicy.proofLifetimeMs / 10);
  });

  it('does not wait at all for a witness that was found while the channel was made', async () => {
    const made = await waited((world) => {
      world.bystander.delay('witness.start', new Promise((resolve) => void setTimeout(resolve, 1500)));
      world.bystander.answers['witness.start'] = () => new Promise((resolve) => void setTimeout(() => resolve({ watching: true }), 1500));
      world.source.delay('channel.establish', new Promise((resolve) => void setTimeout(resolve, 2000)));
    });
    expect(made).toBeLessThan(100);
  });

  it('leaves a cost that comes too late out', async () => {
    const world = await newWorld();
    let asked = 0;
    world.destination.answers['vm.cost'] = () => {
      asked += 1;
      return asked === 1 ? new Promise((resolve) => void setTimeout(() => resolve(cost(5)), 1500)) : cost(9);
    };
    const migrationId = await copying(world);
    await vi.advanceTimersByTimeAsync(3000);
    world.arrive();
    expect((await world.end(migrationId))?.measures?.destination).toBeNull();
  });
});

describe('the end of a migration', () => {
  it('is not held up for long where every host is slow to say what it cost', async () => {
    const world = await newWorld();
    canWatch(world.bystander);
    const migrationId = await copying(world);
    world.arrive();
    for (const name of ['vm.cost', 'vm.describe'] as const) world.destination.answers[name] = () => silence;
    for (const name of ['witness.report', 'witness.stop'] as const) world.bystander.answers[name] = () => silence;
    const sinceMs = Date.now();
    expect(await world.end(migrationId)).toMatchObject({ phase: 'done', measures: { outside: null, arrival: { sourceClean: true } } });
    expect(Date.now() - sinceMs).toBeLessThan(9000);
  });
});

describe('after a restart of the controller', () => {
  const outcome = { totalMs: 900, downtimeMs: 50, memorySentBytes: 1000, iterations: 2, sourceCost };

  function leftIn(phase: 'secured' | 'copying' | 'resolving' | 'verifying', changes: Partial<Migration> = {}): MemoryStore {
    const store = new MemoryStore();
    const channelBefore = reading(association('b', 0));
    store.records.set('m1', { ...begin(request).migration, phase, plan, channelBefore, ...changes });
    return store;
  }

  it.each(['secured', 'copying', 'resolving', 'verifying'] as const)(
    'in phase %s, what was noted before is null, the rest is told, and the watch that was begun is stopped',
    async (phase) => {
      const hasEnded = phase === 'resolving' || phase === 'verifying';
      const world = await newWorld({ store: leftIn(phase, hasEnded ? { outcome } : {}) });
      canWatch(world.bystander);
      world.arrive({ sourceCost });
      await world.rooms.executor.takeUp();
      const record = await world.end('m1');
      expect(record).toMatchObject({ phase: 'done' });
      const seen = phase === 'secured' ? { totalMs: 0, source: null } : { totalMs: 900, source: sourceCost };
      expect(record?.measures).toMatchObject({
        ...seen,
        outside: null,
        destination: null,
        espPackets: 5000,
        arrival: { definitionRight: null, sourceClean: true, answers: null },
      });
      expect(count(world.bystander, 'witness.start')).toBe(0);
      for (const agent of [world.source, world.destination, world.bystander]) expect(count(agent, 'witness.stop')).toBe(1);
    },
  );

  it.each(['asked', 'checked'] as const)('in phase %s, the watch that may have been begun is stopped', async (phase) => {
    const store = new MemoryStore();
    store.records.set('m1', { ...begin(request).migration, phase });
    const world = await newWorld({ store });
    await world.rooms.executor.takeUp();
    expect(await world.end('m1')).toMatchObject({ phase: 'failed', failure: { code: 'controller-restarted' }, measures: null });
    for (const agent of [world.source, world.destination, world.bystander]) expect(count(agent, 'witness.stop')).toBe(1);
  });
});
