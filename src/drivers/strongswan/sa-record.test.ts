import { describe, expect, it } from 'vitest';
import type { ChannelPeer } from '#core/ports.ts';
import type { ChildSa, IkeSa } from './sa.ts';
import { saRecords, usableSa } from './sa-record.ts';

const peer: ChannelPeer = {
  localAddresses: { underlay: '10.0.0.1', protected: '10.1.0.1', interface: 'eth0' },
  peerHostId: 'host-b',
  peerAddresses: { underlay: '10.0.0.2', protected: '10.1.0.2', interface: 'eth0' },
};

const child: ChildSa = {
  name: 'channel',
  uniqueId: '7',
  state: 'INSTALLED',
  mode: 'TUNNEL',
  protocol: 'ESP',
  udpEncapsulated: false,
  spiIn: 'c0000001',
  spiOut: 'c0000002',
  encryptionAlgorithm: 'AES_GCM_16',
  encryptionKeyBits: 256,
  integrityAlgorithm: undefined,
  integrityKeyBits: undefined,
  keyExchange: undefined,
  extendedSequenceNumbers: false,
  bytesIn: 1,
  bytesOut: 2,
  packetsIn: 3,
  packetsOut: 4,
  localSelectors: ['10.1.0.1/32'],
  remoteSelectors: ['10.1.0.2/32'],
};

const ike: IkeSa = {
  name: 'plimsoll-host-b',
  uniqueId: '3',
  state: 'ESTABLISHED',
  localHost: '10.0.0.1',
  remoteHost: '10.0.0.2',
  localId: 'host-a',
  remoteId: 'host-b',
  initiator: true,
  encryptionAlgorithm: 'AES_GCM_16',
  encryptionKeyBits: 256,
  keyExchange: 'ECP_384',
  children: [child],
};

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
    ['more selectors', withChild({ remoteSelectors: ['10.1.0.2/32', '10.9.0.0/16'] })],
  ])('is not one with %s', (_what, sa) => {
    expect(usableSa([sa], peer)).toBeNull();
  });
});
