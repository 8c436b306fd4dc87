import { describe, expect, it } from 'vitest';
import type { ChannelPeer } from '#core/ports.ts';
import { childName } from './child-config.ts';
import { exampleChild, exampleIke, examplePeer, exampleProfile } from './examples.ts';
import type { ChildSa, IkeSa } from './sa.ts';
import { fits, missingChildren, negotiationFault, saRecords, usableSa } from './sa-record.ts';

const profile = exampleProfile();
const peer = examplePeer();
const child = exampleChild();
const ike = exampleIke([child]);

const withChild = (changes: Partial<ChildSa>): IkeSa => ({ ...ike, children: [{ ...child, ...changes }] });

describe('SA records', () => {
  it("leave out an operator's own connections", () => {
    expect(saRecords([{ ...ike, name: 'site' }, ike]).map((sa) => sa.childUniqueId)).toEqual(['7']);
  });

  it('name integrity only where the cipher does not carry its own', () => {
    const cbc = withChild({ encryptionAlgorithm: 'AES_CBC', integrityAlgorithm: 'HMAC_SHA2_256_128', keyExchange: 'CURVE_25519' });
    expect(saRecords([ike, cbc]).map((sa) => [sa.encryption, sa.integrity, sa.keyExchange])).toEqual([
      ['AES_GCM_16-256', null, 'ECP_384'],
      ['AES_CBC-256', 'HMAC_SHA2_256_128', 'CURVE_25519'],
    ]);
  });

  it.each([
    ['INSTALLED', 'installed'],
    ['REKEYING', 'rekeying'],
    ['REKEYED', 'deleting'],
    ['DELETED', 'deleting'],
    ['INSTALLING', 'other'],
    ['a state of a later version', 'other'],
  ])('read the state %s as %s', (state, expected) => {
    expect(saRecords([withChild({ state })])[0]?.state).toBe(expected);
  });

  it('say "none" for an AH SA, which encrypts nothing', () => {
    const ah = withChild({
      protocol: 'AH',
      encryptionAlgorithm: undefined,
      encryptionKeyBits: undefined,
      integrityAlgorithm: 'HMAC_SHA2_256_128',
    });
    expect(saRecords([ah])[0]?.encryption).toBe('none');
  });
});

describe('the usable SA', () => {
  it('is the installed one between exactly these addresses', () => {
    expect(usableSa([ike], peer)?.spiIn).toBe('c0000001');
  });

  it.each<[string, IkeSa]>([
    ['an IKE_SA that is not authenticated yet', { ...ike, state: 'CONNECTING' }],
    ['an IKE_SA that is being deleted', { ...ike, state: 'DELETING' }],
    ['another connection', { ...ike, name: 'plimsoll-host-c' }],
    ['a connection without our name', { ...ike, name: 'host-b' }],
    ['another address of the peer', { ...ike, remoteHost: '10.0.0.3' }],
    ['another address of our own', { ...ike, localHost: '10.0.0.9' }],
    ['an SA that only authenticates', withChild({ protocol: 'AH' })],
    ['a CHILD_SA that is going away', withChild({ state: 'DELETING' })],
    ['other protected addresses', withChild({ remoteSelectors: ['10.1.0.3/32'] })],
    ['wider selectors', withChild({ localSelectors: ['10.1.0.0/24'] })],
    ['an SA of another profile', withChild({ name: childName('channel', { ...profile, authentication: 'psk' }) })],
    ['an SA in transport mode', withChild({ mode: 'TRANSPORT' })],
    ['algorithms that the profile does not name', withChild({ encryptionKeyBits: 128 })],
    ['more selectors', withChild({ remoteSelectors: ['10.1.0.2/32', '10.9.0.0/16'] })],
  ])('is not one with %s', (_what, sa) => {
    expect(usableSa([sa], peer)).toBeNull();
  });
});

describe('an SA of transport mode', () => {
  const transport: ChannelPeer = { ...peer, profile: { ...profile, name: 'esp-transport' } };
  const selectors = (host: string, words: readonly string[]): readonly string[] => words.map((word) => `10.0.0.${host}/32[${word}]`);
  const inTransport = (words: readonly string[]): IkeSa =>
    withChild({
      name: childName('channel', transport.profile),
      mode: 'TRANSPORT',
      localSelectors: selectors('1', words),
      remoteSelectors: selectors('2', words),
    });

  it('is usable for TCP and the probes, by names or by numbers, and for nothing more or less', () => {
    expect(usableSa([inTransport(['tcp', 'udp/49149', 'udp/49150'])], transport)).not.toBeNull();
    expect(usableSa([inTransport(['17/49150', '6', '17/49149'])], transport)).not.toBeNull();
    for (const words of [
      ['tcp'],
      ['tcp', 'udp/49149', 'udp'],
      ['tcp', 'udp/49149', 'udp/49150', 'icmp'],
      ['tcp/80', 'udp/49149', 'udp/49150'],
    ])
      expect(usableSa([inTransport(words)], transport)).toBeNull();
  });
});

