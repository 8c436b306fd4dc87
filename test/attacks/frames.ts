/** Ethernet frames as an attacker uses them: read from a capture, changed or made up, written to a file that tcpreplay sends. */
import { readFile, writeFile } from 'node:fs/promises';

const fileHeaderBytes = 24;
const packetHeaderBytes = 16;
const ethernetBytes = 14;
const ipv4Bytes = 20;
const udpBytes = 8;
export const protocolNumbers = { tcp: 6, udp: 17 } as const;
/** RFC 9293, section 3.1. */
const tcpFlags = { syn: 0x02, ack: 0x10 } as const;

/** One Ethernet frame with an IPv4 packet, and where its parts begin. */
export interface Frame {
  readonly bytes: Buffer;
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  /** Offset of what follows the IPv4 header. */
  readonly payloadAt: number;
}

/** Of a TCP segment or a datagram. */
export interface Ends {
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
}

/** All IPv4 frames of a capture (little endian, microseconds: what tcpdump writes here), in order. */
export async function readFrames(path: string): Promise<readonly Frame[]> {
  const file = await readFile(path);
  const frames: Frame[] = [];
  let at = fileHeaderBytes;
  while (at + packetHeaderBytes <= file.length) {
    const length = file.readUInt32LE(at + 8);
    const bytes = file.subarray(at + packetHeaderBytes, at + packetHeaderBytes + length);
    if (bytes.length >= ethernetBytes + ipv4Bytes && bytes.readUInt16BE(12) === 0x0800) frames.push(frameOf(bytes));
    at += packetHeaderBytes + length;
  }
  return frames;
}

function frameOf(bytes: Buffer): Frame {
  const address = (offset: number): string => [...bytes.subarray(ethernetBytes + offset, ethernetBytes + offset + 4)].join('.');
  return {
    bytes,
    from: address(12),
    to: address(16),
    protocol: bytes.readUInt8(ethernetBytes + 9),
    payloadAt: ethernetBytes + (bytes.readUInt8(ethernetBytes) & 0x0f) * 4,
  };
}

/** Writes frames as a capture with one millisecond between them. */
export async function writeFrames(path: string, frames: readonly Buffer[]): Promise<void> {
  const header = Buffer.alloc(fileHeaderBytes);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262_144, 16);
  header.writeUInt32LE(1, 20);
  const records = frames.flatMap((frame, index) => {
    const record = Buffer.alloc(packetHeaderBytes);
    record.writeUInt32LE(1 + Math.floor(index / 1000), 0);
    record.writeUInt32LE((index % 1000) * 1000, 4);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return [record, frame];
  });
  await writeFile(path, Buffer.concat([header, ...records]));
}

/** As it was captured. A UDP checksum of zero is none (RFC 768); captures may hold partial ones. */
export function unchanged({ bytes, payloadAt }: Frame): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(0, payloadAt + 6);
  return copy;
}

/** One bit of the datagram's last byte but 16 flipped: in ESP with a tag of 16 bytes that is the end of the ciphertext. */
export function tampered(frame: Frame): Buffer {
  const copy = unchanged(frame);
  const at = copy.length - 17;
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}

/** The same ESP packet (in UDP, RFC 3948) under another SPI. */
export function withSpi(frame: Frame, spi: number): Buffer {
  const copy = unchanged(frame);
  copy.writeUInt32BE(spi, frame.payloadAt + udpBytes);
  return copy;
}

/** A datagram that was never sent by its sender. `like` gives the Ethernet addresses. */
export function forgedDatagram(like: Frame, ends: Ends, payload: Uint8Array): Buffer {
  const udp = Buffer.alloc(udpBytes);
  udp.writeUInt16BE(ends.fromPort, 0);
  udp.writeUInt16BE(ends.toPort, 2);
  udp.writeUInt16BE(udpBytes + payload.length, 4);
  return Buffer.concat([ethernetOf(like), ipv4Header(ends, protocolNumbers.udp, udpBytes + payload.length), udp, payload]);
}

/** A TCP SYN that was never sent by its sender. */
export function forgedSyn(like: Frame, ends: Ends): Buffer {
  const tcp = Buffer.alloc(20);
  tcp.writeUInt16BE(ends.fromPort, 0);
  tcp.writeUInt16BE(ends.toPort, 2);
  tcp.writeUInt32BE(ends.fromPort, 4);
  tcp.writeUInt8((tcp.length / 4) << 4, 12);
  tcp.writeUInt8(tcpFlags.syn, 13);
  tcp.writeUInt16BE(64_240, 14);
  const header = ipv4Header(ends, protocolNumbers.tcp, tcp.length);
  const pseudo = Buffer.concat([header.subarray(12, 20), Buffer.from([0, protocolNumbers.tcp, 0, tcp.length])]);
  tcp.writeUInt16BE(internetChecksum(Buffer.concat([pseudo, tcp])), 16);
  return Buffer.concat([ethernetOf(like), header, tcp]);
}

/** True for a SYN with ACK: somebody listens there, and the SYN reached him. */
export function acceptsSyn({ bytes, protocol, payloadAt }: Frame): boolean {
  if (protocol !== protocolNumbers.tcp) return false;
  return (bytes.readUInt8(payloadAt + 13) & (tcpFlags.syn | tcpFlags.ack)) === (tcpFlags.syn | tcpFlags.ack);
}

/** Source port of a TCP segment or a datagram. */
export function fromPort({ bytes, payloadAt }: Frame): number {
  return bytes.readUInt16BE(payloadAt);
}

function ethernetOf({ bytes }: Frame): Buffer {
  return bytes.subarray(0, ethernetBytes);
}

function ipv4Header({ from, to }: Ends, protocol: number, payloadBytes: number): Buffer {
  const header = Buffer.alloc(ipv4Bytes);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(ipv4Bytes + payloadBytes, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  for (const [offset, address] of [
    [12, from],
    [16, to],
  ] as const)
    header.set(address.split('.').map(Number), offset);
  header.writeUInt16BE(internetChecksum(header), 10);
  return header;
}

/** RFC 1071. */
function internetChecksum(data: Buffer): number {
  let sum = 0;
  for (let at = 0; at < data.length; at += 2) sum += data.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
