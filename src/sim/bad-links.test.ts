/** What bad and half-cut links, and a charon that stands still, make of SAs, probes and streams. */
import { defaultProfile } from '#core/model/policy.ts';
import { refusalOf } from '#core/model/result.ts';
import type { HostIdentity } from '#core/ports.ts';
import { describe, expect, test } from 'vitest';
import { Bench } from './bench.ts';
import { pemOf } from './certificates.ts';
import { hostSpec, surroundings } from './examples.ts';
import type { HostSpec } from './host.ts';
import { SimIpsec } from './ipsec.ts';
import { ProbeBoard, SimProber } from './prober.ts';
import { SimProcess } from './process.ts';
import { Streams } from './random.ts';
import { VirtualTime } from './virtual-time.ts';
import { World } from './world.ts';

const { signal } = new AbortController();
const good = { delayMs: 0, jitterMs: 0, lossPercent: 0, duplicatePercent: 0, reorderPercent: 0 };
const settled = (work: Promise<unknown>) => work.catch((error: unknown) => refusalOf(error).code);

function identityOf(hostId: string, nowMs: number): HostIdentity {
  const dates = { notBeforeMs: nowMs - 1000, notAfterMs: nowMs + 1_000_000 };
  const certificatePem = pemOf({ kind: 'certificate', hostId, key: hostId, serialNumber: hostId, authorityId: 'ca', ...dates });
  const crlPems = [pemOf({ kind: 'list', authorityId: 'ca', number: 1, serialNumbers: [] })];
  return { hostId, certificatePem, privateKeyPem: hostId, caPem: 'root', intermediatesPem: 'ca', crlPems, ...dates };
}

/** Two hosts that can make an SA, each with an agent that probes. */
async function setUp(seed = 1, changed: Partial<HostSpec> = {}) {
  const time = new VirtualTime();
  const world = new World(time, [hostSpec(1, changed), hostSpec(2, changed)], [], [], new Streams(seed));
  const board = new ProbeBoard();
  const run = (ms: number) => time.runUntil(time.elapsedMs + ms, surroundings.drain);
  const ends = [1, 2].map((number) => {
    const host = world.host(`host${number}`);
    const far = world.host(`host${3 - number}`);
    const agent = new SimProcess(host.hostId);
    const ipsec = new SimIpsec(world, host, new Streams(seed).stream(host.hostId));
    const prober = new SimProber(world, host, board, agent);
    const peer = {
      localAddresses: host.spec.addresses,
      peerHostId: far.hostId,
      peerAddresses: far.spec.addresses,
      profile: defaultProfile,
      secrets: { preSharedKey: null, postQuantumKey: null },
    };
    return { host, agent, ipsec, prober, peer };
  });
  const [near, far] = ends;
  if (!near || !far) throw new RangeError('there are two ends');
  for (const end of ends) void end.ipsec.prepare(end.peer, identityOf(end.host.hostId, time.nowMs), signal);
  await run(10);
  const establish = async (waitMs: number) => {
    const work = settled(near.ipsec.establish(near.peer, signal));
    await run(waitMs);
    return Promise.race([work, Promise.resolve('not yet')]);
  };
  /** Eight probes in the channel, or in plain text. */
  const probe = async (kind: 'sendProtected' | 'sendPlain') => {
    const listener = await far.prober.listen(far.host.spec.addresses, 'n', signal);
    const probes = { from: near.host.spec.addresses, to: far.host.spec.addresses, nonce: 'n', count: 8 };
    const work = near.prober[kind]({ ...probes, sizeBytes: 100, timeoutMs: 3000 }, signal);
    await run(4000);
    return { answered: await work, ...listener.counts() };
  };
  return { world, near, far, run, establish, probe };
}

describe('IKE', () => {
  test('over a link that loses packets takes a retransmission or two longer, or is given up', async () => {
    const early = new Set<boolean>();
    const ended = new Set<unknown>();
    for (let seed = 1; seed <= 20; seed += 1) {
      const { world, establish, run } = await setUp(seed);
      world.network.setQuality('host1', 'host2', { ...good, lossPercent: 30 });
      early.add((await establish(500)) !== 'not yet');
      await run(15_000);
      ended.add(world.saPair(world.host('host1'), world.host('host2')) !== undefined);
    }
    expect([early.size, ended.size]).toEqual([2, 2]);
    const whole = await setUp();
    expect(await whole.establish(100)).toMatchObject({ state: 'installed' });
  });

  test('whose last answer is cut off leaves an SA at one end, until that one finds nobody there', async () => {
    const { world, near, far, establish, run } = await setUp();
    expect(await establish(30)).toBe('not yet');
    world.network.cutOneWay('host2', 'host1');
    await run(100);
    expect([near.host.charon.sas.length, far.host.charon.sas.length]).toEqual([0, 1]);
    expect(await establish(12_000)).toBe('ipsec-failed');
    await run(31_000);
    expect(far.host.charon.sas).toHaveLength(0);
  });

  test('of a charon that stands still has no answer: not for its peer, not for its own agent', async () => {
    const peer = await setUp();
    peer.far.host.charon.pause();
    expect(await peer.establish(11_000)).toBe('ipsec-failed');
    const own = await setUp();
    own.near.host.charon.pause();
    expect(await own.establish(6_000)).toBe('ipsec-unavailable');
    own.near.host.charon.goOn();
    expect(await own.establish(200)).toMatchObject({ state: 'installed' });
  });

  test("judges certificates by each host's own clock", async () => {
    const { world, establish } = await setUp();
    world.clock('host2').jump(2_000_000);
    expect(await establish(200)).toBe('ipsec-failed');
    world.clock('host2').jump(-2_000_000);
    expect(await establish(200)).toMatchObject({ state: 'installed' });
  });
});

