import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { suites, type SuiteName } from '#core/channel/algorithms.ts';
import { fullSegment, wrappingOfSa } from '#core/channel/overhead.ts';
import { channelAddresses } from '#core/channel/profiles.ts';
import type { ChannelProfile, ProfileName } from '#core/model/channel.ts';
import { defaultProfile } from '#core/model/policy.ts';
import { packetsOf } from '#lab/scan.ts';
import type { VmLab } from '#lab/vm/api.ts';
import { sendBulk } from './bulk.ts';
import { type Cluster, openCluster, restartAgents, stopAgents } from './cluster.ts';
import { type DriverEnd, lower, openEnd, raise } from './driver-channel.ts';
import { type EspKeys, espKeysOf, type TcpSegment, tcpSegmentIn } from './esp-open.ts';

/** One suite for each profile: the ciphers are the same as on IPv4. */
const casesOfIpv6: readonly (readonly [ProfileName, SuiteName])[] = [
  ['esp-tunnel', 'aes-gcm'],
  ['esp-transport', 'aes-gcm'],
  ['ah', 'aes-gcm'],
  ['ah+esp', 'aes-cbc-sha2'],
];

/** AH alone has one algorithm of its own in each suite; the ciphers make no difference to it. */
const cases: readonly (readonly [ProfileName, SuiteName])[] = [
  ['esp-tunnel', 'aes-gcm'],
  ['esp-tunnel', 'chacha20-poly1305'],
  ['esp-tunnel', 'aes-cbc-sha2'],
  ['esp-transport', 'aes-gcm'],
  ['esp-transport', 'chacha20-poly1305'],
  ['esp-transport', 'aes-cbc-sha2'],
  ['ah', 'aes-gcm'],
  ['ah', 'aes-cbc-sha2'],
  ['ah+esp', 'aes-gcm'],
  ['ah+esp', 'chacha20-poly1305'],
  ['ah+esp', 'aes-cbc-sha2'],
];

const mtus = [1500, 9000] as const;

describe.each(mtus)('predicted sizes against captured ones at an MTU of %i', (mtuBytes) => {
  let cluster: Cluster;
  let lab: VmLab;
  let ends: Readonly<Record<4 | 6, readonly [DriverEnd, DriverEnd]>>;
  const table: string[] = [];

  // A controller would take these channels down: it knows of nobody who uses them.
  beforeAll(async () => {
    cluster = await openCluster();
    ({ lab } = cluster);
    await stopAgents(cluster);
    const [from, to] = await Promise.all([openEnd(lab.host('host1')), openEnd(lab.host('host2'))]);
    ends = { 4: [from, to], 6: [withVersion6(from), withVersion6(to)] };
    await setMtu(lab, mtuBytes);
  });
  afterAll(async () => {
    console.log(['IP version, profile, suite: payload + overhead = packet (predicted and captured)', ...table].join('\n'));
    await setMtu(lab, 1500);
    await Promise.all(ends[4].map(({ ipsec }) => ipsec.close()));
    await restartAgents(cluster);
  });

  it.each([...cases.map((one) => [4, ...one] as const), ...casesOfIpv6.map((one) => [6, ...one] as const)])(
    'IPv%i: %s with %s',
    async (version, name, suite) => {
      const [from, to] = ends[version];
      const profile: ChannelProfile = { ...defaultProfile, ...suites[suite], name };
      const sa = await raise(from, to, profile);
      try {
        const predicted = fullSegment(wrappingOfSa(name, sa, version, version), {
          pathMtuBytes: mtuBytes,
          tunnelMtuBytes: null,
          mssBytesMax: null,
          tcpTimestamps: true,
        });
        const segments = await capturedSegments(lab, from, to, profile, predicted.payloadBytes * 40);
        const largest = segments.reduce((one, other) => (other.payloadBytes > one.payloadBytes ? other : one));
        expect({ payloadBytes: largest.payloadBytes, packetBytes: largest.packetBytes }).toEqual({
          payloadBytes: predicted.payloadBytes,
          packetBytes: predicted.packetBytes,
        });
        // No packet is larger, and it is no accident. (iperf3 does not wait for what is still in its socket.)
        expect(Math.max(...segments.map(({ packetBytes }) => packetBytes))).toBe(predicted.packetBytes);
        expect(segments.filter(({ payloadBytes }) => payloadBytes === predicted.payloadBytes).length).toBeGreaterThan(10);
        table.push(
          `IPv${version}, ${name}, ${suite}: ${predicted.payloadBytes} + ${predicted.packetBytes - predicted.payloadBytes} = ${predicted.packetBytes}`,
        );
      } finally {
        await lower(from, to);
      }
    },
  );
});

/** Each host has addresses of both versions. */
function withVersion6(end: DriverEnd): DriverEnd {
  const { underlay6, protected6 } = end.host;
  return { ...end, addresses: { ...end.addresses, underlay: underlay6, protected: protected6 } };
}

async function setMtu(lab: VmLab, mtuBytes: number): Promise<void> {
  await lab.setLinkMtu(mtuBytes);
  await Promise.all(lab.hosts.map((host) => host.setInterfaceMtu(mtuBytes)));
}

/** The segments with user data that went from one host to the other while so many bytes were sent. */
async function capturedSegments(
  lab: VmLab,
  from: DriverEnd,
  to: DriverEnd,
  profile: ChannelProfile,
  bytes: number,
): Promise<readonly TcpSegment[]> {
  const keys: EspKeys = await espKeysOf(from.host);
  const capture = await lab.startCapture('overhead');
  const ends = {
    from: from.host,
    to: to.host,
    fromAddress: channelAddresses(profile, from.addresses).protected,
    toAddress: channelAddresses(profile, to.addresses).protected,
  };
  let tookMs: number | null;
  try {
    tookMs = await sendBulk(ends, bytes, 30_000);
  } finally {
    await capture.stop();
  }
  const source = (await from.host.must(['cat', '/sys/class/net/eth0/address'])).trim().replaceAll(':', '');
  expect(tookMs, 'the stream came through').not.toBeNull();
  const segments: TcpSegment[] = [];
  for await (const frame of packetsOf(capture.file)) {
    const segment = tcpSegmentIn(frame, keys);
    if (segment !== null && segment.source === source && segment.payloadBytes > 0) segments.push(segment);
  }
  return segments;
}
