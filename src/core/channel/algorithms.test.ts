import { describe, expect, it } from 'vitest';
import type { ChannelProfile, SecurityAssociation } from '#core/model/channel.ts';
import { defaultProfile } from '#core/model/policy.ts';
import {
  acceptedNegotiation,
  judgeProfile,
  judgeProposal,
  type ProposalKind,
  secretsFault,
  suites,
  withoutExtendedSequenceNumbers,
} from './algorithms.ts';
import { exampleCounters, exampleProfile, exampleSa } from './examples.ts';
import { acceptedKeywords, refusedKeywords } from './keywords.ts';
import { profileNames } from './profiles.ts';

const why = (kind: ProposalKind, proposal: string): string => {
  const verdict = judgeProposal(kind, proposal);
  return verdict.ok ? 'accepted' : `${verdict.keyword}: ${verdict.why}`;
};

describe('a proposal', () => {
  it('of every suite is accepted, and the first suite is the default profile', () => {
    for (const { ikeProposals, espProposals, ahProposals } of Object.values(suites)) {
      for (const proposal of ikeProposals) expect(why('ike', proposal)).toBe('accepted');
      for (const proposal of espProposals) expect(why('esp', proposal)).toBe('accepted');
      for (const proposal of ahProposals) expect(why('ah', proposal)).toBe('accepted');
    }
    expect(defaultProfile).toMatchObject(suites['aes-gcm']);
  });

  it.each<readonly [ProposalKind, string, string]>([
    ['esp', 'des-sha256-ecp384', 'RFC 8221 section 5 says MUST NOT'],
    ['ike', 'des-sha256-ecp384', 'RFC 8247 section 2.1 says MUST NOT'],
    ['esp', '3des-sha256-ecp384', 'RFC 8221 section 5 says SHOULD NOT'],
    ['ike', '3des-sha256-ecp384', 'RFC 8247 section 2.1 says MAY only'],
    ['esp', 'blowfish256-sha256-ecp384', 'RFC 8221 section 5 says MUST NOT'],
    ['ike', 'blowfish-sha256-ecp384', 'RFC 9395'],
    ['esp', 'idea-sha256-ecp384', 'RFC 9395'],
    ['esp', '3idea-sha256-ecp384', 'RFC 8221 section 5 says MUST NOT'],
    ['esp', 'des_iv64-sha256-ecp384', 'RFC 8221 section 5 says MUST NOT'],
    ['esp', 'des_iv32-sha256-ecp384', 'RFC 8221 section 5 says MUST NOT'],
    ['esp', 'cast128-sha256-ecp384', 'RFC 9395'],
    ['esp', 'rc5-sha256-ecp384', 'is refused: RFC 9395 deprecates it'],
    ['esp', 'null-sha256-ecp384', 'encrypts nothing'],
    ['ike', 'null-sha256-ecp384', 'RFC 7296 section 5'],
    ['esp', 'aes256gmac-ecp384', 'encrypts nothing'],
    ['esp', 'aes256ctr-sha256-ecp384', 'RFC 8221 section 5'],
    ['esp', 'aes256gcm8-ecp384', 'shorter'],
    ['esp', 'aes256ccm8-ecp384', 'small devices'],
    ['esp', 'aes256-md5-ecp384', 'RFC 8221 section 6 says MUST NOT'],
    ['ike', 'aes256-md5-ecp384', 'RFC 8247 section 2.3 says MUST NOT'],
    ['ah', 'md5-ecp384', 'RFC 8221 section 6 says MUST NOT'],
    ['ah', 'desmac-ecp384', 'RFC 8221 section 6 says MUST NOT'],
    ['ah', 'kpdkmd5-ecp384', 'RFC 8221 section 6 says MUST NOT'],
    ['ah', 'md5_128-ecp384', "IANA's registry of IKEv2 transforms marks it as deprecated"],
    ['ah', 'sha1_160-ecp384', "IANA's registry of IKEv2 transforms marks it as deprecated: take SHA-2"],
    ['esp', 'aes256-sha1-ecp384', 'RFC 8221 section 6 says MUST-'],
    ['ike', 'aes256-sha1-ecp384', 'RFC 8247 section 2.3 says MUST-'],
    ['ah', 'sha256_96-ecp384', 'RFC 4868'],
    ['ah', 'aesxcbc-ecp384', 'small devices'],
    ['ike', 'aes256-sha256-prfmd5-ecp384', 'RFC 8247 section 2.2 says MUST NOT'],
    ['ike', 'aes256-sha256-prfsha1-ecp384', 'RFC 8247 section 2.2 says MUST-'],
    ['ike', 'aes256gcm16-prfsha384-modp768', 'RFC 8247 section 2.4 says MUST NOT'],
    ['ike', 'aes256gcm16-prfsha384-modp1024', 'RFC 8247 section 2.4 says SHOULD NOT'],
    ['ike', 'aes256gcm16-prfsha384-modp1536', 'RFC 8247 section 2.4 says SHOULD NOT'],
    ['ike', 'aes256gcm16-prfsha384-modp1024s160', 'RFC 8247 section 2.4 says MUST NOT'],
    ['ike', 'aes256gcm16-prfsha384-modp2048s224', 'RFC 8247 section 2.4 says SHOULD NOT'],
    ['esp', 'aes256gcm16-modp2048s256', 'RFC 8247 section 2.4 says SHOULD NOT'],
    ['esp', 'aes256gcm16-ecp192', 'weaker'],
    ['esp', 'aes256gcm16-none', 'key exchange'],
    ['esp', 'rot13-ecp384', 'not an algorithm that Plimsoll knows'],
    ['esp', 'constructor-ecp384', 'not an algorithm that Plimsoll knows'],
    ['esp', 'AES256GCM16-ecp384', 'not an algorithm that Plimsoll knows'],
    ['esp', '', 'not an algorithm that Plimsoll knows'],
  ])('for %s with %s is refused by name', (kind, proposal, reason) => {
    expect(why(kind, proposal)).toContain(reason);
  });

  it.each<readonly [ProposalKind, string, string]>([
    ['esp', 'aes256-ecp384', 'RFC 8221 section 4 says MUST NOT'],
    ['ike', 'aes256-prfsha256-ecp384', 'RFC 8221 section 4'],
    ['esp', 'aes256gcm16-sha256-ecp384', 'RFC 7296 section 3.3'],
    ['esp', 'aes256-aes256gcm16-ecp384', 'RFC 7296 section 3.3'],
    ['esp', 'aes256gcm16', 'key exchange'],
    ['esp', 'sha256-ecp384', 'no encryption'],
    ['ah', 'ecp384', 'no integrity'],
    ['ah', 'aes256gcm16-ecp384', 'AH has no encryption'],
    ['ike', 'aes256gcm16-ecp384', 'pseudo-random'],
    ['ike', 'aes256gcm16-prfsha384-ecp384-esn', 'of ESP and AH'],
    ['esp', 'aes256gcm16-prfsha384-ecp384', 'of IKE'],
  ])('for %s with %s is refused as a whole', (kind, proposal, reason) => {
    expect(why(kind, proposal)).toContain(reason);
  });

  it('with a refused keyword is refused for each protocol, with a sentence that names it', () => {
    for (const keyword of Object.keys(refusedKeywords)) {
      for (const kind of ['ike', 'esp', 'ah'] as const) expect(why(kind, keyword)).toContain(`${keyword} (`);
    }
  });

  it('keyword is either accepted or refused', () => {
    expect(Object.keys(refusedKeywords).filter((keyword) => Object.hasOwn(acceptedKeywords, keyword))).toEqual([]);
  });
});

