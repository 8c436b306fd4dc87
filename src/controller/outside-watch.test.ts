import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MemoryStore } from './fakes.ts';
import { definition, FakeAgent, refuse, silence } from './fakes.ts';
import { argsOf, bridged, canWatch, type Cluster, count, mac, newCluster, request } from './fake-cluster.ts';
import { OutsideWatch } from './outside-watch.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const withNic = definition({ interfaces: bridged });

async function newWatch(address: string | null = null) {
  const cluster = await newCluster(stop.signal);
  const { parts, rooms } = cluster;
  return { ...cluster, outside: new OutsideWatch(parts, rooms.lines, () => address, stop.signal) };
}

/** Who was asked to begin. */
function asked({ source, destination, bystander }: Cluster): readonly string[] {
  return [source, destination, bystander].filter((agent) => agent.asked.includes('witness.start')).map(({ hostId }) => hostId);
}

describe('who looks at a VM from outside', () => {
  it('is a host that takes no part, at the address that any host has seen behind its MAC address', async () => {
    const world = await newWatch();
    world.destination.answers['witness.look'] = () => ({ addresses: ['10.9.0.5', '10.9.0.6'], place: null });
    world.bystander.answers['witness.start'] = () => ({ watching: true });
    await world.outside.begin(request, withNic);
    expect(world.outside.watched('m1')).toEqual({ witnessHostId: 'c', address: '10.9.0.5' });
    expect(argsOf(world.source, 'witness.look')).toEqual([{ mac }]);
    expect(argsOf(world.bystander, 'witness.start')).toEqual([{ watchId: 'm1', address: '10.9.0.5', intervalMs: 5 }]);
    expect(asked(world)).toEqual(['c']);
  });

  it.each([
    ['says that it cannot', () => ({ watching: false }), 0],
    ['refuses', refuse('migration-limit'), 1],
    ['does not answer', () => silence, 1],
  ] as const)('is the destination where the one that takes no part %s', async (_story, answer, stops) => {
    const world = await newWatch();
    for (const agent of [world.source, world.destination, world.bystander]) canWatch(agent);
    world.bystander.answers['witness.start'] = answer;
    const found = world.outside.begin(request, withNic);
    await vi.advanceTimersByTimeAsync(5000);
    await found;
    expect(world.outside.watched('m1')).toMatchObject({ witnessHostId: 'b' });
    // Whoever did not say no may have begun.
    expect(count(world.bystander, 'witness.stop')).toBe(stops);
  });

  it('is the source in the end, and nobody where none can', async () => {
    const last = await newWatch();
    canWatch(last.source);
    await last.outside.begin(request, withNic);
    expect(last.outside.watched('m1')).toMatchObject({ witnessHostId: 'a' });
    const none = await newWatch();
    none.source.answers['witness.look'] = () => ({ addresses: ['10.9.0.5'], place: null });
    await none.outside.begin(request, withNic);
    expect([asked(none), none.outside.watched('m1'), await none.outside.report('m1')]).toEqual([['a', 'b', 'c'], null, null]);
  });

  it('needs no neighbour table where the operator has said the address', async () => {
    const world = await newWatch('192.0.2.7');
    canWatch(world.bystander);
    await world.outside.begin(request, null);
    expect(world.outside.watched('m1')).toEqual({ witnessHostId: 'c', address: '192.0.2.7' });
    expect(count(world.source, 'witness.look')).toBe(0);
  });

  it('is nobody where no address is known: without a network card, or one that nobody has seen', async () => {
    const world = await newWatch();
    world.bystander.answers['witness.start'] = () => ({ watching: true });
    await world.outside.begin(request, null);
    await world.outside.begin({ ...request, migrationId: 'm2' }, definition());
    await world.outside.begin({ ...request, migrationId: 'm3' }, withNic);
    expect(asked(world)).toEqual([]);
  });

  it('is found by the second card when nobody has seen the first', async () => {
    const world = await newWatch();
    canWatch(world.bystander);
    const second = '52:54:00:00:00:02';
    world.bystander.answers['witness.look'] = (args) => ({ addresses: args['mac'] === second ? ['10.9.0.9'] : [], place: null });
    await world.outside.begin(request, definition({ interfaces: [...bridged, { ...bridged[0], mac: second }] }));
    expect(world.outside.watched('m1')?.address).toBe('10.9.0.9');
  });

  it('is searched among a few of many hosts', async () => {
    const world = await newWatch('192.0.2.7');
    const many = Array.from({ length: 30 }, (_, index) => new FakeAgent(world.parts, `h${index + 10}`));
    await world.outside.begin(request, null);
    const others = [world.bystander, ...many].filter((agent) => agent.asked.includes('witness.start'));
    expect(others).toHaveLength(8);
    expect(asked(world)).toEqual(['a', 'b', 'c']);
  });
});