describe('probes', () => {
  test('are all answered, also over a link that loses some: they are sent again; a doubled one counts once inside ESP', async () => {
    const { world, near, establish, probe } = await setUp();
    await establish(200);
    expect(await probe('sendProtected')).toEqual({ answered: 8, protectedProbes: 8, plainProbes: 0 });
    expect(near.host.charon.sas[0]?.counters).toMatchObject({ packetsOut: 8, packetsIn: 8 });
    world.network.setQuality('host1', 'host2', { ...good, lossPercent: 40, duplicatePercent: 40 });
    expect(await probe('sendProtected')).toEqual({ answered: 8, protectedProbes: 8, plainProbes: 0 });
    expect(near.host.charon.sas[0]?.counters.packetsOut).toBeGreaterThan(16);
    world.network.setQuality('host1', 'host2', { ...good, duplicatePercent: 100 });
    expect(await probe('sendPlain')).toMatchObject({ plainProbes: 16 });
  });

  test('are heard and not answered where only the way back is cut, and not even heard where the way there is', async () => {
    const { world, establish, probe } = await setUp();
    await establish(200);
    world.network.cutOneWay('host2', 'host1');
    expect(await probe('sendProtected')).toMatchObject({ answered: 0, protectedProbes: 8 });
    expect(await probe('sendPlain')).toMatchObject({ plainProbes: 8 });
    world.network.heal('host1', 'host2');
    world.network.cutOneWay('host1', 'host2');
    expect(await probe('sendProtected')).toMatchObject({ answered: 0, protectedProbes: 0 });
    expect(await probe('sendPlain')).toMatchObject({ plainProbes: 0 });
  });

  test('are not answered by an agent that stands still', async () => {
    const { far, establish, probe } = await setUp();
    await establish(200);
    far.agent.pause();
    expect(await probe('sendProtected')).toMatchObject({ answered: 0, protectedProbes: 8 });
  });

  test('of a path, and a stream, find what is left of a bad link', async () => {
    const { world, near, far, run, establish } = await setUp();
    await establish(200);
    const ends = { from: near.host.spec.addresses, to: far.host.spec.addresses, nonce: 'n' };
    const { port } = await far.prober.receiveStream(far.host.spec.addresses, 'n', signal);
    const rate = async () => {
      const work = near.prober.sendStream({ ...ends, port, durationMs: 1000 }, signal);
      await run(1000);
      return (await work).bytes;
    };
    expect(await rate()).toBe(50 * 2 ** 20);
    world.network.setQuality('host1', 'host2', { ...good, delayMs: 8, lossPercent: 1 });
    expect(await rate()).toBeCloseTo(((1448 / 0.02) * Math.sqrt(1.5)) / 0.1, -1);
    await far.prober.answerPath(far.host.spec.addresses, 'n', signal);
    const path = async () => {
      const work = near.prober.probePath({ ...ends, packetBytes: 1400, timeoutMs: 500 }, signal);
      await run(600);
      return work;
    };
    expect(await path()).toBe(true);
    world.network.cutOneWay('host2', 'host1');
    expect(await path()).toBe(false);
    expect(await rate()).toBe(0);
  });
});

describe('a migration stream', () => {
  const carry = (world: World) => world.carry(world.host('host1'), world.host('host2'), 1400);

  test('stands still where either direction is cut: it needs its acknowledgements', async () => {
    const { world, establish } = await setUp();
    await establish(200);
    expect(carry(world)).toBe('carried');
    world.network.cutOneWay('host1', 'host2');
    expect(carry(world)).toBe('unreachable');
    world.network.heal('host1', 'host2');
    world.network.cutOneWay('host2', 'host1');
    expect(carry(world)).toBe('unreachable');
  });

  test('stands still with a charon that does the ESP itself, and goes on where the kernel does it', async () => {
    for (const [ipsec, carriage] of [
      ['kernel', 'carried'],
      ['libipsec', 'unreachable'],
    ] as const) {
      const { world, far, establish } = await setUp(1, { ipsec });
      await establish(200);
      far.host.charon.pause();
      expect(carry(world)).toBe(carriage);
      far.host.charon.goOn();
      expect(carry(world)).toBe('carried');
    }
  });

  test('is as slow as its link, and comes to an end', async () => {
    const bench = new Bench({ dirtyMiBPerSecond: 0, workingSetMiB: 0 });
    bench.world.network.setQuality('host1', 'host2', { ...good, delayMs: 8, lossPercent: 0.01 });
    const outcome = bench.migrate();
    await bench.run(30);
    expect(bench.progress.at(-1)?.bandwidthBytesPerSecond).toBeCloseTo(((1448 / 0.02) * Math.sqrt(1.5)) / 0.01, -1);
    await bench.run(120);
    expect(await outcome).toMatchObject({ memorySentBytes: 2 ** 30 });
  });
});
