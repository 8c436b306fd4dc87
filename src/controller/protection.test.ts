/** What protects a migration, as the executor makes it by commands to both agents. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { firstRefusal } from '#core/checks/preflight.ts';
import { defaultPolicy, type ChannelPolicy } from '#core/model/policy.ts';
import { type Refusal, refusalOf } from '#core/model/result.ts';
import { FakeAgent, fakeParts, hello, ipsec, policy, refuse, runningVm, settings, tokens, vmId } from './fakes.ts';
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

const wish = { vmId, vmName: 'web1', fromHostId: 'a', toHostId: 'b', cause: 'operator', askedBy: 'anna', ...ipsec, planId: null } as const;
const normal = defaultPolicy.channel;

async function newCluster(channel: Partial<ChannelPolicy> = {}) {
  const parts = fakeParts();
  for (const hostId of ['a', 'b', 'c'])
    parts.store.hostRecords.push({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
  const own = { ...settings, policy: { ...policy, channel: { ...normal, ...channel } } };
  const rooms = await openRooms(parts, own, tokens, stop.signal);
  const source = new FakeAgent(parts, 'a', runningVm());
  const destination = new FakeAgent(parts, 'b');
  const finish = async (migrationId: string) => {
    [source.vm, destination.vm] = [null, runningVm()];
    const outcome = { totalMs: 900, downtimeMs: 50, memorySentBytes: 1000, iterations: 2 };
    source.answers['transfer.status'] = () => ({ status: { kind: 'completed', outcome, channel: null, decisions: [], attempts: 1 } });
    for (let tries = 0; tries < 100 && rooms.executor.current(migrationId); tries += 1) await vi.advanceTimersByTimeAsync(1000);
    [source.vm, destination.vm] = [runningVm(), null];
    delete source.answers['transfer.status'];
    return parts.store.records.get(migrationId);
  };
  /** One migration from its start to its end. */
  const migrate = async (changes: Partial<Parameters<typeof rooms.executor.start>[0]> = {}) => {
    const { request } = await rooms.executor.start({ ...wish, ...changes });
    for (let tries = 0; tries < 40 && rooms.executor.current(request.migrationId)?.phase !== 'copying'; tries += 1)
      await vi.advanceTimersByTimeAsync(500);
    return finish(request.migrationId);
  };
  return { parts, rooms, source, destination, migrate };
}

type World = Awaited<ReturnType<typeof newCluster>>;

/** The arguments of each command of this name that came, in order. */
function argsOf(agent: FakeAgent, name: string): readonly Record<string, unknown>[] {
  const commands = agent.line.sent as readonly { readonly name?: string; readonly args?: Record<string, unknown> }[];
  return commands.flatMap((command) => (command.name === name ? [command.args ?? {}] : []));
}

describe('the secrets of a channel', () => {
  const secretsOf = (agent: FakeAgent) => argsOf(agent, 'channel.prepare').map(({ secrets }) => secrets);

  it('are none where the hosts authenticate by certificate', async () => {
    const { migrate, source } = await newCluster();
    expect(await migrate()).toMatchObject({ phase: 'done', proof: { authentication: 'certificate' } });
    expect(secretsOf(source)).toEqual([{ preSharedKey: null, postQuantumKey: null }]);
  });

  it('are made for each channel, the same for both ends, two different keys, and are found nowhere else', async () => {
    const profile = { ...normal.profile, authentication: 'psk', postQuantumKey: true } as const;
    const { migrate, source, destination, parts } = await newCluster({ profile });
    await migrate();
    await migrate();
    const made = secretsOf(source) as readonly { readonly preSharedKey: string; readonly postQuantumKey: string }[];
    expect(secretsOf(destination)).toEqual(made);
    const keys = made.flatMap(({ preSharedKey, postQuantumKey }) => [preSharedKey, postQuantumKey]);
    expect(new Set(keys).size).toBe(4);
    for (const key of keys) expect(key).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    const elsewhere = JSON.stringify([parts.logged, [...parts.store.records.values()], parts.store.receipts, parts.store.audited]);
    for (const key of keys) expect(elsewhere).not.toContain(key);
  });
});

