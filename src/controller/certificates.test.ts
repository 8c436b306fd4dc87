import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  certificateSha256,
  FakeAgent,
  FakeLine,
  fakeParts,
  type FakeParts,
  hello,
  MemoryStore,
  refuse,
  settings,
  silence,
  tokens,
} from './fakes.ts';
import { openRooms } from './rooms.ts';

const leafLifetimeMs = 60_000;
const own = { ...settings, certificates: { leafLifetimeMs, crlIntervalMs: 30_000 } };
const addresses = { underlay: '10.0.0.1', protected: '10.1.0.1', interface: 'eth0' };

let stop: AbortController;
let loop: Promise<unknown>;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
  loop = Promise.resolve();
});
afterEach(async () => {
  stop.abort();
  await loop;
  vi.useRealTimers();
});

/** The certificate that a fake host begins with, as it was issued a moment ago. */
function issuedTo(hostId: string, changes: object = {}) {
  const sha256 = certificateSha256(hostId);
  const times = { notBeforeMs: 700_000, notAfterMs: Date.now() + leafLifetimeMs, revokedAtMs: null };
  return { hostId, serialNumber: `of ${hostId}`, authorityId: 'ca', sha256, ...times, ...changes };
}

async function newCluster(hostIds: readonly string[] = ['a', 'b', 'c'], certificates = own.certificates) {
  const store = new MemoryStore();
  for (const hostId of hostIds) {
    store.hostRecords.push({ hostId, joinedAtMs: 1, addresses, lastSeenAtMs: null, revokedAtMs: null });
    store.issued.push(issuedTo(hostId));
  }
  const parts = fakeParts(store);
  const rooms = await openRooms(parts, { ...own, certificates }, tokens, stop.signal);
  const agents = hostIds.map((hostId) => new FakeAgent(parts, hostId, null, leafLifetimeMs));
  const run = () => void (loop = rooms.certificates.run());
  await vi.advanceTimersByTimeAsync(1);
  return { parts, store, rooms, agents, run };
}

const nothing = () => Promise.resolve();
const told = (agent: FakeAgent) => agent.line.sent.filter((message) => (message as { name?: string }).name === 'trust.update');
const lastTold = (agent: FakeAgent) => (told(agent).at(-1) as { args: object } | undefined)?.args;

