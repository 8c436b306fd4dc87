import { describe, expect, it } from 'vitest';
import { connectionName, ikeIdentity, peerOfConnection, peerOfSharedKey, postQuantumKeyId, sharedKeyIds } from './names.ts';

describe('names in charon', () => {
  it('lead from the peer to its connection and keys, and back', () => {
    expect(connectionName('host-b')).toBe('plimsoll-host-b');
    expect(peerOfConnection('plimsoll-host-b')).toBe('host-b');
    expect(peerOfConnection('site-to-site')).toBeNull();
    for (const id of Object.values(sharedKeyIds('host.b'))) expect(peerOfSharedKey(id)).toBe('host.b');
    expect([peerOfSharedKey('site.psk'), peerOfSharedKey('plimsoll-host-b')]).toEqual([null, null]);
  });

  it('are never read as an address or a pattern', () => {
    expect(ikeIdentity('10.0.0.7')).toBe('fqdn:10.0.0.7');
    for (const name of ['*', '*.example', '%any', 'CN=b', 'b c', 'b\0', 'B', '-b', '', '@b']) {
      expect(() => connectionName(name)).toThrow(expect.objectContaining({ code: 'ipsec-failed' }) as Error);
    }
  });

  it('give both ends of a pair one post-quantum key, and no other pair the same', () => {
    expect(postQuantumKeyId('b', 'a')).toBe(postQuantumKeyId('a', 'b'));
    expect(postQuantumKeyId('a', 'b.c')).not.toBe(postQuantumKeyId('a.b', 'c'));
  });
});