describe('packet sizes', () => {
  const tunings = (agent: FakeAgent) => argsOf(agent, 'path.tune').map(({ tuning }) => tuning as { readonly mssBytes: number | null });

  it('are measured both ways and set on both ends before the proof, and are in the record and the receipt', async () => {
    const { migrate, source, destination, parts } = await newCluster();
    source.answers['path.measure'] = () => ({ pathMtuBytes: 1400 });
    expect(await migrate()).toMatchObject({ phase: 'done', tuning: { pathMtuBytes: 1400, limitedBy: 'path', kept: 'after' } });
    expect([tunings(source).length, tunings(destination).length]).toEqual([1, 1]);
    expect(tunings(source)[0]?.mssBytes).toBe(tunings(destination)[0]?.mssBytes);
    expect(source.asked.indexOf('path.tune')).toBeGreaterThan(source.asked.indexOf('channel.establish'));
    expect(source.asked.indexOf('channel.probe')).toBeGreaterThan(source.asked.indexOf('path.tune'));
    expect(parts.store.tuned).toMatchObject([{ hostA: 'a', hostB: 'b', record: { pathMtuBytes: 1400 } }]);
  });

  it('are measured once for several migrations, in either direction, until it is ten minutes ago', async () => {
    const { migrate, source, rooms, destination } = await newCluster();
    await migrate();
    await migrate();
    expect(source.asked.filter((name) => name === 'path.measure')).toHaveLength(1);
    expect(tunings(source)).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(600_000);
    for (const agent of [source, destination]) agent.dial();
    await migrate();
    expect(source.asked.filter((name) => name === 'path.measure')).toHaveLength(2);
    expect(rooms.executor.inFlight()).toEqual([]);
  });

  it('are left alone when the policy says so', async () => {
    const { migrate, source } = await newCluster({ tuning: { mode: 'off', mtuBytesMax: 9000 } });
    expect(await migrate()).toMatchObject({ phase: 'done', tuning: null });
    // What the channel carries is measured all the same, for the prediction.
    expect(source.asked.filter((name) => name.startsWith('path.'))).toEqual(['path.stream']);
  });

  it('are raised only where policy allows, for the measurement too, and only to what the path carries', async () => {
    const wide = { interface: 'eth0', interfaceMtuBytes: 1500, interfaceMtuBytesMax: 9000, routeMtuBytes: null, tunnelMtuBytes: null };
    const raised = async (mode: 'clamp' | 'raise') => {
      const { migrate, source, destination } = await newCluster({ tuning: { mode, mtuBytesMax: 8000 } });
      for (const agent of [source, destination]) {
        agent.answers['path.way'] = () => ({ way: wide });
        agent.answers['path.measure'] = ({ packetBytesMax }) => ({ pathMtuBytes: Math.min(4000, Number(packetBytesMax)) });
      }
      const record = await migrate();
      return {
        mtus: argsOf(source, 'path.tune').map(({ tuning }) => (tuning as { interfaceMtuBytes: number | null }).interfaceMtuBytes),
        record,
      };
    };
    const clamp = await raised('clamp');
    expect([clamp.mtus, clamp.record?.tuning?.pathMtuBytes]).toEqual([[null], 1500]);
    const raise = await raised('raise');
    expect([raise.mtus, raise.record?.tuning?.pathMtuBytes]).toEqual([[8000, 4000], 4000]);
  });

  it.each<[story: string, spoil: (world: World) => unknown]>([
    ['the path cannot be measured', ({ source }) => (source.answers['path.measure'] = refuse('channel-failed'))],
    ['a host cannot say its way', ({ destination }) => (destination.answers['path.way'] = refuse('channel-failed'))],
    ['a setting cannot be made', ({ destination }) => (destination.answers['path.tune'] = refuse('channel-failed'))],
    ['the record cannot be kept', ({ parts }) => parts.store.failing.add('saveTuning')],
  ])('are no reason not to migrate when %s: settings are put back', async (_story, spoil) => {
    const world = await newCluster();
    spoil(world);
    expect(await world.migrate()).toMatchObject({ phase: 'done', tuning: null });
    expect(world.source.asked.lastIndexOf('path.restore')).toBeGreaterThan(world.source.asked.indexOf('path.way'));
  });

  it('stop the migration when nothing comes through at all', async () => {
    const { migrate, destination, source } = await newCluster();
    destination.answers['path.measure'] = () => ({ pathMtuBytes: 0 });
    expect(await migrate()).toMatchObject({
      phase: 'failed',
      failure: { code: 'channel-failed', message: expect.stringContaining('b to a') },
    });
    expect(source.asked).not.toContain('transfer.start');
  });
});

describe('a channel that cannot be proven', () => {
  it('is made anew once, with new keys', async () => {
    const { migrate, source } = await newCluster({ profile: { ...normal.profile, authentication: 'psk' } });
    const usual = source.usual('channel.establish');
    let calls = 0;
    source.answers['channel.establish'] = (args) => ((calls += 1) === 1 ? refuse('ipsec-failed') : usual)(args);
    expect(await migrate()).toMatchObject({ phase: 'done' });
    const keys = argsOf(source, 'channel.prepare').map(({ secrets }) => (secrets as { preSharedKey: string }).preSharedKey);
    expect(new Set(keys).size).toBe(2);
  });
});

