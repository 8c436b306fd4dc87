/**
 * How large packets become in a channel, to the byte. A "packet" is a whole IP packet.
 *
 *   ESP (RFC 4303 section 2):  IP | [UDP 8] | SPI 4, sequence number 4 | IV | payload, padding, pad length 1, next header 1 | ICV
 *   AH  (RFC 4302 section 2):  IP | next header 1, length 1, reserved 2, SPI 4, sequence number 4, ICV, padding | payload
 *
 * The payload is the whole inner IP packet in tunnel mode, and what follows the IP header in transport mode. 64-bit sequence
 * numbers change nothing: the high half is not sent (RFC 4303 section 2.2.1, RFC 4302 section 2.5.1).
 *
 * Linux computes the same: `xfrm_state_mtu` takes what the headers and the ICV leave of the path MTU, rounds it down to the block
 * and subtracts the two trailer bytes, one state after the other from the outermost; TCP takes its segments from that.
 */
import type { ChannelProfile, ProfileName, SecurityAssociation } from '#core/model/channel.ts';
import { saModeOf, usesAh, usesEsp } from './profiles.ts';
import { parseProposal } from './proposal.ts';

export type IpVersion = 4 | 6;

/** Everything that a channel's packet size depends on. */
export interface Wrapping {
  readonly profile: ProfileName;
  /** Version of the packets on the wire. In transport mode also that of the packets inside. */
  readonly outerIpVersion: IpVersion;
  readonly innerIpVersion: IpVersion;
  readonly udpEncapsulated: boolean;
  /** Null for `ah` alone. */
  readonly esp: EspSizes | null;
  /** Bytes of the ICV of AH; null without AH. */
  readonly ahIcvBytes: number | null;
}

export interface EspSizes {
  readonly ivBytes: number;
  readonly blockBytes: number;
  readonly icvBytes: number;
}

/** RFC 791 without options, RFC 8200 without extension headers. */
export const ipHeaderBytes: Readonly<Record<IpVersion, number>> = { 4: 20, 6: 40 };
export const tcpHeaderBytes = 20;
/** RFC 7323: 10 bytes, which every system pads to 12. Linux sends them unless they are turned off. */
export const tcpTimestampBytes = 12;
/** Above these no MTU may be (RFC 791 section 3.1; jumbograms aside, RFC 8200 section 4). */
export const packetBytesMax = 65_535;

const udpHeaderBytes = 8;
const espHeaderBytes = 8;
const espTrailerBytes = 2;
const ahFixedBytes = 12;

/** By charon's names without key size. IV, block and ICV: RFC 4106 section 3 and 6, RFC 7634 section 2, RFC 3602 section 2. */
const ciphers: Readonly<Record<string, EspSizes>> = {
  AES_GCM_16: { ivBytes: 8, blockBytes: 1, icvBytes: 16 },
  CHACHA20_POLY1305: { ivBytes: 8, blockBytes: 1, icvBytes: 16 },
  AES_CBC: { ivBytes: 16, blockBytes: 16, icvBytes: 0 },
};

/** RFC 4868 section 2.1.1: half of the hash's output. */
const icvs: Readonly<Record<string, number>> = { HMAC_SHA2_256_128: 16, HMAC_SHA2_384_192: 24, HMAC_SHA2_512_256: 32 };

/** Sizes of ESP with these algorithms (charon's names, key size or not). Throws RangeError for one that no profile may have. */
export function espSizes(encryption: string, integrity: string | null): EspSizes {
  const name = encryption.replace(/-\d+$/, '');
  const cipher = Object.hasOwn(ciphers, name) ? ciphers[name] : undefined;
  if (cipher === undefined) throw new RangeError(`no sizes are known of ${encryption}`);
  return cipher.icvBytes === 0 ? { ...cipher, icvBytes: icvBytes(integrity) } : cipher;
}

/** Bytes of the integrity check value on the wire. Throws RangeError for an algorithm that no profile may have. */
export function icvBytes(integrity: string | null): number {
  const bytes = integrity !== null && Object.hasOwn(icvs, integrity) ? icvs[integrity] : undefined;
  if (bytes === undefined) throw new RangeError(`no sizes are known of ${integrity ?? 'no integrity'}`);
  return bytes;
}

/** The address family of an IP address. */
export function ipVersionOf(address: string): IpVersion {
  return address.includes(':') ? 6 : 4;
}

/** The wrapping of an SA that is up; in transport mode `innerIpVersion` is the outer one. */
export function wrappingOfSa(profile: ProfileName, sa: SecurityAssociation, outer: IpVersion, inner: IpVersion): Wrapping {
  return {
    profile,
    ...versions(profile, outer, inner),
    udpEncapsulated: sa.udpEncapsulated,
    esp: usesEsp(profile) ? espSizes(sa.encryption, sa.integrity) : null,
    ahIcvBytes: usesAh(profile) ? icvBytes(sa.outer === null ? sa.integrity : sa.outer.integrity) : null,
  };
}