describe('a watch', () => {
  it('ends on the host that watches, once', async () => {
    const world = await newWatch();
    canWatch(world.bystander);
    await world.outside.begin(request, withNic);
    await world.outside.end('m1');
    await world.outside.end('m1');
    expect(argsOf(world.bystander, 'witness.stop')).toEqual([{ watchId: 'm1' }]);
    expect([world.outside.watched('m1'), count(world.source, 'witness.stop')]).toEqual([null, 0]);
  });

  it('that ends while a host is still being asked is stopped there when that host has answered', async () => {
    const world = await newWatch('192.0.2.7');
    const { promise, resolve } = Promise.withResolvers<void>();
    world.bystander.answers['witness.start'] = () => promise.then(() => ({ watching: true }));
    const found = world.outside.begin(request, withNic);
    await vi.advanceTimersByTimeAsync(10);
    await world.outside.end('m1');
    expect(count(world.bystander, 'witness.stop')).toBe(0);
    resolve();
    await found;
    expect(count(world.bystander, 'witness.stop')).toBe(1);
    expect([asked(world), world.outside.watched('m1')]).toEqual([['c'], null]);
  });

  it('that another controller has begun is stopped wherever it may be', async () => {
    const world = await newWatch();
    world.outside.inherit(request);
    expect(await world.outside.report('m1')).toBeNull();
    await world.outside.end('m1');
    expect([world.source, world.destination, world.bystander].map((agent) => count(agent, 'witness.stop'))).toEqual([1, 1, 1]);
  });

  it('whose host is silent does not hold up the end for long', async () => {
    const world = await newWatch();
    canWatch(world.bystander);
    await world.outside.begin(request, withNic);
    world.bystander.answers['witness.stop'] = () => silence;
    const ended = world.outside.end('m1');
    await vi.advanceTimersByTimeAsync(2100);
    await ended;
    expect(world.outside.watched('m1')).toBeNull();
  });

  it('is one of at most 256', async () => {
    const world = await newWatch('192.0.2.7');
    canWatch(world.bystander);
    for (let index = 0; index < 257; index += 1) await world.outside.begin({ ...request, migrationId: `m${index}` }, null);
    expect([world.outside.watched('m255') !== null, world.outside.watched('m256')]).toEqual([true, null]);
    await world.outside.end('m0');
    await world.outside.begin({ ...request, migrationId: 'm256' }, null);
    expect(world.outside.watched('m256')).not.toBeNull();
  });
});

describe('the watch of a migration', () => {
  const failures: readonly (readonly [story: string, spoil: (world: Cluster & { store: MemoryStore }) => unknown, code: string])[] = [
    [
      'that is refused while the channel is made',
      ({ source }) => (source.answers['channel.establish'] = refuse('ipsec-failed')),
      'ipsec-failed',
    ],
    ['whose proof fails', ({ source }) => (source.answers['channel.probe'] = refuse('proof-failed')), 'proof-failed'],
    [
      'that cannot be made as asked',
      ({ source }) => (source.answers['vm.method-faults'] = refuse('hypervisor-failed')),
      'hypervisor-failed',
    ],
    ['that the source does not start', ({ source }) => (source.answers['transfer.start'] = refuse('proof-missing')), 'proof-missing'],
    ['that the source ends', ({ source }) => failTransfer(source), 'hypervisor-failed'],
  ];

  function failTransfer(source: FakeAgent): void {
    const refusal = { code: 'hypervisor-failed', message: 'the stream broke' };
    source.answers['transfer.status'] = () => ({ status: { kind: 'failed', refusal, channel: null, decisions: [], attempts: 1 } });
  }

  it.each(failures)('%s is begun and stopped', async (_story, spoil, code) => {
    const world = await newCluster(stop.signal);
    world.source.definition = withNic;
    world.destination.offered = { networks: ['br0'] };
    canWatch(world.bystander);
    spoil({ ...world, store: world.parts.store });
    expect(await world.end(await world.start())).toMatchObject({ phase: 'failed', failure: { code } });
    expect([count(world.bystander, 'witness.start'), count(world.bystander, 'witness.stop')]).toEqual([1, 1]);
  });

  it.each([
    ['before the transfer', 'channel.probe'],
    ['while it is chosen how', 'vm.method-faults'],
    ['in the transfer', 'transfer.status'],
  ] as const)('that is aborted %s is stopped', async (_story, name) => {
    const world = await newCluster(stop.signal);
    world.source.definition = withNic;
    world.destination.offered = { networks: ['br0'] };
    canWatch(world.bystander);
    const { promise, resolve } = Promise.withResolvers<void>();
    world.source.delay(name, promise);
    world.source.answers['transfer.abort'] = () => {
      const refusal = { code: 'aborted', message: 'aborted' };
      world.source.answers['transfer.status'] = () => ({ status: { kind: 'failed', refusal, channel: null, decisions: [], attempts: 1 } });
      return {};
    };
    const migrationId = await world.start();
    await vi.advanceTimersByTimeAsync(2000);
    await world.rooms.executor.abort(migrationId);
    expect(count(world.bystander, 'witness.stop')).toBe(0);
    resolve();
    expect(await world.end(migrationId)).toMatchObject({ phase: 'failed', failure: { code: 'aborted' } });
    expect([count(world.bystander, 'witness.start'), count(world.bystander, 'witness.stop')]).toEqual([1, 1]);
    expect(world.source.asked.includes('transfer.start')).toBe(name === 'transfer.status');
  });
});
