/**
 * The datagram of a probe:
 *
 *     0      4     5      6       8          12
 *     +------+-----+------+-------+----------+-------+---------+
 *     | PLMP | ver | kind | nonce | sequence | nonce | zeros   |
 *     |      |  1  | 1|2  | bytes | (big-    |       | up to   |
 *     |      |     |      | (u16) | endian)  |       | size    |
 *     +------+-----+------+-------+----------+-------+---------+
 *
 * `kind` 1 asks, 2 answers. The nonce is known to the two agents and the controller only.
 */
import { timingSafeEqual } from 'node:crypto';

export interface Probe {
  readonly kind: 'ask' | 'answer';
  readonly sequence: number;
}

const magic = Buffer.from('PLMP', 'latin1');
const version = 1;
const headBytes = 12;
const nonceBytesMax = 256;

/** Largest UDP payload over IPv4: 65,535 less both headers. */
export const probeBytesMax = 65_507;

/** The smallest datagram that can hold the nonce. */
export function probeBytesMin(nonce: string): number {
  return headBytes + Buffer.byteLength(nonce);
}

/** Throws RangeError for an empty or over-long nonce and a size the probe does not fit into. */
export function encodeProbe(probe: Probe, nonce: string, sizeBytes: number): Buffer {
  const nonceBytes = Buffer.from(nonce);
  if (nonceBytes.length === 0 || nonceBytes.length > nonceBytesMax) {
    throw new RangeError(`a probe's nonce has 1 to ${nonceBytesMax} bytes, not ${nonceBytes.length}`);
  }
  if (!Number.isInteger(sizeBytes) || sizeBytes < headBytes + nonceBytes.length || sizeBytes > probeBytesMax) {
    throw new RangeError(`a probe with this nonce has ${headBytes + nonceBytes.length} to ${probeBytesMax} bytes, not ${sizeBytes}`);
  }
  const packet = Buffer.alloc(sizeBytes);
  magic.copy(packet);
  packet.writeUInt8(version, 4);
  packet.writeUInt8(probe.kind === 'ask' ? 1 : 2, 5);
  packet.writeUInt16BE(nonceBytes.length, 6);
  packet.writeUInt32BE(probe.sequence, 8);
  nonceBytes.copy(packet, headBytes);
  return packet;
}

/** Null for anything that is not a probe with exactly this nonce. */
export function decodeProbe(packet: Buffer, nonce: string): Probe | null {
  if (packet.length < headBytes || !packet.subarray(0, 4).equals(magic) || packet.readUInt8(4) !== version) return null;
  const wanted = Buffer.from(nonce);
  if (packet.readUInt16BE(6) !== wanted.length || packet.length < headBytes + wanted.length) return null;
  if (!timingSafeEqual(packet.subarray(headBytes, headBytes + wanted.length), wanted)) return null;
  const kind = packet.readUInt8(5);
  if (kind !== 1 && kind !== 2) return null;
  return { kind: kind === 1 ? 'ask' : 'answer', sequence: packet.readUInt32BE(8) };
}
