/**
 * Opens captured ESP with the keys of the lab's own kernels, to see what was inside of each packet. The ciphers of our suites; nothing is authenticated here, the receiving kernel does that.
 */
import { createDecipheriv } from 'node:crypto';
import type { VmHost } from '#lab/vm/api.ts';

interface EspKey {
  readonly cipher: 'gcm' | 'chacha' | 'cbc';
  readonly key: Buffer;
  readonly icvBytes: number;
}

/** By SPI, lower-case hex without prefix. */
export type EspKeys = ReadonlyMap<string, EspKey>;

const ciphers: Readonly<Record<string, EspKey['cipher']>> = {
  'rfc4106(gcm(aes))': 'gcm',
  'rfc7539esp(chacha20,poly1305)': 'chacha',
  'cbc(aes)': 'cbc',
};

/** The keys of all ESP SAs of a host, as `ip xfrm state` prints them. */
export async function espKeysOf(host: VmHost): Promise<EspKeys> {
  const states = (await host.must(['ip', 'xfrm', 'state'])).split(/^(?=src )/m);
  return new Map(states.map(keyOf).filter((entry) => entry !== null));
}

function keyOf(text: string): readonly [string, EspKey] | null {
  const spi = /proto esp spi 0x([0-9a-f]+)/.exec(text)?.[1];
  const aead = /aead (\S+) 0x([0-9a-f]+) (\d+)/.exec(text);
  const [, name, key] = aead ?? /enc (\S+) 0x([0-9a-f]+)/.exec(text) ?? [];
  const icvBits = aead?.[3] ?? /auth-trunc \S+ 0x[0-9a-f]+ (\d+)/.exec(text)?.[1];
  const cipher = ciphers[name ?? ''];
  if (spi === undefined || key === undefined || icvBits === undefined || cipher === undefined) return null;
  return [spi.padStart(8, '0'), { cipher, key: Buffer.from(key, 'hex'), icvBytes: Number(icvBits) / 8 }];
}

export interface TcpSegment {
  /** Ethernet address, hex without separators. */
  readonly source: string;
  /** Of the packet on the wire, its IP header included. */
  readonly packetBytes: number;
  readonly payloadBytes: number;
}

const ethernetBytes = 14;
const ipv6HeaderBytes = 40;
/** IANA's protocol numbers: IP in IP, TCP, IPv6 in IP, ESP, AH. */
const protocols = { ipv4: 4, tcp: 6, ipv6: 41, esp: 50, ah: 51 } as const;

/** The TCP segment that an Ethernet frame carries, in ESP, AH, both or neither; null when it carries none. */
export function tcpSegmentIn(frame: Buffer, keys: EspKeys): TcpSegment | null {
  if (frame.length < ethernetBytes + ipv6HeaderBytes) return null;
  const protocol = { 0x0800: protocols.ipv4, 0x86dd: protocols.ipv6 }[frame.readUInt16BE(12)];
  if (protocol === undefined) return null;
  const packet = ipPacket(protocol, frame.subarray(ethernetBytes));
  const payloadBytes = payloadOf(protocol, packet, keys);
  return payloadBytes === null ? null : { source: frame.toString('hex', 6, 12), packetBytes: packet.length, payloadBytes };
}

/** Without what pads a short frame. */
function ipPacket(protocol: number, data: Buffer): Buffer {
  return data.subarray(0, protocol === protocols.ipv4 ? data.readUInt16BE(2) : ipv6HeaderBytes + data.readUInt16BE(4));
}

/** Bytes of user data in what has this protocol number. Fragments and IPv6 extension headers are not expected. */
function payloadOf(protocol: number, data: Buffer, keys: EspKeys): number | null {
  switch (protocol) {
    case protocols.tcp:
      return data.length - (data.readUInt8(12) >> 4) * 4;
    case protocols.ipv4:
      return payloadOf(data.readUInt8(9), ipPacket(protocol, data).subarray((data.readUInt8(0) & 0xf) * 4), keys);
    case protocols.ipv6:
      return payloadOf(data.readUInt8(6), ipPacket(protocol, data).subarray(ipv6HeaderBytes), keys);
    case protocols.ah:
      // RFC 4302 section 2.2: length in 4-byte words, minus 2.
      return payloadOf(data.readUInt8(0), data.subarray((data.readUInt8(1) + 2) * 4), keys);
    case protocols.esp:
      return payloadOfEsp(data, keys);
    default:
      return null;
  }
}

/** RFC 4303 section 2: SPI, sequence number, IV, ciphertext, ICV; at the end of the text the pad length and the next header. */
function payloadOfEsp(data: Buffer, keys: EspKeys): number | null {
  const key = keys.get(data.toString('hex', 0, 4));
  if (key === undefined) return null;
  const text = decrypt(key, data.subarray(8, data.length - key.icvBytes));
  const padBytes = text.readUInt8(text.length - 2);
  return payloadOf(text.readUInt8(text.length - 1), text.subarray(0, text.length - 2 - padBytes), keys);
}

function decrypt({ cipher, key, icvBytes }: EspKey, sealed: Buffer): Buffer {
  if (icvBytes === 0) throw new RangeError('an SA without integrity');
  const ivBytes = cipher === 'cbc' ? 16 : 8;
  const iv = sealed.subarray(0, ivBytes);
  const text = sealed.subarray(ivBytes);
  if (cipher === 'cbc') return createDecipheriv('aes-256-cbc', key, iv).setAutoPadding(false).update(text);
  // Key and salt are one string in the kernel (RFC 4106 section 8.1, RFC 7634 section 2). The text begins at the second block after
  // the one of the tag's key: counter 2 of GCM (NIST SP 800-38D section 7.1), 1 of ChaCha20 (RFC 8439 section 2.8).
  const [secret, salt] = [key.subarray(0, 32), key.subarray(32)];
  if (cipher === 'gcm') return createDecipheriv('aes-256-ctr', secret, Buffer.concat([salt, iv, Buffer.from([0, 0, 0, 2])])).update(text);
  return createDecipheriv('chacha20', secret, Buffer.concat([Buffer.from([1, 0, 0, 0]), salt, iv])).update(text);
}