describe('userspace ESP', () => {
  it('is offered no proposal that insists on 64-bit sequence numbers', () => {
    expect(withoutExtendedSequenceNumbers(suites['aes-gcm'].espProposals)).toEqual(['aes256gcm16-ecp384']);
    expect(withoutExtendedSequenceNumbers(['aes256gcm16-ecp384-esn-noesn'])).toEqual(['aes256gcm16-ecp384']);
    expect(withoutExtendedSequenceNumbers(['aes256gcm16-ecp384-esn'])).toEqual([]);
  });
});

describe('a profile', () => {
  it('of every form is accepted with every suite', () => {
    for (const suite of Object.values(suites)) {
      for (const name of profileNames) expect(judgeProfile({ ...defaultProfile, ...suite, name })).toBeNull();
    }
  });

  it.each<readonly [string, Partial<ChannelProfile>]>([
    ['des', { espProposals: ['aes256gcm16-ecp384', 'des-sha256-ecp384'] }],
    ['modp1024', { ikeProposals: ['aes256gcm16-prfsha384-modp1024'] }],
    ['md5', { ahProposals: ['md5-ecp384'] }],
    ['no esp proposal', { espProposals: [] }],
    ['no ike proposal', { ikeProposals: [] }],
    ['replay window', { replayWindowPackets: 127 }],
    ['replay window', { replayWindowPackets: 40_000 }],
    ['replay window', { replayWindowPackets: Number.NaN }],
    ['rekeySeconds', { rekeySeconds: 59 }],
    ['rekeySeconds', { rekeySeconds: 86_401 }],
    ['rekeyBytes', { rekeyBytes: 2 ** 20 - 1 }],
    ['rekeyBytes', { rekeyBytes: 2 ** 37 + 1 }],
    ['RFC 3948', { name: 'ah+esp', udpEncapsulation: 'always' }],
  ])('is refused because of %s: %j', (reason, changes) => {
    const refusal = judgeProfile(exampleProfile(changes));
    expect(refusal?.code).toBe('profile-refused');
    expect(refusal?.message).toContain(reason);
  });

  it('may serve more bytes with one key where sequence numbers have 64 bits', () => {
    const rekeyBytes = 2 ** 42;
    expect(judgeProfile(exampleProfile({ rekeyBytes }))).not.toBeNull();
    expect(judgeProfile(exampleProfile({ rekeyBytes, espProposals: ['aes256gcm16-ecp384-esn'] }))).toBeNull();
  });
});

