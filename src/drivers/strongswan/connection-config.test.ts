import { describe, expect, it } from 'vitest';
import type { ChannelProfile } from '#core/model/channel.ts';
import type { ChannelPeer, HostIdentity } from '#core/ports.ts';
import { connectionConfig } from './connection-config.ts';
import { examplePeer } from './examples.ts';
import { sharedKeysOf } from './shared-keys.ts';

const identity: HostIdentity = {
  hostId: 'host-a',
  certificatePem: '',
  privateKeyPem: '',
  caPem: '',
  intermediatesPem: '',
  crlPems: [],
  notAfterMs: 0,
};
const key = Buffer.alloc(32, 7).toString('base64');
const otherKey = Buffer.alloc(32, 8).toString('base64');

const peerOf = (changes: Partial<ChannelProfile> = {}, secrets: Partial<ChannelPeer['secrets']> = {}): ChannelPeer =>
  examplePeer({ authentication: 'psk', ...changes }, { preSharedKey: key, ...secrets });

describe('a connection', () => {
  it('is for exactly these two identities, and asks for both proofs', () => {
    const config = connectionConfig(peerOf({ postQuantumKey: true }), identity, 'kernel');
    expect(config).toMatchObject({
      version: '2',
      local_addrs: ['10.0.0.1'],
      remote_addrs: ['10.0.0.2'],
      proposals: ['aes256gcm16-prfsha384-ecp384'],
      local: { auth: 'psk', id: 'fqdn:host-a' },
      remote: { auth: 'psk', id: 'fqdn:host-b' },
      ppk_id: 'plimsoll-ppk.host-a+host-b',
      ppk_required: 'yes',
    });
    expect(connectionConfig(peerOf(), identity, 'kernel')).not.toHaveProperty('ppk_id');
  });

  it('encapsulates in UDP where it must', () => {
    const encap = (peer: ChannelPeer, backend: 'kernel' | 'libipsec'): unknown => connectionConfig(peer, identity, backend)['encap'];
    expect(encap(peerOf(), 'kernel')).toBe('no');
    expect(encap(peerOf({ udpEncapsulation: 'always' }), 'kernel')).toBe('yes');
    expect(encap(peerOf(), 'libipsec')).toBe('yes');
  });

  it('needs addresses, of the protected ones only where there are some', () => {
    const without = (peer: ChannelPeer): ChannelPeer => ({ ...peer, peerAddresses: { ...peer.peerAddresses, protected: '' } });
    expect(() => connectionConfig(without(peerOf()), identity, 'kernel')).toThrow(/is not an IP address/);
    expect(() => connectionConfig(without(peerOf({ name: 'ah' })), identity, 'kernel')).not.toThrow();
  });

  it('refuses an identity that cannot be read, and says what to do', () => {
    expect(() => connectionConfig(peerOf({ authentication: 'certificate' }), identity, 'kernel')).toThrow(
      expect.objectContaining({ code: 'ipsec-failed' }) as Error,
    );
  });
});

describe('shared keys', () => {
  it('are those of the profile, each for nobody else', () => {
    const peer = peerOf({ postQuantumKey: true }, { postQuantumKey: otherKey });
    expect(sharedKeysOf(peer, 'host-a').map(({ id, type, owners }) => [id, type, owners])).toEqual([
      ['plimsoll-host-b.psk', 'IKE', ['fqdn:host-a', 'fqdn:host-b']],
      ['plimsoll-host-b.ppk', 'PPK', ['plimsoll-ppk.host-a+host-b']],
    ]);
    expect(sharedKeysOf(peer, 'host-a').map(({ data }) => data)).toEqual(
      [Buffer.alloc(32, 7), Buffer.alloc(32, 8)].map((bytes) => new Uint8Array(bytes)),
    );
    expect(sharedKeysOf(peerOf({ authentication: 'certificate' }, { preSharedKey: null }), 'host-a')).toEqual([]);
  });

  it('never appear in the refusal of one that is missing, short or not base64', () => {
    for (const preSharedKey of [null, 'c2hvcnQtY2FuYXJ5', `canary ${key}`]) {
      const attempt = (): unknown => sharedKeysOf(peerOf({}, { preSharedKey }), 'host-a');
      expect(attempt).toThrow(expect.objectContaining({ code: 'profile-refused' }) as Error);
      expect(attempt).not.toThrow(/canary|c2hvcnQ/);
    }
  });
});
