import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { association, FakeAgent, fakeParts, ipsec, reading, refuse, runningVm, settings, silence, tokens, vmId } from './fakes.ts';
import { openRooms } from './rooms.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const ends = { fromHostId: 'a', toHostId: 'b' };
const sa = { ...association('b', 50), childUniqueId: '2' };
const mirrored = { ...association('a', 50), spiOut: sa.spiIn, spiIn: sa.spiOut };

async function newCluster() {
  const parts = fakeParts();
  for (const hostId of ['a', 'b', 'c'])
    parts.store.hostRecords.push({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
  const rooms = await openRooms(parts, settings, tokens, stop.signal);
  const agents = { a: new FakeAgent(parts, 'a', runningVm()), b: new FakeAgent(parts, 'b'), c: new FakeAgent(parts, 'c') };
  /** No channel is up until one is established, as on real hosts. */
  for (const agent of [agents.a, agents.b]) {
    let up = false;
    agent.answers['channel.state'] = () => ({ reading: reading(up ? association('b', 5000) : null) });
    const prepare = agent.usual('channel.prepare');
    agent.answers['channel.prepare'] = (args) => {
      up = true;
      return prepare(args);
    };
    agent.answers['channel.close'] = () => {
      up = false;
      return {};
    };
  }
  return { parts, rooms, ...agents };
}

function holds(agent: FakeAgent, sas: readonly object[]): void {
  const usual = agent.usual('channel.list');
  agent.answers['channel.list'] = (args) => ({ ...(usual(args) as object), sas });
}

describe('channels', () => {
  it('are listed per pair, with both ends, whoever reports them', async () => {
    const { rooms, a, b } = await newCluster();
    expect(await rooms.channels.list()).toEqual([]);
    holds(a, [{ ...association('b', 1), state: 'deleting' }, sa]);
    holds(b, [mirrored]);
    const [channel, ...others] = await rooms.channels.list();
    expect(others).toEqual([]);
    expect(channel).toMatchObject({ hostA: 'a', hostB: 'b', state: 'up', profile: 'esp-tunnel', tuning: null, migrationId: null });
    expect(channel?.ends.map(({ hostId, sa: end }) => [hostId, end?.spiOut])).toEqual([
      ['a', 'aa'],
      ['b', 'bb'],
    ]);
  });

  it.each<[story: string, one: readonly object[], other: readonly object[] | null, state: string]>([
    ['both ends have the same SA', [sa], [mirrored], 'up'],
    ['one end has none', [sa], [], 'half'],
    ['the ends have two SAs that do not fit', [sa], [{ ...mirrored, spiIn: 'ff' }], 'half'],
    ['neither end has one', [], [], 'down'],
    ['one end does not answer', [], null, 'unknown'],
  ])('are told for what they are when %s', async (_story, one, other, state) => {
    const { rooms, a, b } = await newCluster();
    holds(a, one);
    if (other === null) b.answers['channel.list'] = refuse('internal');
    else holds(b, other);
    expect(await rooms.channels.show('b', 'a')).toMatchObject({ hostA: 'a', state });
  });

  it('show an end that is not connected as such', async () => {
    const { rooms, b } = await newCluster();
    b.line.close('gone');
    const { ends: both } = await rooms.channels.show('a', 'b');
    expect(both.map(({ refusal }) => refusal?.code ?? null)).toEqual([null, 'host-down']);
  });
});

describe('a proof on demand', () => {
  it('makes the channel, proves it, and takes it down again unless it is to be kept', async () => {
    const { rooms, a, b, parts } = await newCluster();
    expect(await rooms.channels.prove(ends, {}, 'anna')).toMatchObject({ proof: { profile: 'esp-tunnel' }, refusal: null, kept: false });
    expect([a.asked.at(-1), b.asked.at(-1)]).toEqual(['channel.close', 'channel.close']);
    expect(await rooms.channels.prove(ends, { keep: true }, 'anna')).toMatchObject({ kept: true });
    expect(a.asked.at(-1)).toBe('channel.probe');
    expect(await rooms.channels.prove(ends, {}, 'anna')).toMatchObject({ kept: true });
    expect(parts.store.audited.map(({ verb }) => verb)).toEqual(['channel.prove', 'channel.prove', 'channel.prove']);
  });

  it('that fails says why and leaves nothing up', async () => {
    const { rooms, a, b } = await newCluster();
    const heard = b.usual('channel.heard');
    b.answers['channel.heard'] = (args) => {
      const { facts } = heard(args) as { facts: object };
      return { facts: { ...facts, plainProbes: 4 } };
    };
    const result = await rooms.channels.prove(ends, { keep: true }, 'anna');
    expect(result).toMatchObject({
      proof: null,
      kept: false,
      refusal: { code: 'proof-failed', message: expect.stringContaining('plain-text') },
    });
    expect(a.asked.at(-1)).toBe('channel.close');
  });

  it('may be of another profile, which never stays', async () => {
    const { rooms, a } = await newCluster();
    const result = await rooms.channels.prove(ends, { profile: 'esp-transport' }, 'anna');
    expect(result.refusal).toMatchObject({ code: 'proof-failed', message: expect.stringContaining('transport') });
    const prepared = (a.line.sent as { name?: string; args?: { peer: { profile: object } } }[]).find(
      ({ name }) => name === 'channel.prepare',
    );
    expect(prepared?.args?.peer.profile).toMatchObject({ name: 'esp-transport' });
    expect(a.asked.at(-1)).toBe('channel.close');
  });

  it('is refused beside a migration of the pair, another proof of it, and for hosts that are not fit', async () => {
    const { rooms, a } = await newCluster();
    a.answers['channel.establish'] = () => silence;
    const first = rooms.channels.prove(ends, {}, 'anna');
    await vi.advanceTimersByTimeAsync(10);
    await expect(rooms.channels.prove({ fromHostId: 'b', toHostId: 'a' }, {}, 'bert')).rejects.toMatchObject({ code: 'migration-limit' });
    const wish = { vmId, vmName: 'web1', ...ends, cause: 'operator', askedBy: 'anna', ...ipsec, planId: null } as const;
    await expect(rooms.executor.start(wish)).rejects.toMatchObject({ code: 'migration-limit', message: expect.stringContaining('proven') });
    await vi.advanceTimersByTimeAsync(100_000);
    expect(await first).toMatchObject({ proof: null, refusal: { code: 'command-timeout' } });
    delete a.answers['channel.establish'];
    await rooms.executor.start(wish);
    await expect(rooms.channels.prove(ends, {}, 'anna')).rejects.toMatchObject({ code: 'migration-limit' });
    await expect(rooms.channels.reset(ends, 'anna')).rejects.toMatchObject({ code: 'migration-limit' });
    rooms.membership.revoke('c', 5);
    await expect(rooms.channels.prove({ fromHostId: 'a', toHostId: 'c' }, {}, 'anna')).rejects.toMatchObject({ code: 'host-revoked' });
    await expect(rooms.channels.prove({ fromHostId: 'a', toHostId: 'a' }, {}, 'anna')).rejects.toMatchObject({
      code: 'destination-same-as-source',
    });
  });
});

describe('tuning', () => {
  /** A stream that is faster, with fewer packets, once the MSS is set. */
  function gains({ a }: { readonly a: FakeAgent }, factor: number): void {
    let tuned = false;
    a.answers['path.tune'] = () => {
      tuned = true;
      return {};
    };
    a.answers['path.restore'] = () => {
      tuned = false;
      return {};
    };
    a.answers['path.stream'] = ({ durationMs }) => ({
      bytes: 1_000_000 * (tuned ? factor : 1),
      durationMs,
      packetsOut: tuned ? 500 * factor : 1000,
      packetBytesOut: 1_100_000,
    });
  }

  it('compares before and after, and without --apply puts everything back', async () => {
    const world = await newCluster();
    gains(world, 2);
    const result = await world.rooms.channels.tune(ends, { streamMs: 500 }, 'anna');
    expect(result).toMatchObject({
      applied: false,
      record: { kept: 'after', bytesPerSecondBefore: 2_000_000, bytesPerSecondAfter: 4_000_000 },
      packetRatioMeasured: 0.5,
    });
    expect(world.a.asked.slice(-2)).toEqual(['path.restore', 'channel.close']);
    expect(world.parts.store.tuned).toMatchObject([{ hostA: 'a', hostB: 'b', record: { kept: 'after' } }]);
  });

  it('with --apply keeps the settings and the channel, and not when they are slower', async () => {
    const better = await newCluster();
    gains(better, 2);
    expect(await better.rooms.channels.tune(ends, { apply: true }, 'anna')).toMatchObject({ applied: true });
    expect(better.a.asked.filter((name) => name === 'channel.close')).toEqual([]);
    expect(better.a.asked.lastIndexOf('path.tune')).toBeGreaterThan(better.a.asked.lastIndexOf('path.restore'));
    const worse = await newCluster();
    gains(worse, 0.5);
    expect(await worse.rooms.channels.tune(ends, { apply: true }, 'anna')).toMatchObject({ applied: false, record: { kept: 'before' } });
    expect(worse.a.asked.slice(-2)).toEqual(['path.restore', 'channel.close']);
  });

  it('is known to the next migration of the pair: it measures nothing, and sets what was better', async () => {
    for (const [factor, tunes] of [
      [2, 1],
      [0.5, 0],
    ] as const) {
      const world = await newCluster();
      gains(world, factor);
      await world.rooms.channels.tune(ends, {}, 'anna');
      const before = { measured: count(world.a, 'path.measure'), tuned: count(world.a, 'path.tune') };
      await world.rooms.executor.start({ vmId, vmName: 'web1', ...ends, cause: 'operator', askedBy: 'anna', ...ipsec, planId: null });
      await vi.advanceTimersByTimeAsync(2000);
      expect(count(world.a, 'path.measure') - before.measured).toBe(0);
      expect(count(world.a, 'path.tune') - before.tuned).toBe(tunes);
    }
  });

  it('says what it predicts where no stream can be measured', async () => {
    const { rooms, a } = await newCluster();
    a.answers['path.stream'] = refuse('channel-failed');
    const result = await rooms.channels.tune(ends, {}, 'anna');
    expect(result).toMatchObject({ before: null, after: null, packetRatioMeasured: null, record: { kept: 'after' } });
    expect(result.packetRatioPredicted).toBeGreaterThan(0);
  });

  it('that fails puts everything back', async () => {
    const { rooms, a, b } = await newCluster();
    b.answers['path.measure'] = refuse('channel-failed');
    await expect(rooms.channels.tune(ends, { apply: true }, 'anna')).rejects.toMatchObject({ code: 'channel-failed' });
    expect([a.asked.slice(-2), b.asked.slice(-2)]).toEqual([
      ['path.restore', 'channel.close'],
      ['path.restore', 'channel.close'],
    ]);
  });
});

describe('a reset', () => {
  it('closes both ends, says which one did not, and makes the next migration measure again', async () => {
    const { rooms, a, b, parts } = await newCluster();
    await rooms.channels.tune(ends, {}, 'anna');
    b.answers['channel.close'] = refuse('ipsec-unavailable');
    expect(await rooms.channels.reset({ fromHostId: 'b', toHostId: 'a' }, 'anna')).toMatchObject({
      hostA: 'a',
      ends: [
        { hostId: 'a', refusal: null },
        { hostId: 'b', refusal: { code: 'ipsec-unavailable' } },
      ],
    });
    expect(parts.store.audited.at(-1)).toMatchObject({ verb: 'channel.reset', subject: 'a b' });
    const measured = count(a, 'path.measure');
    await rooms.executor.start({ vmId, vmName: 'web1', ...ends, cause: 'operator', askedBy: 'anna', ...ipsec, planId: null });
    await vi.advanceTimersByTimeAsync(2000);
    expect(count(a, 'path.measure')).toBe(measured + 1);
  });
});

function count(agent: FakeAgent, name: string): number {
  return agent.asked.filter((one) => one === name).length;
}