describe('the secrets of a channel', () => {
  const key = (letter: string): string => `${letter.repeat(43)}=`;
  const psk = exampleProfile({ authentication: 'psk' });
  const quantum = exampleProfile({ postQuantumKey: true });

  it('are what the profile asks for, and no more', () => {
    expect(secretsFault(defaultProfile, { preSharedKey: null, postQuantumKey: null })).toBeNull();
    expect(secretsFault(psk, { preSharedKey: key('A'), postQuantumKey: null })).toBeNull();
    expect(secretsFault(quantum, { preSharedKey: null, postQuantumKey: key('A') })).toBeNull();
    expect(secretsFault(psk, { preSharedKey: null, postQuantumKey: null })?.code).toBe('profile-refused');
    expect(secretsFault(quantum, { preSharedKey: null, postQuantumKey: null })?.code).toBe('profile-refused');
    expect(secretsFault(defaultProfile, { preSharedKey: key('A'), postQuantumKey: null })?.code).toBe('profile-refused');
  });

  it('are long, different, and never in the refusal', () => {
    const both = exampleProfile({ authentication: 'psk', postQuantumKey: true });
    expect(secretsFault(both, { preSharedKey: key('A'), postQuantumKey: key('I') })).toBeNull();
    const same = secretsFault(both, { preSharedKey: key('A'), postQuantumKey: key('A') });
    const short = secretsFault(psk, { preSharedKey: 'AAAA', postQuantumKey: null });
    for (const refusal of [same, short]) {
      expect(refusal?.code).toBe('profile-refused');
      expect(refusal?.message).not.toContain('AAAA');
    }
  });
});

