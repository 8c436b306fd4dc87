import { createReadStream } from 'node:fs';
import { probePorts } from '#core/ports.ts';
import { LabError } from './errors.ts';
import { MIGRATION_PORT_MAX, MIGRATION_PORT_MIN } from './layout.ts';

/** What a capture holds: packets by kind, and how often each marker was readable on the wire. */
export interface ScanResult {
  readonly packets: number;
  readonly bytes: number;
  /** 'esp-in-udp', 'ike', 'esp', 'ah', 'tcp/PORT' (of the service), 'udp/PORT', 'arp', 'other'. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Occurrences per marker; a marker cut by a packet's end is not counted. */
  readonly markers: Readonly<Record<string, number>>;
}

const FILE_HEADER_BYTES = 24;
const PACKET_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;
const MAGIC_LITTLE_ENDIAN_US = 0xa1b2c3d4;
/** iSCSI, libvirt with TLS and without, the controller, the probes of channels and paths. */
const SERVICE_PORTS = new Set<number>([3260, 16_514, 16_509, 7443, ...Object.values(probePorts)]);
const PACKET_BYTES_MAX = 1 << 18;

/** RFC 3948: IKE on port 4500 starts with four zero bytes where ESP has its SPI; one byte 0xff keeps a NAT open. */
function udpKind(packet: Buffer, at: number): string {
  const ports = [packet.readUInt16BE(at), packet.readUInt16BE(at + 2)];
  if (ports.includes(500)) return 'ike';
  if (!ports.includes(4500)) return `udp/${servicePort(ports)}`;
  if (packet.length < at + 12) return 'nat-keepalive';
  return packet.readUInt32BE(at + 8) === 0 ? 'ike' : 'esp-in-udp';
}

/** The port that names the service: one the lab knows, else the smaller one. */
function servicePort(ports: readonly number[]): number {
  const known =
    ports.find((port) => SERVICE_PORTS.has(port)) ?? ports.find((port) => port >= MIGRATION_PORT_MIN && port <= MIGRATION_PORT_MAX);
  return known ?? Math.min(...ports);
}

export function packetKind(packet: Buffer): string {
  if (packet.length < ETHERNET_BYTES + 20) return 'other';
  const etherType = packet.readUInt16BE(12);
  if (etherType === 0x0806) return 'arp';
  if (etherType !== 0x0800) return 'other';
  const at = ETHERNET_BYTES + (packet.readUInt8(ETHERNET_BYTES) & 0xf) * 4;
  const isLaterFragment = (packet.readUInt16BE(ETHERNET_BYTES + 6) & 0x1fff) !== 0;
  if (isLaterFragment) return 'fragment';
  const protocol = packet.readUInt8(ETHERNET_BYTES + 9);
  if (protocol === 50) return 'esp';
  if (protocol === 51) return 'ah';
  if (packet.length < at + 8) return 'other';
  if (protocol === 6) return `tcp/${servicePort([packet.readUInt16BE(at), packet.readUInt16BE(at + 2)])}`;
  return protocol === 17 ? udpKind(packet, at) : 'other';
}

function countIn(packet: Buffer, marker: Buffer): number {
  let count = 0;
  for (let at = packet.indexOf(marker); at >= 0; at = packet.indexOf(marker, at + marker.length)) count++;
  return count;
}

/** The packets of a capture, one Ethernet frame after the other. */
export async function* packetsOf(file: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  let headerSeen = false;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal })) {
    rest = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
    let at = 0;
    if (!headerSeen) {
      if (rest.length < FILE_HEADER_BYTES) continue;
      if (rest.readUInt32LE(0) !== MAGIC_LITTLE_ENDIAN_US) throw new LabError('lab-option-invalid', `${file} is not a capture of this lab`);
      headerSeen = true;
      at = FILE_HEADER_BYTES;
    }
    while (rest.length - at >= PACKET_HEADER_BYTES) {
      const length = rest.readUInt32LE(at + 8);
      if (length > PACKET_BYTES_MAX) throw new LabError('lab-option-invalid', `${file} is damaged at a packet of ${length} bytes`);
      if (rest.length - at < PACKET_HEADER_BYTES + length) break;
      yield rest.subarray(at + PACKET_HEADER_BYTES, at + PACKET_HEADER_BYTES + length);
      at += PACKET_HEADER_BYTES + length;
    }
    rest = rest.subarray(at);
  }
}

/** Reads a capture once, in pieces; its size does not matter. */
export async function scanCapture(file: string, markers: readonly string[], signal?: AbortSignal): Promise<ScanResult> {
  const needles = markers.map((text) => ({ text, bytes: Buffer.from(text), count: 0 }));
  const kinds = new Map<string, number>();
  let packets = 0;
  let bytes = 0;
  for await (const packet of packetsOf(file, signal)) {
    packets++;
    bytes += packet.length;
    const kind = packetKind(packet);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    for (const needle of needles) needle.count += countIn(packet, needle.bytes);
  }
  return {
    packets,
    bytes,
    kinds: Object.fromEntries([...kinds].toSorted((a, b) => b[1] - a[1])),
    markers: Object.fromEntries(needles.map((n) => [n.text, n.count])),
  };
}