describe('certificates', () => {
  it('are renewed at two thirds of their life with a new key, on the addresses the host has joined with', async () => {
    const { parts, store, agents, run } = await newCluster();
    run();
    await vi.advanceTimersByTimeAsync(leafLifetimeMs * 0.55);
    expect(parts.authority.orders).toEqual([]);
    await vi.advanceTimersByTimeAsync(leafLifetimeMs * 0.15);
    expect(parts.authority.orders.map(({ hostId }) => hostId).toSorted()).toEqual(['a', 'b', 'c']);
    expect(parts.authority.orders[0]).toMatchObject({
      addresses: { underlay: '10.0.0.1', protected: '10.1.0.1' },
      lifetimeMs: leafLifetimeMs,
    });
    expect(agents[0]?.asked.filter((name) => name.startsWith('identity.'))).toEqual(['identity.request', 'identity.install']);
    expect(store.issued.filter(({ hostId }) => hostId === 'a')).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(leafLifetimeMs * 0.4);
    expect(parts.authority.orders).toHaveLength(3);
  });

  it('that fell due while the agent was away are renewed as soon as it dials in', async () => {
    const { parts, rooms, agents } = await newCluster(['a', 'b']);
    const asked = () => agents.map((agent) => agent.asked.filter((name) => name.startsWith('identity.')));
    agents[0]?.line.close('asleep');
    await vi.advanceTimersByTimeAsync(leafLifetimeMs * 0.6);
    agents[1]?.dial();
    await vi.advanceTimersByTimeAsync(1);
    expect([rooms.lines.isUp('a'), asked()]).toEqual([false, [[], []]]);
    await vi.advanceTimersByTimeAsync(leafLifetimeMs * 0.2);
    agents[0]?.dial();
    await vi.advanceTimersByTimeAsync(1);
    expect(asked()).toEqual([['identity.request', 'identity.install'], []]);
    expect(parts.authority.orders.map(({ hostId }) => hostId)).toEqual(['a']);
  });

  it('go on being renewed round after round, each host once per round', async () => {
    const { parts, run } = await newCluster(['a']);
    run();
    await vi.advanceTimersByTimeAsync(leafLifetimeMs * 6.5);
    expect(parts.authority.orders.length).toBeGreaterThanOrEqual(9);
    expect(parts.authority.orders.length).toBeLessThanOrEqual(11);
  });

  it('are renewed at once for a host whose certificate nobody here has issued, or which would live too long', async () => {
    const { parts, store, rooms, run } = await newCluster([]);
    rooms.membership.adopt({ hostId: 'x', joinedAtMs: 1, addresses, lastSeenAtMs: null, revokedAtMs: null });
    const agent = new FakeAgent(parts, 'x');
    run();
    await vi.advanceTimersByTimeAsync(5000);
    expect(agent.asked).toContain('identity.install');
    expect(parts.authority.orders).toHaveLength(1);
    expect(store.issued).toHaveLength(1);
  });

  it('that a host does not take are tried again, not all the time, and the others go on', async () => {
    const { parts, agents, run } = await newCluster();
    if (agents[0]) agents[0].answers['identity.install'] = refuse('internal');
    run();
    await vi.advanceTimersByTimeAsync(leafLifetimeMs * 0.75);
    const tries = agents[0]?.asked.filter((name) => name === 'identity.request').length ?? 0;
    expect(tries).toBeGreaterThan(1);
    expect(tries).toBeLessThan(10);
    expect(agents[1]?.asked).toContain('identity.install');
    expect(parts.logged.some((line) => line.includes('it is tried again'))).toBe(true);
  });

  it('are renewed on demand, and what fails for one host is said and keeps no other back', async () => {
    const { rooms, agents } = await newCluster();
    if (agents[1]) agents[1].answers['identity.request'] = refuse('internal');
    const results = await rooms.certificates.renew(['a', 'b', 'nobody']);
    expect(results.map(({ hostId, refusal }) => [hostId, refusal?.code])).toEqual([
      ['a', undefined],
      ['b', 'internal'],
      ['nobody', 'host-unknown'],
    ]);
    expect(rooms.certificates.endsAtMs('a')).toBe(Date.now() + leafLifetimeMs);
  });

  it('follow a new intermediate CA, of which every agent hears', async () => {
    const { parts, agents, run } = await newCluster();
    run();
    parts.authority.intermediateDueAtMs = Date.now() + 5000;
    await vi.advanceTimersByTimeAsync(8000);
    for (const agent of agents) expect(lastTold(agent)).toMatchObject({ intermediatesPem: 'intermediate 2' });
  });

  it('and their lists are renewed in time, and told to each agent that dials in', async () => {
    const { parts, agents, run } = await newCluster();
    expect([parts.authority.lists, agents.map((agent) => told(agent).length)]).toEqual([[[]], [1, 1, 1]]);
    run();
    await vi.advanceTimersByTimeAsync(32_000);
    expect(parts.authority.lists).toHaveLength(2);
    expect(agents.map((agent) => told(agent).length)).toEqual([2, 2, 2]);
  });
});

