import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { PeerTuning } from '#core/model/channel.ts';
import { startController } from './controller.ts';
import {
  association,
  FakeAgent,
  fakeParts,
  hello,
  ipsec,
  MemoryStore,
  refuse,
  runningVm,
  settings,
  silence,
  tokens,
  vmId,
} from './fakes.ts';
import { openRooms } from './rooms.ts';

const lookMs = 31_000;
const ends = { fromHostId: 'a', toHostId: 'b' };
const wish = { vmId, vmName: 'web1', ...ends, cause: 'operator', askedBy: 'anna', ...ipsec, planId: null } as const;
const tuning: PeerTuning = {
  peerHostId: 'b',
  peerUnderlay: '10.0.0.2',
  peerChannelAddress: '10.1.0.2',
  interface: 'eth0',
  mssBytes: 1350,
  routeMtuBytes: null,
  interfaceMtuBytes: null,
};
const pair = { hostA: 'a', hostB: 'b' };

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

/** Two hosts with a channel between them that nobody of this cluster has asked for. */
async function newCluster(store = new MemoryStore()) {
  for (const hostId of ['a', 'b'])
    store.hostRecords.push({ hostId, joinedAtMs: 1, addresses: hello(hostId).addresses, lastSeenAtMs: null, revokedAtMs: null });
  const parts = fakeParts(store);
  const rooms = await openRooms(parts, settings, tokens, stop.signal);
  const watching = rooms.watch.run(stop.signal);
  const [a, b] = [new FakeAgent(parts, 'a', runningVm()), new FakeAgent(parts, 'b')];
  holds(a, { sas: [association('b', 1)] });
  holds(b, { sas: [association('a', 1)] });
  const closed = () => [a, b].map((agent) => agent.asked.filter((name) => name === 'channel.close').length);
  return { parts, rooms, a, b, closed, watching };
}

function holds(agent: FakeAgent, channels: { readonly sas?: readonly object[]; readonly tuned?: readonly object[] }): void {
  const usual = agent.usual('channel.list');
  agent.answers['channel.list'] = (args) => ({ ...(usual(args) as object), ...channels });
}

describe('a channel that nothing uses', () => {
  it('is taken down on both hosts, and named in the log', async () => {
    const { parts, closed } = await newCluster();
    await vi.advanceTimersByTimeAsync(lookMs);
    expect(closed()).toEqual([1, 1]);
    expect(parts.logged.filter((line) => line.includes('nothing uses'))).toHaveLength(2);
  });

  it('is taken down for the network settings alone that it left', async () => {
    const { a, b, closed } = await newCluster();
    holds(a, { sas: [], tuned: [tuning] });
    holds(b, { sas: [] });
    await vi.advanceTimersByTimeAsync(lookMs);
    expect(closed()).toEqual([1, 0]);
  });

  it('is tried again when a host refuses, is silent or away, and the other end does not wait for it', async () => {
    const { a, closed } = await newCluster();
    a.answers['channel.close'] = refuse('ipsec-unavailable');
    await vi.advanceTimersByTimeAsync(lookMs);
    expect(closed()).toEqual([1, 1]);
    a.answers['channel.close'] = () => silence;
    await vi.advanceTimersByTimeAsync(2 * lookMs);
    expect(closed()).toEqual([2, 2]);
    a.line.close('gone');
    await vi.advanceTimersByTimeAsync(lookMs);
    expect(closed()).toEqual([2, 3]);
  });

  it('does not keep a controller from stopping', async () => {
    const { a, closed, watching } = await newCluster();
    a.answers['channel.close'] = () => silence;
    await vi.advanceTimersByTimeAsync(lookMs);
    stop.abort();
    await watching;
    expect(closed()).toEqual([1, 0]);
  });

  it('stays while a migration or a proof uses it, and is taken down after', async () => {
    const { rooms, a, b, closed } = await newCluster();
    const { request } = await rooms.executor.start(wish);
    await vi.advanceTimersByTimeAsync(3 * lookMs);
    expect([rooms.executor.current(request.migrationId)?.phase, closed()]).toEqual(['copying', [0, 0]]);
    await rooms.executor.abort(request.migrationId);
    [a, b].forEach((agent) => (agent.answers['channel.close'] = refuse('ipsec-unavailable')));
    a.answers['transfer.status'] = () => ({
      status: { kind: 'failed', refusal: { code: 'aborted', message: '' }, channel: null, decisions: [], attempts: 1 },
    });
    await vi.advanceTimersByTimeAsync(lookMs);
    expect(rooms.executor.current(request.migrationId)).toBeUndefined();
    const [before] = closed();
    await vi.advanceTimersByTimeAsync(lookMs);
    expect(closed()[0]).toBe((before ?? 0) + 1);
    a.answers['channel.establish'] = () => silence;
    const during = closed();
    rooms.channels.prove(ends, {}, 'anna').catch(() => null);
    await vi.advanceTimersByTimeAsync(28_000);
    expect(closed()).toEqual(during);
  });
});

