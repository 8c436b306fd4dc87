/** What a capture shows between two hosts, by the word of tshark. */
import { must } from '#lab/process.ts';
import { probePorts } from '#core/ports.ts';

export interface WirePacket {
  readonly source: string;
  readonly destination: string;
  /** Of the IP packet, its header included. */
  readonly ipBytes: number;
  readonly kind: WireKind;
  /** Bytes of user data of a TCP segment that tshark could read; null for what is no TCP, or was not readable. */
  readonly tcpPayloadBytes: number | null;
}

/** The probes are those of the proof and of the path measurement: nonces, never data. */
export type WireKind = 'esp' | 'ah' | 'ah+esp' | 'ike' | 'plain-probe' | 'path-probe' | 'neighbour' | 'other';

const fields = [
  'frame.protocols',
  'ip.src',
  'ip.dst',
  'ip.len',
  'ipv6.src',
  'ipv6.dst',
  'ipv6.plen',
  'udp.srcport',
  'udp.dstport',
  'tcp.len',
] as const;
const ipv6HeaderBytes = 40;

/** Reads a capture; `options` are further arguments for tshark. */
export async function packetsOnWire(file: string, options: readonly string[] = []): Promise<readonly WirePacket[]> {
  // The first occurrence of each field is the outermost: that of the packet on the wire.
  const format = ['-T', 'fields', '-E', 'separator=;', '-E', 'occurrence=f', ...fields.flatMap((field) => ['-e', field])];
  const text = await must(['tshark', '-n', '-r', file, ...options, ...format], { timeoutMs: 120_000 });
  return text.split('\n').filter(Boolean).map(packetOf);
}

function packetOf(line: string): WirePacket {
  const [protocols = '', source4, destination4, length4, source6, destination6, payload6, fromPort, toPort, tcp] = line.split(';');
  return {
    source: source4 || source6 || '',
    destination: destination4 || destination6 || '',
    ipBytes: length4 ? Number(length4) : Number(payload6 ?? 0) + ipv6HeaderBytes,
    kind: kindOf(protocols.split(':'), [Number(fromPort), Number(toPort)]),
    tcpPayloadBytes: tcp ? Number(tcp) : null,
  };
}

/** `ports` are of UDP: requests go to a probe's port, answers come from it. */
function kindOf(protocols: readonly string[], ports: readonly number[]): WireKind {
  const [, , network, transport, inside] = protocols;
  if (network !== 'ip' && network !== 'ipv6') return 'neighbour';
  if (transport === 'esp') return 'esp';
  if (transport === 'ah') return inside === 'esp' ? 'ah+esp' : 'ah';
  if (transport === 'icmpv6') return 'neighbour';
  if (transport !== 'udp') return 'other';
  if (protocols.includes('isakmp')) return 'ike';
  if (ports.includes(probePorts.plain)) return 'plain-probe';
  return ports.includes(probePorts.path) ? 'path-probe' : 'other';
}

/** Packets whose ends are both among these addresses. */
export function between(packets: readonly WirePacket[], addresses: readonly string[]): readonly WirePacket[] {
  return packets.filter(({ source, destination }) => addresses.includes(source) && addresses.includes(destination));
}

export function countByKind(packets: readonly WirePacket[]): Readonly<Partial<Record<WireKind, number>>> {
  const counts: Partial<Record<WireKind, number>> = {};
  for (const { kind } of packets) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}