describe('what was negotiated', () => {
  const cbc = exampleProfile(suites['aes-cbc-sha2']);
  const cbcSa: Partial<SecurityAssociation> = { encryption: 'AES_CBC-256', integrity: 'HMAC_SHA2_256_128' };
  const chacha = exampleProfile(suites['chacha20-poly1305']);
  const transport = exampleProfile({ name: 'esp-transport' });
  const ah = exampleProfile({ name: 'ah' });
  const ahSa: Partial<SecurityAssociation> = { protocol: 'ah', mode: 'transport', encryption: 'none', integrity: 'HMAC_SHA2_384_192' };
  const bundle = exampleProfile({ name: 'ah+esp' });
  const outer = { ...exampleCounters(), integrity: 'HMAC_SHA2_384_192' };

  it.each<readonly [string, ChannelProfile, Partial<SecurityAssociation>]>([
    ['AES-GCM', defaultProfile, {}],
    ['AES-GCM with 32-bit sequence numbers', defaultProfile, { extendedSequenceNumbers: false }],
    ['AES-GCM in UDP', defaultProfile, { udpEncapsulated: true }],
    ['ChaCha20, which charon names without a key size', chacha, { encryption: 'CHACHA20_POLY1305' }],
    ['AES-CBC with HMAC', cbc, cbcSa],
    ['transport mode', transport, { mode: 'transport' }],
    ['AH', ah, ahSa],
    ['ESP inside AH', bundle, { mode: 'transport', outer }],
  ])('is accepted: %s', (_story, profile, sa) => {
    expect(acceptedNegotiation(profile, exampleSa(sa))).toBeNull();
  });

  it.each<readonly [string, ChannelProfile, Partial<SecurityAssociation>]>([
    ['another cipher', defaultProfile, { encryption: 'CHACHA20_POLY1305' }],
    ['a shorter key', defaultProfile, { encryption: 'AES_GCM_16-128' }],
    ['a weak cipher', defaultProfile, { encryption: '3DES_CBC', integrity: 'HMAC_SHA1_96' }],
    ['no encryption', defaultProfile, { encryption: 'NULL', integrity: 'HMAC_SHA2_256_128' }],
    ['no encryption by any name', defaultProfile, { encryption: 'none' }],
    ['AES-CBC without integrity', cbc, { ...cbcSa, integrity: null }],
    ['AES-CBC with SHA-1', cbc, { ...cbcSa, integrity: 'HMAC_SHA1_96' }],
    ['another group', defaultProfile, { keyExchange: 'MODP_1024' }],
    ['no group', defaultProfile, { keyExchange: 'none' }],
    ['transport mode where a tunnel is wanted', defaultProfile, { mode: 'transport' }],
    ['a tunnel where transport mode is wanted', transport, {}],
    ['AH where ESP is wanted', transport, ahSa],
    ['ESP where AH is wanted', ah, { mode: 'transport' }],
    ['AH with MD5', ah, { ...ahSa, integrity: 'HMAC_MD5_96' }],
    ['ESP without the AH around it', bundle, { mode: 'transport' }],
    ['ESP inside AH with MD5', bundle, { mode: 'transport', outer: { ...outer, integrity: 'HMAC_MD5_96' } }],
    ['AH around ESP that nobody wants', transport, { mode: 'transport', outer }],
    ['no UDP where it is always wanted', exampleProfile({ udpEncapsulation: 'always' }), {}],
    [
      '32-bit sequence numbers where 64 are a must',
      exampleProfile({ espProposals: ['aes256gcm16-ecp384-esn'] }),
      { extendedSequenceNumbers: false },
    ],
    ['64-bit sequence numbers where none were proposed', exampleProfile({ espProposals: ['aes256gcm16-ecp384'] }), {}],
  ])('is refused: %s', (_story, profile, sa) => {
    expect(acceptedNegotiation(profile, exampleSa(sa))).not.toBeNull();
  });
});
