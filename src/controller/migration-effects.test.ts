/** What the executor does for a post-copy whose hosts have lost each other: half of the VM's memory is on each. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type FakeAgent, refuse, runningVm, silence } from './fakes.ts';
import { argsOf, type Cluster, count, newCluster } from './fake-cluster.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const half = runningVm({ state: 'paused', jobActive: true, postCopy: 'failed' });
const changes = ['vm.destroy-copy', 'vm.resume', 'image.discard', 'image.take-back', 'image.forget'];

/** The source's agent has died in post-copy, and the link with it: nobody tells how the transfer stands. */
async function halved() {
  const world = await newCluster(stop.signal);
  const migrationId = await world.start();
  while (world.rooms.executor.current(migrationId)?.phase !== 'copying') await vi.advanceTimersByTimeAsync(100);
  world.source.answers['transfer.status'] = () => ({ status: { kind: 'unknown' } });
  [world.source.vm, world.destination.vm] = [half, half];
  return { ...world, migrationId };
}

/** The recovery works: the rest of the memory arrives. */
function heals({ source, destination }: Cluster): void {
  source.answers['transfer.recover'] = () => {
    [source.vm, destination.vm] = [null, runningVm()];
    return {};
  };
}

function touched(...agents: readonly FakeAgent[]): readonly string[] {
  return agents.flatMap(({ asked }) => asked.filter((name) => changes.includes(name)));
}

describe('a post-copy whose hosts have lost each other', () => {
  it('is taken up again through a channel that is proven anew, as it was begun, and ends well', async () => {
    const world = await halved();
    const before = { proofs: count(world.source, 'channel.probe'), recovered: count(world.source, 'transfer.recover') };
    const chosen = world.rooms.executor.current(world.migrationId)?.plan;
    heals(world);
    expect(await world.end(world.migrationId)).toMatchObject({ phase: 'done', failure: null });
    expect(before).toEqual({ proofs: 1, recovered: 0 });
    expect(count(world.source, 'channel.probe')).toBe(2);
    const { asked } = world.source;
    expect(asked.lastIndexOf('channel.probe')).toBeLessThan(asked.indexOf('transfer.recover'));
    const [args] = argsOf(world.source, 'transfer.recover');
    expect(args).toMatchObject({ migrationId: world.migrationId, vmEpoch: 1, peer: { hostId: 'b' } });
    expect(args?.['plan']).toEqual(chosen);
    expect(touched(world.source, world.destination)).toEqual([]);
    // The destination is made to notice first: else it refuses.
    expect(argsOf(world.destination, 'transfer.part')).toMatchObject([{ vmEpoch: 1, peer: { hostId: 'a' } }]);
    expect(count(world.source, 'transfer.part')).toBe(0);
  });

  it('is watched as after its start, so that its end is known', async () => {
    const world = await halved();
    world.source.answers['transfer.recover'] = () => {
      [world.source.vm, world.destination.vm] = [null, runningVm()];
      world.arrive({ totalMs: 700, memorySentBytes: 4242 });
      return {};
    };
    const record = await world.end(world.migrationId);
    expect(record).toMatchObject({ phase: 'done', outcome: { memorySentBytes: 4242 }, measures: { memorySentBytes: 4242 } });
    expect(record?.outcome?.totalMs).toBeGreaterThan(700);
    expect(record?.decisions).toContainEqual(expect.objectContaining({ by: 'recovery', action: 'recover post-copy' }));
  });

  it('is taken up also where its destination cannot be made to notice', async () => {
    const world = await halved();
    world.destination.answers['transfer.part'] = refuse('method-unsupported');
    heals(world);
    expect(await world.end(world.migrationId)).toMatchObject({ phase: 'done' });
  });

  it.each<[story: string, spoil: (world: Cluster) => void, mend: (world: Cluster) => void]>([
    [
      'the channel cannot be made',
      ({ source }) => void (source.answers['channel.establish'] = refuse('ipsec-failed')),
      ({ source }) => void delete source.answers['channel.establish'],
    ],
    [
      'the channel is not proven',
      ({ source }) => void (source.answers['channel.probe'] = refuse('proof-failed')),
      ({ source }) => void delete source.answers['channel.probe'],
    ],
    ['the source refuses', ({ source }) => void (source.answers['transfer.recover'] = refuse('hypervisor-failed')), () => undefined],
    ['the source is silent', ({ source }) => void (source.answers['transfer.recover'] = () => silence), () => undefined],
  ])('is asked for again when %s, and no half is ever touched', async (_story, spoil, mend) => {
    const world = await halved();
    spoil(world);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(world.rooms.executor.current(world.migrationId)).toMatchObject({ phase: 'resolving', failure: null });
    expect(touched(world.source, world.destination)).toEqual([]);
    mend(world);
    heals(world);
    expect(await world.end(world.migrationId)).toMatchObject({ phase: 'done' });
    expect(touched(world.source, world.destination)).toEqual([]);
  });

  it('is not recovered while one host is out of reach, whose half may still be there', async () => {
    const world = await halved();
    world.destination.line.close('gone');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(world.rooms.executor.current(world.migrationId)?.phase).toBe('resolving');
    expect([count(world.source, 'transfer.recover'), touched(world.source)]).toEqual([0, []]);
    world.destination.dial();
    heals(world);
    expect(await world.end(world.migrationId)).toMatchObject({ phase: 'done' });
  });

  it('is not recovered for an abort either: half of the memory would be lost', async () => {
    const world = await halved();
    await world.rooms.executor.abort(world.migrationId);
    heals(world);
    expect(await world.end(world.migrationId)).toMatchObject({ phase: 'done' });
    expect([count(world.source, 'transfer.abort'), touched(world.source, world.destination)]).toEqual([0, []]);
  });
});