describe('a channel that an operator keeps', () => {
  it('stays, also over a restart of the controller, until it is reset', async () => {
    const { parts, rooms, closed } = await newCluster();
    expect(await rooms.channels.prove(ends, { keep: true }, 'anna')).toMatchObject({ kept: true });
    await vi.advanceTimersByTimeAsync(lookMs);
    stop.abort();
    stop = new AbortController();
    const again = await newCluster(parts.store);
    await vi.advanceTimersByTimeAsync(lookMs);
    expect([closed(), again.closed(), parts.store.keptPairs.size]).toEqual([[0, 0], [0, 0], 1]);
    await again.rooms.channels.reset(ends, 'anna');
    expect(parts.store.keptPairs.size).toBe(0);
    await vi.advanceTimersByTimeAsync(lookMs);
    expect(again.closed()).toEqual([2, 2]);
  });

  it('is one for the migration that uses it, and gone with it', async () => {
    const store = new MemoryStore();
    store.keptPairs.set('a b', pair);
    const { parts, rooms, a, b } = await newCluster(store);
    const { request } = await rooms.executor.start(wish);
    await vi.advanceTimersByTimeAsync(2000);
    [a.vm, b.vm] = [null, runningVm()];
    const outcome = { totalMs: 900, downtimeMs: 50, memorySentBytes: 1000, iterations: 2 };
    a.answers['transfer.status'] = () => ({ status: { kind: 'completed', outcome, channel: null, decisions: [], attempts: 1 } });
    store.failing.add('removeKeptChannel');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(parts.store.records.get(request.migrationId)).toMatchObject({ phase: 'done', endedAtMs: expect.any(Number) });
    expect(parts.logged.some((line) => line.includes('no longer kept'))).toBe(true);
    expect(rooms.kept.has('b', 'a')).toBe(false);
  });

  it('is not kept when that cannot be written: the operator hears it', async () => {
    const { parts, rooms, closed } = await newCluster();
    parts.store.failing.add('saveKeptChannel');
    await expect(rooms.channels.prove(ends, { keep: true }, 'anna')).rejects.toThrow('disk full');
    await vi.advanceTimersByTimeAsync(lookMs);
    expect(closed()).toEqual([1, 1]);
  });
});

it('is looked for by a controller that runs', async () => {
  const store = new MemoryStore();
  store.hostRecords.push({ hostId: 'a', joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
  const parts = fakeParts(store);
  const { stopped } = await startController(parts, settings, tokens, stop.signal);
  const a = new FakeAgent(parts, 'a');
  holds(a, { sas: [association('b', 1)] });
  await vi.advanceTimersByTimeAsync(lookMs);
  expect(a.asked).toContain('channel.close');
  stop.abort();
  await stopped;
});
