import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { guardCounters, guardRuleset, guardTable } from '#core/channel/guard-rules.ts';
import { defaultProfile } from '#core/model/policy.ts';
import type { Capture } from '#lab/api.ts';
import type { VmHost, VmLab } from '#lab/vm/api.ts';
import { waitFor } from '#lab/wait.ts';
import { bulkPort, sendBulk } from './bulk.ts';
import { openCluster, restartAgents, stopAgents } from './cluster.ts';
import { type DriverEnd, lower, openEnd, raise } from './driver-channel.ts';
import { between, packetsOnWire } from './wire.ts';

/** What holds when nobody runs any more who could look after it: here there are no agents. */
let lab: VmLab;
let from: DriverEnd;
let to: DriverEnd;

beforeAll(async () => {
  const cluster = await openCluster();
  ({ lab } = cluster);
  await stopAgents(cluster);
  [from, to] = await Promise.all([openEnd(lab.host('host1')), openEnd(lab.host('host2'))]);
  return async () => {
    await Promise.all([from.ipsec.close(), to.ipsec.close()]);
    await restartAgents(cluster);
  };
});

const install = ({ host, addresses }: DriverEnd): Promise<string> =>
  host.must(['nft', '-f', '-'], { input: guardRuleset({ addresses, backend: 'kernel' }) });
const removeIfThere = (host: VmHost): Promise<string> =>
  host.must(['nft', '-f', '-'], { input: `add table inet ${guardTable}\ndelete table inet ${guardTable}\n` });
const dropped = async (host: VmHost, counter: string): Promise<number> =>
  Number(/packets (\d+)/.exec(await host.must(['nft', 'list', 'counter', 'inet', guardTable, counter]))?.[1]);

afterEach(async () => {
  await lower(from, to);
  for (const { host } of [from, to]) await removeIfThere(host);
});

describe("plain text from another host to this one's migration ports", () => {
  const plain = (): Promise<number | null> =>
    sendBulk({ from: from.host, to: to.host, fromAddress: from.addresses.underlay, toAddress: to.addresses.underlay }, 20_000, 5000);

  it('is dropped and counted, whatever the sender is, and arrives without the guard (control arm)', async () => {
    expect(await plain(), 'no guard').not.toBeNull();
    await install(to);
    expect(await plain(), 'the guard of the receiver').toBeNull();
    expect(await dropped(to.host, guardCounters.migrationIn)).toBeGreaterThan(0);
  });
});

describe('a stream in transport mode whose protection goes away', () => {
  const transport = { ...defaultProfile, name: 'esp-transport' } as const;
  const bundle = { ...defaultProfile, name: 'ah+esp' } as const;
  let capture: Capture;
  let stream: Promise<unknown>;

  beforeEach(async () => {
    stream = Promise.resolve();
    capture = await lab.startCapture('fail-closed');
  });
  afterEach(async () => {
    await stream.catch(() => undefined);
    // A socket that outlives its process would send again in the next test.
    for (const { host } of [from, to]) await host.must(['ss', '-K', 'sport', '=', `:${bulkPort}`, 'or', 'dport', '=', `:${bulkPort}`]);
    await capture.stop();
  });

  /** A stream through the channel that would go on for long; resolves when it flows. */
  async function flow(profile: typeof transport | typeof bundle): Promise<void> {
    await raise(from, to, profile);
    const ends = { from: from.host, to: to.host, fromAddress: from.addresses.underlay, toAddress: to.addresses.underlay };
    stream = sendBulk(ends, 1 << 30, 25_000);
    await waitFor(async () => (await sentBytes()) > 100_000, { what: 'the stream to flow', timeoutMs: 20_000, intervalMs: 200 });
    expect(await plainPackets()).toBe(0);
  }

  const sentBytes = async (): Promise<number> => (await from.ipsec.listSas(new AbortController().signal))[0]?.bytesOut ?? 0;
  const plainPackets = async (): Promise<number> => (await lab.scan(capture.file)).kinds[`tcp/${bulkPort}`] ?? 0;
  const untilPlain = () => waitFor(async () => (await plainPackets()) > 0, { what: 'plain text', timeoutMs: 20_000, intervalMs: 500 });

  async function end(): Promise<number> {
    await stream;
    const packets = between(await packetsOnWire(await capture.stop()), [from.addresses.underlay, to.addresses.underlay]);
    return packets.filter(({ kind }) => kind === 'other').length;
  }

  it('stops at the guard when SA and policy are gone', async () => {
    await Promise.all([install(from), install(to)]);
    await flow(transport);
    await lower(from, to);
    const counted = async () => (await dropped(from.host, guardCounters.migrationOut)) > 0;
    await waitFor(counted, { what: 'the guard to drop a segment', timeoutMs: 20_000, intervalMs: 500 });
    expect(await end()).toBe(0);
  });

  it('goes on in plain text without the guard (control arm)', async () => {
    await flow(transport);
    await lower(from, to);
    await untilPlain();
    expect(await end()).toBeGreaterThan(0);
  });

  it('stops at the policies of AH and ESP together when their SAs are gone, without any guard', async () => {
    await flow(bundle);
    const before = await withoutState(from.host);
    await from.host.must(['ip', 'xfrm', 'state', 'flush']);
    await waitFor(async () => (await withoutState(from.host)) > before, { what: 'the kernel to drop a segment', timeoutMs: 20_000 });
    expect(await end()).toBe(0);
  });

  it('goes on in plain text when those policies are gone, too (control arm)', async () => {
    await flow(bundle);
    await lower(from, to);
    await untilPlain();
    expect(await end()).toBeGreaterThan(0);
  });
});

/** Packets that a policy wanted an SA for that was not there. */
async function withoutState(host: VmHost): Promise<number> {
  const counters = await host.must(['cat', '/proc/net/xfrm_stat']);
  return Number(/^XfrmOutNoStates\s+(\d+)/m.exec(counters)?.[1]);
}