describe('before anything is touched', () => {
  const cases: readonly (readonly [story: string, channel: Partial<ChannelPolicy>, spoil: (world: World) => unknown, code: string])[] = [
    ['the source was revoked', {}, ({ rooms }) => rooms.membership.revoke('a', 5), 'host-revoked'],
    ['the destination was revoked', {}, ({ rooms }) => rooms.membership.revoke('b', 5), 'host-revoked'],
    ['a clock is too far off', {}, ({ rooms }) => shift(rooms, 'b', 2500), 'clock-skew'],
    ['a clock is too far behind', {}, ({ rooms }) => shift(rooms, 'a', -2500), 'clock-skew'],
    ['a certificate ends in less than five minutes', {}, ({ parts }) => new FakeAgent(parts, 'b', null, 299_000), 'certificate-expired'],
    ['a certificate has ended', {}, ({ parts }) => new FakeAgent(parts, 'b', null, -1), 'certificate-expired'],
    ['charon is away on one host', {}, ({ destination }) => answerBackend(destination, null), 'ipsec-unavailable'],
    [
      'a host cannot carry the profile',
      { profile: { ...normal.profile, name: 'ah+esp' } },
      ({ destination }) => answerBackend(destination, 'libipsec'),
      'profile-unsupported',
    ],
    ['the profile does not encrypt', { profile: { ...normal.profile, name: 'ah' } }, () => undefined, 'profile-refused'],
  ];

  it.each(cases)('a migration is refused when %s, and a dry run says so', async (_story, channel, spoil, code) => {
    const world = await newCluster(channel);
    spoil(world);
    expect(await dryRun(world.rooms)).toMatchObject({ code });
    expect(await world.migrate()).toMatchObject({ phase: 'failed', failure: { code } });
    expect([...world.source.asked, ...world.destination.asked]).not.toContain('ticket.accept');
  });

  it('a migration is let through by the same checks when all is well', async () => {
    const { rooms, migrate } = await newCluster();
    shift(rooms, 'b', 1500);
    expect(await dryRun(rooms)).toBeNull();
    expect(await migrate()).toMatchObject({ phase: 'done' });
  });

  /** What a dry run is refused for; null where it is not. */
  async function dryRun({ executor, preflight, choosing }: World['rooms']): Promise<Refusal | null> {
    const request = { ...wish, migrationId: 'dry-run', vmEpoch: 0, askedAtMs: Date.now() };
    try {
      executor.mustBeFree(wish);
      const { row, blind } = await preflight.inspect(request);
      const refusal = firstRefusal(row) ?? blind;
      if (refusal !== null) return refusal;
      const choice = await choosing.choose(request);
      return choice.ok ? null : choice.refusal;
    } catch (error) {
      return refusalOf(error);
    }
  }

  function shift(rooms: World['rooms'], hostId: string, aheadMs: number): void {
    rooms.skews.forget(hostId);
    rooms.skews.note(hostId, Date.now() + aheadMs, Date.now());
  }

  function answerBackend(agent: FakeAgent, backend: string | null): void {
    const usual = agent.usual('channel.list');
    agent.answers['channel.list'] = (args) => ({ ...(usual(args) as object), backend });
  }
});