describe('a bundle', () => {
  const bundle: ChannelPeer = { ...peer, profile: { ...profile, name: 'ah+esp' } };
  const selectors = (words: readonly string[]): Pick<ChildSa, 'localSelectors' | 'remoteSelectors'> => ({
    localSelectors: words.map((word) => `10.0.0.1/32[${word}]`),
    remoteSelectors: words.map((word) => `10.0.0.2/32[${word}]`),
  });
  const inner: ChildSa = {
    ...child,
    name: childName('inner', bundle.profile),
    mode: 'TRANSPORT',
    ...selectors(['tcp', 'udp/49149', 'udp/49150']),
  };
  const outer: ChildSa = {
    ...inner,
    name: childName('outer', bundle.profile),
    uniqueId: '8',
    protocol: 'AH',
    spiIn: 'a0000001',
    spiOut: 'a0000002',
    encryptionAlgorithm: undefined,
    encryptionKeyBits: undefined,
    integrityAlgorithm: 'HMAC_SHA2_384_192',
    ...selectors(['esp']),
  };
  const withChildren = (...children: readonly ChildSa[]): IkeSa => ({ ...ike, children });

  it('is one record: ESP with the AH around it', () => {
    const [record, ...others] = saRecords([withChildren(outer, inner)]);
    expect(others).toEqual([]);
    expect(record).toMatchObject({ spiIn: 'c0000001', protocol: 'esp', state: 'installed', outer: { spiIn: 'a0000001' } });
    expect(usableSa([withChildren(outer, inner)], bundle)?.outer?.integrity).toBe('HMAC_SHA2_384_192');
  });

  it('pairs the newest of either kind, and lists what they replaced beside them', () => {
    const records = saRecords([withChildren({ ...outer, state: 'DELETED' }, inner, { ...outer, uniqueId: '12', spiIn: 'a0000009' })]);
    expect(records.map(({ state, protocol, outer: around }) => [state, protocol, around?.spiIn])).toEqual([
      ['deleting', 'ah', undefined],
      ['installed', 'esp', 'a0000009'],
    ]);
  });

  it('protects nothing with one half alone, and the other one is made', () => {
    for (const half of [inner, outer]) {
      const alone = [withChildren(half)];
      expect(saRecords(alone).map(({ state }) => state)).toEqual(['other']);
      expect(usableSa(alone, bundle)).toBeNull();
      expect(fits(withChildren(half), bundle)).toBe(true);
      expect(missingChildren(alone, bundle)).toEqual([half === inner ? outer.name : inner.name]);
    }
  });

  it('is none when AH covers something other than ESP between the two hosts', () => {
    for (const words of [['tcp'], ['esp', 'tcp'], []])
      expect(usableSa([withChildren(inner, { ...outer, ...selectors(words) })], bundle)).toBeNull();
  });

  it('is none for a profile of ESP alone, and does not fit it', () => {
    expect(usableSa([withChildren(inner, outer)], peer)).toBeNull();
    expect(fits(withChildren(inner, outer), peer)).toBe(false);
  });
});

describe('a post-quantum key', () => {
  const quantum: ChannelPeer = { ...peer, profile: { ...profile, postQuantumKey: true } };
  const madeFor = (wanted: ChannelPeer, postQuantumKey: boolean): IkeSa => ({
    ...withChild({ name: childName('channel', wanted.profile) }),
    postQuantumKey,
  });

  it.each([
    ['wants one', quantum, true],
    ['wants none', peer, false],
  ] as const)('is in the keys of a usable SA as the profile %s', (_words, wanted, has) => {
    for (const postQuantumKey of [true, false]) {
      const sa = madeFor(wanted, postQuantumKey);
      expect([usableSa([sa], wanted) !== null, fits(sa, wanted)]).toEqual([postQuantumKey === has, postQuantumKey === has]);
    }
  });

  it('that is missing, or not wanted, is named', () => {
    expect(negotiationFault([madeFor(quantum, false)], quantum)).toMatch(/without the post-quantum key/);
    expect(negotiationFault([madeFor(peer, true)], peer)).toMatch(/does not want/);
    expect(negotiationFault([madeFor(quantum, true)], quantum)).toBeNull();
  });
});

describe('what was negotiated', () => {
  it('is named when it is not what the profile asks for', () => {
    expect(negotiationFault([withChild({ encryptionKeyBits: 128 })], peer)).toMatch(/AES_GCM_16-128/);
    expect(negotiationFault([], peer)).toBeNull();
  });
});
