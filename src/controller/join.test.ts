import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ClusterView } from './cluster-view.ts';
import { fakeParts, policy } from './fakes.ts';
import { Joining } from './join.ts';
import { Membership } from './membership.ts';

beforeEach(() => void vi.useFakeTimers({ now: 1000 }));
afterEach(() => void vi.useRealTimers());

const addresses = { underlay: '10.0.0.1', protected: '10.1.0.1', interface: 'eth0' };
const request = (token: string, hostId = 'a') => ({ token, hostId, addresses });

function newJoining() {
  const parts = fakeParts();
  const view = new ClusterView(policy);
  let made = 0;
  const membership = new Membership();
  const joining = new Joining(parts, view, membership, {
    createToken: () => ({ token: `secret${(made += 1)}`, tokenHash: `hash of secret${made}` }),
    hashToken: (token) => `hash of ${token}`,
    caFingerprint: 'ab',
    controllerUrl: 'https://controller:1',
  });
  return { parts, view, joining, membership };
}

describe('a join token', () => {
  it('buys one place in the cluster, for its host, and is not kept itself', async () => {
    const { parts, view, joining } = newJoining();
    const { token } = await joining.createToken('a', 60_000);
    expect(JSON.stringify([...parts.store.tokens.values()])).not.toMatch(/"secret/);
    await joining.admit(request(token));
    expect(view.host('a')).toMatchObject({ hostId: 'a', addresses });
    expect(parts.store.hostRecords).toHaveLength(1);
  });

  it('is used once, however many come with it at once', async () => {
    const { parts, joining } = newJoining();
    const { token } = await joining.createToken('a', 60_000);
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => joining.admit(request(token))));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await expect(joining.admit(request(token))).rejects.toMatchObject({ code: 'token-invalid' });
    expect(parts.store.hostRecords).toHaveLength(1);
  });

  it.each([
    ['has expired', 60_000, 'secret1', 'a', 'token-expired'],
    ['is for another host', 0, 'secret1', 'b', 'token-invalid'],
    ['was never made', 0, 'guess', 'a', 'token-invalid'],
    ['is empty', 0, '', 'a', 'token-invalid'],
  ])('admits nobody when it %s', async (_story, waitMs, token, hostId, code) => {
    const { parts, view, joining } = newJoining();
    await joining.createToken('a', 60_000);
    await vi.advanceTimersByTimeAsync(waitMs);
    await expect(joining.admit(request(token, hostId))).rejects.toMatchObject({ code });
    expect([parts.store.hostRecords, view.hosts()]).toEqual([[], []]);
  });

  it('that was made before its host was revoked admits nobody; one that was made afterwards does, and those of others stay', async () => {
    const { parts, joining, membership } = newJoining();
    await joining.admit(request((await joining.createToken('a', 60_000)).token));
    const before = await joining.createToken('a', 60_000);
    const ofAnother = await joining.createToken('b', 60_000);
    await parts.store.saveHost(membership.revoke('a', 1000));
    await expect(joining.admit(request(before.token))).rejects.toMatchObject({ code: 'token-invalid' });
    expect(membership.revokedHostIds).toEqual(['a']);
    const after = await joining.createToken('a', 60_000);
    await joining.admit(request(after.token));
    await joining.admit(request(ofAnother.token, 'b'));
    expect(membership.revokedHostIds).toEqual([]);
  });

  it('admits nobody when the host cannot be kept, and is spent', async () => {
    const { parts, view, joining } = newJoining();
    const { token } = await joining.createToken('a', 60_000);
    parts.store.failing.add('saveHost');
    await expect(joining.admit(request(token))).rejects.toThrow('disk full');
    parts.store.failing.clear();
    expect(view.hosts()).toEqual([]);
    await expect(joining.admit(request(token))).rejects.toMatchObject({ code: 'token-invalid' });
  });

  it('does not live longer than a week, and is not shown when it cannot be kept', async () => {
    const { parts, joining } = newJoining();
    await expect(joining.createToken('a', 8 * 24 * 3_600_000)).rejects.toMatchObject({ code: 'input-invalid' });
    parts.store.failing.add('saveToken');
    await expect(joining.createToken('a', 60_000)).rejects.toThrow('disk full');
  });
});
