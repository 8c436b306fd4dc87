import { describe, expect, it } from 'vitest';
import { connectionName, ikeIdentity, peerOfConnection, selectorOf } from './connection-config.ts';

describe('names in charon', () => {
  it('lead from the peer to its connection and back', () => {
    expect(connectionName('host-b')).toBe('plimsoll-host-b');
    expect(peerOfConnection('plimsoll-host-b')).toBe('host-b');
    expect(peerOfConnection('site-to-site')).toBeNull();
  });

  it('are never read as an address or a pattern', () => {
    expect(ikeIdentity('10.0.0.7')).toBe('fqdn:10.0.0.7');
    for (const name of ['*', '*.example', '%any', 'CN=b', 'b c', 'b\0', 'B', '-b', '', '@b']) {
      expect(() => connectionName(name)).toThrow(expect.objectContaining({ code: 'ipsec-failed' }) as Error);
    }
  });

  it('select one address and nothing beside it', () => {
    expect([selectorOf('10.79.0.1'), selectorOf('FD00:0::1')]).toEqual(['10.79.0.1/32', 'fd00::1/128']);
  });
});
