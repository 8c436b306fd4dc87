import { describe, expect, it } from 'vitest';
import { openSqliteStore } from './sqlite-store.ts';

const host = { hostId: 'a', joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null };
const token = { hostId: 'a', expiresAtMs: 1000, usedAtMs: null };

describe('a host that is revoked', () => {
  it('takes its unused tokens with it, and no others: not those of another host, nor those made later', async () => {
    const store = await openSqliteStore({ path: ':memory:' });
    await store.saveHost(host);
    await store.saveToken({ ...token, tokenHash: 'unused' });
    await store.saveToken({ ...token, tokenHash: 'used' });
    await store.saveToken({ ...token, tokenHash: 'of b', hostId: 'b' });
    await store.useToken('used', 2);
    await store.saveHost({ ...host, revokedAtMs: 5 });
    await store.saveToken({ ...token, tokenHash: 'later' });
    const usedAtMs = async (tokenHash: string) => (await store.useToken(tokenHash, 9))?.usedAtMs;
    expect([await usedAtMs('unused'), await usedAtMs('used'), await usedAtMs('of b'), await usedAtMs('later')]).toEqual([5, 2, null, null]);
    await store.close();
  });

  it('leaves the tokens alone when it is only saved again', async () => {
    const store = await openSqliteStore({ path: ':memory:' });
    await store.saveToken({ ...token, tokenHash: 'unused' });
    await store.saveHost({ ...host, lastSeenAtMs: 3 });
    expect((await store.useToken('unused', 9))?.usedAtMs).toBeNull();
    await store.close();
  });
});
