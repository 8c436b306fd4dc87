import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProfileName } from '#core/model/channel.ts';
import { suites } from './algorithms.ts';
import { exampleCounters, exampleProfile, exampleSa } from './examples.ts';
import {
  espSizes,
  fullSegment,
  icvBytes,
  innerMtuBytes,
  overheadBytes,
  packetBytes,
  type Wrapping,
  wrappingOfProfile,
  wrappingOfSa,
} from './overhead.ts';
import { profileNames } from './profiles.ts';

const gcm = espSizes('AES_GCM_16-256', null);
const cbc256 = espSizes('AES_CBC-256', 'HMAC_SHA2_256_128');

const wrapping = (changes: Partial<Wrapping> = {}): Wrapping => ({
  profile: 'esp-tunnel',
  outerIpVersion: 4,
  innerIpVersion: 4,
  udpEncapsulated: false,
  esp: gcm,
  ahIcvBytes: null,
  ...changes,
});

const full = (changes: Partial<Wrapping>, pathMtuBytes: number, tunnelMtuBytes: number | null = null) =>
  fullSegment(wrapping(changes), { pathMtuBytes, tunnelMtuBytes, mssBytesMax: null, tcpTimestamps: true });

describe('a packet', () => {
  it.each<readonly [string, Partial<Wrapping>, number, number]>([
    // IP 20 + SPI, sequence 8 + IV 8 + (100 + 2 rounded up to 4) + ICV 16
    ['of ESP tunnel with AES-GCM', {}, 100, 20 + 8 + 8 + 104 + 16],
    ['of ESP tunnel in UDP', { udpEncapsulated: true }, 100, 20 + 8 + 8 + 8 + 104 + 16],
    ['of ESP tunnel over IPv6', { outerIpVersion: 6 }, 100, 40 + 8 + 8 + 104 + 16],
    // 80 bytes after the IP header
    ['of ESP transport with AES-GCM', { profile: 'esp-transport' }, 100, 20 + 8 + 8 + 84 + 16],
    ['of ESP transport over IPv6', { profile: 'esp-transport', outerIpVersion: 6, innerIpVersion: 6 }, 100, 40 + 8 + 8 + 64 + 16],
    // 102 rounded up to blocks of 16
    ['of ESP tunnel with AES-CBC and SHA-256', { esp: cbc256 }, 100, 20 + 8 + 16 + 112 + 16],
    ['of ESP tunnel with AES-CBC and SHA-512', { esp: espSizes('AES_CBC-256', 'HMAC_SHA2_512_256') }, 100, 20 + 8 + 16 + 112 + 32],
    // 12 + 24 = 36 is a multiple of 4; on IPv6 it becomes 40
    ['of AH with SHA-384', { profile: 'ah', esp: null, ahIcvBytes: 24 }, 100, 20 + 36 + 80],
    ['of AH with SHA-384 over IPv6', { profile: 'ah', esp: null, ahIcvBytes: 24, outerIpVersion: 6, innerIpVersion: 6 }, 100, 40 + 40 + 60],
    // 12 + 16 = 28 is a multiple of 4; on IPv6 it becomes 32
    ['of AH with SHA-256', { profile: 'ah', esp: null, ahIcvBytes: 16 }, 100, 20 + 28 + 80],
    ['of AH with SHA-256 over IPv6', { profile: 'ah', esp: null, ahIcvBytes: 16, outerIpVersion: 6, innerIpVersion: 6 }, 100, 40 + 32 + 60],
    ['of ESP inside AH', { profile: 'ah+esp', ahIcvBytes: 24 }, 100, 20 + 36 + 8 + 8 + 84 + 16],
  ])('%s has the bytes that the RFCs add up to', (_story, changes, inner, expected) => {
    expect(packetBytes(wrapping(changes), inner)).toBe(expected);
  });
});