/** The wrapping that a profile's best proposals lead to, before anything is negotiated. */
export function wrappingOfProfile(profile: ChannelProfile, outer: IpVersion, inner: IpVersion, udpEncapsulated: boolean): Wrapping {
  const esp = parseProposal(profile.espProposals[0] ?? '');
  const ah = parseProposal(profile.ahProposals[0] ?? '');
  return {
    profile: profile.name,
    ...versions(profile.name, outer, inner),
    udpEncapsulated: udpEncapsulated || profile.udpEncapsulation === 'always',
    esp: usesEsp(profile.name) ? espSizes(esp.encryption[0] ?? 'none', esp.integrity[0] ?? null) : null,
    ahIcvBytes: usesAh(profile.name) ? icvBytes(ah.integrity[0] ?? null) : null,
  };
}

function versions(profile: ProfileName, outer: IpVersion, inner: IpVersion): Pick<Wrapping, 'outerIpVersion' | 'innerIpVersion'> {
  return { outerIpVersion: outer, innerIpVersion: saModeOf(profile) === 'tunnel' ? inner : outer };
}

/** The packet on the wire that carries an inner packet of `innerBytes`, its IP header included. */
export function packetBytes(wrapping: Wrapping, innerBytes: number): number {
  return fixedBytes(wrapping) + padded(wrapping.esp, innerBytes - keptIpBytes(wrapping));
}

/** The largest inner packet that becomes no larger than `pathMtuBytes`; also what Linux allows. Negative if none fits. */
export function innerMtuBytes(wrapping: Wrapping, pathMtuBytes: number): number {
  const room = pathMtuBytes - fixedBytes(wrapping);
  if (wrapping.esp === null) return room + keptIpBytes(wrapping);
  const alignment = alignmentOf(wrapping.esp);
  return Math.floor(room / alignment) * alignment - espTrailerBytes + keptIpBytes(wrapping);
}

/** The part of the inner packet's IP header that is sent as it is, outside of ESP and AH. */
function keptIpBytes(wrapping: Wrapping): number {
  return saModeOf(wrapping.profile) === 'tunnel' ? 0 : ipHeaderBytes[wrapping.outerIpVersion];
}

/** Everything that does not depend on the payload. */
function fixedBytes(wrapping: Wrapping): number {
  const { esp } = wrapping;
  const espBytes = esp === null ? 0 : (wrapping.udpEncapsulated ? udpHeaderBytes : 0) + espHeaderBytes + esp.ivBytes + esp.icvBytes;
  return ipHeaderBytes[wrapping.outerIpVersion] + ahBytes(wrapping) + espBytes;
}

/** RFC 4302 section 2.6: padded to a multiple of 4 bytes on IPv4, 8 on IPv6. (Charon asks Linux for that on IPv4, too.) */
function ahBytes(wrapping: Wrapping): number {
  if (wrapping.ahIcvBytes === null) return 0;
  return roundUp(ahFixedBytes + wrapping.ahIcvBytes, wrapping.outerIpVersion === 4 ? 4 : 8);
}

/** RFC 4303 section 2.4: payload, padding and the two trailer bytes fill blocks, and end on a multiple of 4. */
function padded(esp: EspSizes | null, payloadBytes: number): number {
  return esp === null ? payloadBytes : roundUp(payloadBytes + espTrailerBytes, alignmentOf(esp));
}

function alignmentOf(esp: EspSizes): number {
  return Math.max(4, esp.blockBytes);
}

function roundUp(bytes: number, multiple: number): number {
  return Math.ceil(bytes / multiple) * multiple;
}

/** A TCP segment that is as full as it can be, and the packet it becomes. */
export interface FullSegment {
  /** As in the MSS option of a SYN: without TCP options (RFC 6691). */
  readonly mssBytes: number;
  readonly payloadBytes: number;
  readonly innerPacketBytes: number;
  readonly packetBytes: number;
}

export interface SegmentLimits {
  readonly pathMtuBytes: number;
  /** MTU of the TUN device of userspace ESP; null with the kernel's. */
  readonly tunnelMtuBytes: number | null;
  /** A lower MSS that was agreed on, or clamped to; null for none. */
  readonly mssBytesMax: number | null;
  readonly tcpTimestamps: boolean;
}

/** What Linux sends when there is enough to send, segmentation offload aside. It is also the best that fits. */
export function fullSegment(wrapping: Wrapping, limits: SegmentLimits): FullSegment {
  const fits = innerMtuBytes(wrapping, limits.pathMtuBytes);
  const headers = ipHeaderBytes[wrapping.innerIpVersion] + tcpHeaderBytes;
  const largest = Math.min(fits, limits.tunnelMtuBytes ?? fits) - headers;
  const mssBytes = Math.min(largest, limits.mssBytesMax ?? largest);
  const payloadBytes = mssBytes - (limits.tcpTimestamps ? tcpTimestampBytes : 0);
  const innerPacketBytes = headers + mssBytes;
  return { mssBytes, payloadBytes, innerPacketBytes, packetBytes: packetBytes(wrapping, innerPacketBytes) };
}

/** The MSS option for this path: what `fullSegment` says of it. */
export function tcpMssBytes(wrapping: Wrapping, pathMtuBytes: number, tunnelMtuBytes: number | null): number {
  return fullSegment(wrapping, { pathMtuBytes, tunnelMtuBytes, mssBytesMax: null, tcpTimestamps: true }).mssBytes;
}

/** Bytes that a full segment's packet has beside its payload of user data. */
export function overheadBytes(segment: FullSegment): number {
  return segment.packetBytes - segment.payloadBytes;
}