describe('a migration in plain text', () => {
  async function granted(world: World) {
    const body = { fromHostId: 'a', toHostId: 'b', reason: 'charon crashes', lifetimeMs: 3_600_000 };
    const { grantId } = await world.rooms.grants.request(body, 'anna');
    await world.rooms.grants.approve(grantId, 'bert');
    return { channelKind: 'none', grantId, approvedBy: 'bert' } as const;
  }

  it('goes with a grant: both guards let exactly the other host through for a time, and no longer', async () => {
    const world = await newCluster();
    const record = await world.migrate(await granted(world));
    expect(record).toMatchObject({ phase: 'done', proof: null, tuning: null, request: { channelKind: 'none', approvedBy: 'bert' } });
    for (const [agent, peer] of [
      [world.source, 'b'],
      [world.destination, 'a'],
    ] as const) {
      const exemptions = argsOf(agent, 'guard.exempt');
      expect(exemptions.map(({ peerUnderlay }) => peerUnderlay)).toEqual(Array(2).fill(hello(peer).addresses.underlay));
      expect(exemptions[0]?.['lifetimeMs']).toBeGreaterThan(120_000);
      expect(exemptions[0]?.['lifetimeMs']).toBeLessThanOrEqual(3_600_000);
      expect(exemptions[1]?.['lifetimeMs']).toBe(0);
      expect(agent.asked.filter((name) => name.startsWith('channel.') && name !== 'channel.list')).toEqual([]);
    }
    expect(argsOf(world.source, 'transfer.start')).toMatchObject([{ channelKind: 'none' }]);
    expect(await world.rooms.receipts.read(record?.request.migrationId ?? '')).toMatchObject({
      statement: { approvedBy: 'bert', channel: { kind: 'none', weaker: true, proof: null } },
    });
  });

  it.each<[story: string, spoil: (world: World, grantId: string) => Promise<unknown>, code: string]>([
    [
      'was never approved',
      async (world, grantId) => world.parts.store.granted.set(grantId, { ...(await must(world, grantId)), approvedBy: null }),
      'grant-invalid',
    ],
    ['was withdrawn', (world, grantId) => world.rooms.grants.withdraw(grantId, 'carla'), 'grant-invalid'],
    ['has expired', () => vi.advanceTimersByTimeAsync(3_600_000), 'grant-invalid'],
  ])('does not go when its grant %s: no guard is opened', async (_story, spoil, code) => {
    const world = await newCluster();
    const kind = await granted(world);
    await spoil(world, kind.grantId);
    for (const agent of [world.source, world.destination]) agent.dial();
    expect(await world.migrate(kind)).toMatchObject({ phase: 'failed', failure: { code } });
    expect([...world.source.asked, ...world.destination.asked]).not.toContain('guard.exempt');
  });

  it('does not go without a grant, nor when it is withdrawn between the checks and the opening of the guards', async () => {
    const world = await newCluster();
    expect(await world.migrate({ channelKind: 'none' })).toMatchObject({ phase: 'failed', failure: { code: 'grant-missing' } });
    const kind = await granted(world);
    const { promise, resolve } = Promise.withResolvers<void>();
    world.destination.delay('ticket.accept', promise);
    const migrating = world.migrate(kind);
    await vi.advanceTimersByTimeAsync(100);
    await world.rooms.grants.withdraw(kind.grantId, 'carla');
    resolve();
    expect(await migrating).toMatchObject({ phase: 'failed', failure: { code: 'grant-invalid' } });
    const opened = [world.source, world.destination]
      .flatMap((agent) => argsOf(agent, 'guard.exempt'))
      .filter(({ lifetimeMs }) => lifetimeMs !== 0);
    expect(opened).toEqual([]);
  });

  it("by libvirt's own TLS needs a grant and open guards too, and is marked as weaker", async () => {
    const world = await newCluster();
    expect(await world.migrate({ channelKind: 'qemu-tls' })).toMatchObject({ phase: 'failed', failure: { code: 'grant-missing' } });
    const record = await world.migrate({ ...(await granted(world)), channelKind: 'qemu-tls' });
    expect(record).toMatchObject({ phase: 'done', proof: null });
    expect(argsOf(world.source, 'guard.exempt')).toHaveLength(2);
    expect(await world.rooms.receipts.read(record?.request.migrationId ?? '')).toMatchObject({
      statement: { channel: { kind: 'qemu-tls', weaker: true } },
    });
  });

  it.each(['ssh', 'sealed-image'] as const)('by %s needs a grant, and no guard is opened for it', async (channelKind) => {
    const world = await newCluster();
    expect(await world.migrate({ channelKind })).toMatchObject({ phase: 'failed', failure: { code: 'grant-missing' } });
    const kind = await granted(world);
    const { promise, resolve } = Promise.withResolvers<void>();
    world.destination.delay('ticket.accept', promise);
    const withdrawn = world.migrate({ ...kind, channelKind });
    await vi.advanceTimersByTimeAsync(100);
    await world.rooms.grants.withdraw(kind.grantId, 'carla');
    resolve();
    expect(await withdrawn).toMatchObject({ phase: 'failed', failure: { code: 'grant-invalid' } });
    delete world.destination.answers['ticket.accept'];
    const record = await world.migrate({ ...(await granted(world)), channelKind });
    expect(record).toMatchObject({ phase: 'done', proof: null });
    expect([...world.source.asked, ...world.destination.asked]).not.toContain('guard.exempt');
    expect(await world.rooms.receipts.read(record?.request.migrationId ?? '')).toMatchObject({
      statement: { approvedBy: 'bert', channel: { kind: channelKind, weaker: true, proof: null } },
    });
  });

  async function must(world: World, grantId: string) {
    const grant = await world.parts.store.grant(grantId);
    if (!grant) throw new Error('there is no grant');
    return grant;
  }
});
