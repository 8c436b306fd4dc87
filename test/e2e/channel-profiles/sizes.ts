/** Full packets of a migration through userspace ESP: as predicted, as they crossed the wire, and as they came out of the tunnel. */
import { fullSegment, wrappingOfSa } from '#core/channel/overhead.ts';
import { packetKind, packetsOf } from '#lab/scan.ts';
import type { LabHost } from '#lab/api.ts';
import type { MigrationResource } from '#wire/api.ts';

export interface FullSizes {
  /** User data of one TCP segment. */
  readonly payloadBytes: number;
  /** The IP packet on the wire that carries it. */
  readonly packetBytes: number;
}

/** The TUN device of libipsec. */
const tunnel = 'ipsec0';
const ethernetBytes = 14;
const segmentsRead = 400;

/** From the SA that was negotiated, the measured path and the MTU that the tunnel has. */
export async function predictedSizes({ channelAfter, proof, tuning }: MigrationResource, host: LabHost): Promise<FullSizes> {
  if (!channelAfter?.sa || !proof || !tuning) throw new Error('a migration without readings of its channel');
  const { stdout } = await host.exec(['ip', '-o', 'link', 'show', 'dev', tunnel]);
  const mtu = / mtu (\d+) /u.exec(stdout)?.[1];
  if (mtu === undefined) throw new Error(`${host.name} has no ${tunnel}`);
  const { payloadBytes, packetBytes } = fullSegment(wrappingOfSa(proof.profile, channelAfter.sa, 4, 4), {
    pathMtuBytes: tuning.pathMtuBytes,
    tunnelMtuBytes: Number(mtu),
    mssBytesMax: null,
    tcpTimestamps: true,
  });
  return { payloadBytes, packetBytes };
}

/** Reads segments of user data as they leave the tunnel on their destination; resolves with the size of the largest. */
export async function largestSegment(host: LabHost): Promise<number> {
  const filter = ['tcp', 'and', 'greater', '1000'];
  const { stdout } = await host.exec(
    ['timeout', '60', 'tcpdump', '-i', tunnel, '-n', '-q', '-c', `${segmentsRead}`, '-Z', 'root', ...filter],
    {
      timeoutMs: 70_000,
    },
  );
  return Math.max(0, ...[...stdout.matchAll(/: tcp (\d+)$/gmu)].map(([, bytes]) => Number(bytes)));
}

/** The largest packet of ESP in UDP in a capture of the wire, its IP header included. */
export async function largestEspPacket(file: string): Promise<number> {
  let largest = 0;
  for await (const frame of packetsOf(file)) {
    if (packetKind(frame) === 'esp-in-udp') largest = Math.max(largest, frame.readUInt16BE(ethernetBytes + 2));
  }
  return largest;
}