describe('a full TCP segment with timestamps', () => {
  it.each<readonly [string, number, Partial<Wrapping>, number, number]>([
    ['ESP tunnel, AES-GCM', 1500, {}, 1394, 1500],
    ['ESP tunnel, AES-GCM', 9000, {}, 8894, 9000],
    ['ESP tunnel, AES-GCM in UDP', 1500, { udpEncapsulated: true }, 1386, 1500],
    ['ESP tunnel, AES-GCM, IPv6 in IPv6', 1500, { outerIpVersion: 6, innerIpVersion: 6 }, 1354, 1500],
    ['ESP tunnel, AES-GCM, IPv4 in IPv6', 1500, { outerIpVersion: 6 }, 1374, 1500],
    ['ESP transport, AES-GCM', 1500, { profile: 'esp-transport' }, 1414, 1500],
    ['ESP transport, AES-GCM', 9000, { profile: 'esp-transport' }, 8914, 9000],
    // 1440 bytes of room are 90 blocks; at 9000, 8940 bytes are 558 blocks and 12 bytes that no block fits into.
    ['ESP tunnel, AES-CBC and SHA-256', 1500, { esp: cbc256 }, 1438 - 52, 1500],
    ['ESP tunnel, AES-CBC and SHA-256', 9000, { esp: cbc256 }, 558 * 16 - 2 - 52, 8988],
    ['AH, SHA-384', 1500, { profile: 'ah', esp: null, ahIcvBytes: 24 }, 1412, 1500],
    ['ESP inside AH', 1500, { profile: 'ah+esp', ahIcvBytes: 24 }, 1378, 1500],
  ])('of %s at MTU %i carries as much as fits', (_story, mtu, changes, payload, packet) => {
    expect(full(changes, mtu)).toMatchObject({ payloadBytes: payload, packetBytes: packet });
  });

  it('through userspace ESP is as small as its TUN device makes it', () => {
    // 20 IP + 8 UDP + 8 + 8 IV + (1400 + 2 rounded up to 4) + 16.
    expect(full({ udpEncapsulated: true }, 1500, 1400)).toEqual({
      mssBytes: 1360,
      payloadBytes: 1348,
      innerPacketBytes: 1400,
      packetBytes: 1464,
    });
    expect(full({ udpEncapsulated: true }, 9000, 1400).packetBytes).toBe(1464);
    expect(full({ udpEncapsulated: true }, 1400, 1400).packetBytes).toBeLessThanOrEqual(1400);
  });

  it('obeys a lower MSS, and has 12 bytes more payload without timestamps', () => {
    const limits = { pathMtuBytes: 1500, tunnelMtuBytes: null, mssBytesMax: 1000 };
    expect(fullSegment(wrapping(), { ...limits, tcpTimestamps: true })).toMatchObject({ mssBytes: 1000, payloadBytes: 988 });
    expect(fullSegment(wrapping(), { ...limits, tcpTimestamps: false })).toMatchObject({ mssBytes: 1000, payloadBytes: 1000 });
  });
});

describe('the wrapping', () => {
  it('of an SA is that of the profile it was negotiated from', () => {
    for (const name of profileNames) {
      const profile = exampleProfile({ ...suites['aes-cbc-sha2'], name });
      const outer = name === 'ah+esp' ? { ...exampleCounters(), integrity: 'HMAC_SHA2_256_128' } : null;
      const sa = exampleSa({ encryption: name === 'ah' ? 'none' : 'AES_CBC-256', integrity: 'HMAC_SHA2_256_128', outer });
      expect(wrappingOfSa(name, sa, 4, 6)).toEqual(wrappingOfProfile(profile, 4, 6, false));
    }
  });

  it('is not guessed for algorithms that no profile may have', () => {
    expect(() => espSizes('3DES_CBC', 'HMAC_SHA1_96')).toThrow(RangeError);
    expect(() => espSizes('AES_CBC-256', null)).toThrow(RangeError);
    expect(() => icvBytes('HMAC_MD5_96')).toThrow(RangeError);
    expect(() => icvBytes('constructor')).toThrow(RangeError);
  });
});

