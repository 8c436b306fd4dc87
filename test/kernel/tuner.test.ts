import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { carriedBetween } from '#core/channel/watch.ts';
import type { MigrationResource } from '#wire/api.ts';
import { sendBulk } from './bulk.ts';
import { type Cluster, expectSound, migrate, openCluster, placesOf, seconds, useChannel } from './cluster.ts';
import { GUEST } from './lab.ts';

const interfaceMtuBytes = 1500;
const bulkBytes = 200_000;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await openCluster();
});
afterAll(async () => {
  await cluster.lab.setMiddle(undefined);
  await cluster.lab.setLinkMtu(interfaceMtuBytes);
});

/** Everything that a tuning may change on the hosts. */
async function settings(): Promise<readonly string[]> {
  const look = ['sh', '-c', 'cat /sys/class/net/eth0/mtu; ip route show table all; ip -6 route show table all; nft list tables'];
  const texts = await Promise.all(cluster.lab.hosts.map((host) => host.must(look)));
  // Without routes that the kernel notes or ages by itself, and those of the guest's own interface, which moves with it.
  return texts.map((text) => text.replaceAll(/^.*(cache|expires|dev vnet).*\n/gm, '').replaceAll(/ pref medium/g, ''));
}

interface Sent {
  readonly transferMs: number;
  readonly packets: number;
  readonly bytes: number;
}

/** What a migration sent through its channel, by the counters of the source's SA. */
function sentBy({ channelBefore, channelAfter, outcome }: MigrationResource): Sent {
  const [first, last] = [channelBefore?.sa, channelAfter?.sa];
  const carried = first && last ? carriedBetween(first, last) : null;
  if (!carried || !outcome) throw new Error('a migration without counters');
  return { transferMs: outcome.totalMs, packets: carried.packetsOut, bytes: carried.bytesOut };
}

async function migrated(): Promise<Sent> {
  const migration = await migrate(cluster, GUEST);
  expect(migration).toMatchObject({ phase: 'done', failure: null });
  await expectSound(cluster.lab.guest(GUEST));
  return sentBy(migration);
}

describe('the same migration with larger packets', () => {
  let before: Sent;
  const mtus = [4000, 9000] as const;

  beforeAll(async () => {
    await useChannel(cluster, { tuning: { mode: 'off' } });
    before = await migrated();
    console.log(`MTU ${interfaceMtuBytes}, not tuned: ${seconds(before.transferMs)}, ${before.packets} packets`);
    await useChannel(cluster, { tuning: { mode: 'raise', mtuBytesMax: 9000 } });
  });

  it('finds nothing to gain on a link of 1500', async () => {
    const { record, packetRatioPredicted } = await cluster.client.tuneChannel('host1', 'host2', { streamMs: 1000 });
    expect(record).toMatchObject({ pathMtuBytes: 1500, mtuBeforeBytes: 1500, mtuAfterBytes: 1500, limitedBy: 'path' });
    expect(packetRatioPredicted).toBe(1);
  });

  it.each(mtus)('takes fewer packets on a link of %i, and puts everything back', async (mtuBytes) => {
    await cluster.lab.setLinkMtu(mtuBytes);
    await cluster.client.resetChannel('host1', 'host2');
    const settingsBefore = await settings();
    const after = await migrated();
    const ratio = (of: (sent: Sent) => number): string => (of(after) / of(before)).toFixed(2);
    console.log(
      `MTU ${mtuBytes}, tuned: ${seconds(after.transferMs)}, ${after.packets} packets; against ${interfaceMtuBytes}: ` +
        `time x ${ratio((sent) => sent.transferMs)}, packets x ${ratio((sent) => sent.packets)}, bytes x ${ratio((sent) => sent.bytes)}`,
    );
    // Pages of 4 KiB in full packets, and the rest of what a migration says beside them.
    expect(after.packets / after.bytes).toBeLessThan(((before.packets / before.bytes) * interfaceMtuBytes * 1.3) / mtuBytes);
    expect(await settings()).toEqual(settingsBefore);
  });
});

describe('a path with a smaller middle that says nothing about it', () => {
  const middleMtuBytes = 1400;
  let settingsBefore: readonly string[];

  beforeAll(async () => {
    await cluster.lab.setLinkMtu(interfaceMtuBytes);
    await useChannel(cluster, { tuning: { mode: 'clamp' } });
    await cluster.lab.setMiddle(middleMtuBytes);
    settingsBefore = await settings();
  });
  afterAll(async () => {
    await cluster.client.resetChannel('host1', 'host2');
    await cluster.lab.setMiddle(undefined);
  });

  const bulk = (timeoutMs: number): Promise<number | null> => {
    const [from, to] = [cluster.lab.host('host1'), cluster.lab.host('host2')];
    return sendBulk({ from, to, fromAddress: from.protected, toAddress: to.protected }, bulkBytes, timeoutMs);
  };

  it('swallows a stream without tuning (control arm)', async () => {
    const { proof } = await cluster.client.proveChannel('host1', 'host2', { keep: true });
    expect(proof, 'small packets come through').not.toBeNull();
    expect(await bulk(15_000)).toBeNull();
  });

  it('is measured to the byte, and carries the stream with what was set', async () => {
    const { record, applied, before, after } = await cluster.client.tuneChannel('host1', 'host2', { apply: true, streamMs: 1000 });
    expect(record).toMatchObject({ pathMtuBytes: middleMtuBytes, limitedBy: 'path', kept: 'after' });
    expect(applied).toBe(true);
    const rate = (stream: typeof after): string => (stream === null ? 'nothing' : `${Math.round(stream.bytesPerSecond / 1000)} kB/s`);
    console.log(`middle of ${middleMtuBytes}: ${rate(before)} through it before, ${rate(after)} after`);
    expect(await bulk(60_000)).not.toBeNull();
  });

  it('leaves the hosts as they were when the channel is reset', async () => {
    expect(await settings()).not.toEqual(settingsBefore);
    await cluster.client.resetChannel('host1', 'host2');
    expect(await settings()).toEqual(settingsBefore);
  });

  it('carries a migration, which measures by itself', async () => {
    const { to } = await placesOf(cluster, GUEST);
    await migrated();
    expect((await placesOf(cluster, GUEST)).from).toBe(to);
  });
});