describe('joining', () => {
  const order = { hostId: 'new', addresses, requestPem: 'request' };

  it('buys a certificate that is on record; what is not admitted gets none', async () => {
    const { rooms, store } = await newCluster([]);
    const { issued, trust } = await rooms.certificates.issueTo(order, nothing);
    expect(store.issued).toMatchObject([{ hostId: 'new', sha256: issued.sha256, revokedAtMs: null }]);
    expect(trust.crlPems).toHaveLength(1);
    await expect(rooms.certificates.issueTo(order, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(store.issued).toHaveLength(1);
  });
});

describe('a revoked host', () => {
  it('loses its line and its certificates, and every other agent hears of it at once', async () => {
    const { rooms, store, parts, agents } = await newCluster();
    const [bad, good] = agents;
    let evicted = false;
    const result = await rooms.certificates.revoke('a', 'stolen', 'anna', async () => void (evicted = true));
    expect(result).toMatchObject({ hostId: 'a', certificates: 1, told: ['b', 'c'], notTold: [] });
    expect([bad?.line.closedFor, rooms.lines.isUp('a'), evicted]).toEqual(['host-revoked', false, true]);
    expect(store.hostRecords.find(({ hostId }) => hostId === 'a')?.revokedAtMs).toBe(1_000_001);
    expect(parts.authority.lists.at(-1)).toEqual(['of a']);
    expect(lastTold(good as FakeAgent)).toMatchObject({ revokedHostIds: ['a'], crlPems: ['list 2: of a'] });
    expect(store.audited).toMatchObject([{ who: 'anna', verb: 'host.revoke', subject: 'a', detail: 'stolen' }]);
  });

  it('is turned away, with any certificate, also by a controller that has restarted; the others are let in', async () => {
    const { rooms, parts, store, agents } = await newCluster();
    await rooms.certificates.revoke('a', 'stolen', 'anna', nothing);
    agents[0]?.dial();
    expect(agents[0]?.line.closedFor).toBe('host-revoked');
    expect(rooms.membership.refusedAtMs('a')).toBe(1_000_001);
    const again = fakeParts(store);
    await openRooms(again, own, tokens, stop.signal);
    expect(new FakeAgent(again, 'a').line.closedFor).toBe('host-revoked');
    expect(new FakeAgent(again, 'b').line.closedFor).toBeNull();
    expect(parts.logged.some((line) => line.includes('turned away'))).toBe(true);
  });

  it('does not come back with a token of before, but with one that is made afterwards', async () => {
    const { rooms } = await newCluster(['b']);
    const join = async (token: string) => rooms.joining.admit({ token, hostId: 'b', addresses });
    const before = await rooms.joining.createToken('b', 60_000);
    await rooms.certificates.revoke('b', 'stolen', 'anna', nothing);
    await expect(join(before.token)).rejects.toMatchObject({ code: 'token-invalid' });
    await join((await rooms.joining.createToken('b', 60_000)).token);
    expect(rooms.membership.revokedAtMs('b')).toBeNull();
  });

  it('belongs to the cluster again when it joins again; its old certificate does not', async () => {
    const { rooms, parts } = await newCluster();
    await rooms.certificates.revoke('a', 'stolen', 'anna', nothing);
    rooms.membership.adopt({ hostId: 'a', joinedAtMs: 5, addresses, lastSeenAtMs: null, revokedAtMs: null });
    expect(new FakeAgent(parts, 'a').line.closedFor).toBe('host-revoked');
    const line = new FakeLine();
    parts.dialIn('a', line);
    line.deliver({ ...hello('a'), certificate: { sha256: 'e'.repeat(64), notAfterMs: Date.now() + leafLifetimeMs } });
    expect([line.closedFor, rooms.lines.isUp('a')]).toEqual([null, true]);
  });

  it('gets no certificate from a renewal that was under way', async () => {
    const { rooms, parts, agents } = await newCluster();
    const { promise, resolve } = Promise.withResolvers<void>();
    agents[0]?.delay('identity.request', promise);
    const renewal = rooms.certificates.renew(['a']);
    await vi.advanceTimersByTimeAsync(10);
    const revoking = rooms.certificates.revoke('a', 'stolen', 'anna', nothing);
    resolve();
    await revoking;
    expect(await renewal).toMatchObject([{ certificate: null }]);
    expect(parts.authority.orders).toEqual([]);
  });

  it('is known to all within 5 s although an agent does not answer: it is named, and told when it dials in', async () => {
    const { rooms, agents } = await newCluster();
    const deaf = agents[2] as FakeAgent;
    deaf.answers['trust.update'] = () => silence;
    const startedMs = Date.now();
    const revoking = rooms.certificates.revoke('a', 'stolen', 'anna', nothing);
    await vi.advanceTimersByTimeAsync(5000);
    const result = await revoking;
    expect(result).toMatchObject({ told: ['b'], notTold: [{ hostId: 'c', refusal: { code: 'command-timeout' } }] });
    expect(result.revokedAtMs - startedMs + result.tookMs).toBeLessThan(5000);
    delete deaf.answers['trust.update'];
    deaf.dial();
    await vi.advanceTimersByTimeAsync(1);
    expect(lastTold(deaf)).toMatchObject({ revokedHostIds: ['a'] });
  });

  it.each([
    ['the list cannot be made', (parts: FakeParts) => void (parts.authority.fault = 'no room')],
    ['the audit cannot be written', (parts: FakeParts) => void parts.store.failing.add('appendAudit')],
  ])('is out although %s: its line is closed and the agents hear its name', async (_story, spoil) => {
    const { rooms, parts, agents } = await newCluster();
    spoil(parts);
    expect(await rooms.certificates.revoke('a', 'stolen', 'anna', nothing)).toMatchObject({ told: ['b', 'c'] });
    expect(agents[0]?.line.closedFor).toBe('host-revoked');
    expect(lastTold(agents[1] as FakeAgent)).toMatchObject({ revokedHostIds: ['a'] });
  });

  it('that is unknown is refused, and nobody is put out', async () => {
    const { rooms, agents } = await newCluster();
    await expect(rooms.certificates.revoke('x', 'stolen', 'anna', nothing)).rejects.toMatchObject({ code: 'host-unknown' });
    expect(agents.map((agent) => agent.line.closedFor)).toEqual([null, null, null]);
  });

  it('stays on one more regular list after its certificate has ended', async () => {
    const { rooms, parts } = await newCluster(['a', 'b', 'c'], { leafLifetimeMs, crlIntervalMs: 50_000 });
    await rooms.certificates.revoke('a', 'stolen', 'anna', nothing);
    // The certificate ends after 60 s; a list made before that may be followed by the next one 50 s later.
    await vi.advanceTimersByTimeAsync(leafLifetimeMs + 70_000);
    await rooms.certificates.revoke('b', 'stolen', 'anna', nothing);
    expect(parts.authority.lists.at(-1)).toContain('of a');
    await vi.advanceTimersByTimeAsync(40_000);
    await rooms.certificates.revoke('c', 'stolen', 'anna', nothing);
    expect(parts.authority.lists.at(-1)).not.toContain('of a');
  });

  it('is counted when the list gets too long; a controller starts with such a list, and not when it fails otherwise', async () => {
    const { store, parts, rooms } = await newCluster(['a', 'b']);
    expect(rooms.certificates.longestList).toBe(0);
    const many = (index: number) => issuedTo('x', { serialNumber: String(index), sha256: `${index}`.padStart(64, '0'), revokedAtMs: 1 });
    store.issued.push(...Array.from({ length: 1801 }, (_, index) => many(index)));
    store.issued.push({ ...many(5000), authorityId: 'another ca' });
    await rooms.certificates.revoke('a', 'stolen', 'anna', nothing);
    expect(rooms.certificates.longestList).toBe(1802);
    const again = fakeParts(store);
    again.authority.fault = 'too long';
    expect((await openRooms(again, own, tokens, stop.signal)).certificates.longestList).toBe(1802);
    store.issued.length = 2;
    parts.authority.fault = 'no room';
    await expect(openRooms(parts, own, tokens, stop.signal)).rejects.toThrow('no room');
  });

  it('leaves certificates that ended long ago off the list', async () => {
    const { rooms, store, parts } = await newCluster();
    store.issued.push(issuedTo('a', { serialNumber: 'old', sha256: 'f'.repeat(64), notAfterMs: Date.now() - 2 * leafLifetimeMs }));
    expect(await rooms.certificates.revoke('a', 'stolen', 'anna', nothing)).toMatchObject({ certificates: 1 });
    expect(parts.authority.lists.at(-1)).toEqual(['of a']);
    await vi.advanceTimersByTimeAsync(3 * leafLifetimeMs);
    await rooms.certificates.revoke('b', 'stolen', 'anna', nothing);
    expect(parts.authority.lists.at(-1)).toEqual([]);
  });
});