/** Linux's `xfrm_state_mtu`, one state after the other from the outermost; written down apart from the code under test. */
function linuxInnerMtu(of: Wrapping, pathMtu: number): number {
  const ip = of.outerIpVersion === 4 ? 20 : 40;
  let mtu = pathMtu;
  if (of.ahIcvBytes !== null) {
    const align = of.outerIpVersion === 4 ? 4 : 8;
    mtu -= Math.ceil((12 + of.ahIcvBytes) / align) * align;
  }
  if (of.esp === null) return mtu;
  const tunnel = of.profile === 'esp-tunnel';
  const headerLength = 8 + of.esp.ivBytes + (of.udpEncapsulated ? 8 : 0) + (tunnel ? ip : 0);
  const netAdjust = tunnel ? 0 : ip;
  const block = Math.ceil(of.esp.blockBytes / 4) * 4;
  const room = mtu - headerLength - of.esp.icvBytes - netAdjust;
  return room - (((room % block) + block) % block) + netAdjust - 2;
}

describe('any wrapping', () => {
  const version = fc.constantFrom(4 as const, 6 as const);
  const esp = fc.constantFrom(gcm, espSizes('CHACHA20_POLY1305', null), cbc256, espSizes('AES_CBC-128', 'HMAC_SHA2_384_192'));
  const any = fc
    .record({
      profile: fc.constantFrom<ProfileName>(...profileNames),
      outer: version,
      inner: version,
      udpEncapsulated: fc.boolean(),
      esp,
      icv: fc.constantFrom(16, 24, 32),
    })
    .map(({ profile, outer, inner, udpEncapsulated, esp: sizes, icv }): Wrapping => {
      const ah = profile === 'ah' || profile === 'ah+esp';
      return {
        profile,
        outerIpVersion: outer,
        innerIpVersion: profile === 'esp-tunnel' ? inner : outer,
        udpEncapsulated: !ah && udpEncapsulated,
        esp: profile === 'ah' ? null : sizes,
        ahIcvBytes: ah ? icv : null,
      };
    });
  const mtu = fc.integer({ min: 576, max: 65_535 });

  it('fills the path MTU: the largest inner packet fits, and one byte more does not', () => {
    fc.assert(
      fc.property(any, mtu, (of, pathMtu) => {
        const inner = innerMtuBytes(of, pathMtu);
        expect(packetBytes(of, inner)).toBeLessThanOrEqual(pathMtu);
        expect(packetBytes(of, inner + 1)).toBeGreaterThan(pathMtu);
      }),
    );
  });

  it('leaves what Linux leaves', () => {
    fc.assert(
      fc.property(any, mtu, (of, pathMtu) => {
        expect(innerMtuBytes(of, pathMtu)).toBe(linuxInnerMtu(of, pathMtu));
      }),
    );
  });

  it('never makes a larger packet of a smaller one, nor less room of a larger path', () => {
    fc.assert(
      fc.property(any, mtu, fc.integer({ min: 40, max: 60_000 }), (of, pathMtu, inner) => {
        expect(packetBytes(of, inner + 1)).toBeGreaterThanOrEqual(packetBytes(of, inner));
        expect(innerMtuBytes(of, pathMtu + 1)).toBeGreaterThanOrEqual(innerMtuBytes(of, pathMtu));
        expect(packetBytes(of, inner)).toBeGreaterThan(inner);
      }),
    );
  });

  it('has segments that fit, whose payload and overhead are the packet', () => {
    fc.assert(
      fc.property(any, mtu, fc.boolean(), (of, pathMtu, tcpTimestamps) => {
        const segment = fullSegment(of, { pathMtuBytes: pathMtu, tunnelMtuBytes: null, mssBytesMax: null, tcpTimestamps });
        expect(segment.packetBytes).toBeLessThanOrEqual(pathMtu);
        expect(segment.payloadBytes + overheadBytes(segment)).toBe(segment.packetBytes);
      }),
    );
  });
});
