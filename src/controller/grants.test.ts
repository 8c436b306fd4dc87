import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Audit } from './audit.ts';
import { fakeParts } from './fakes.ts';
import { Grants } from './grants.ts';

beforeEach(() => void vi.useFakeTimers({ now: 1000 }));
afterEach(() => void vi.useRealTimers());

const body = { fromHostId: 'a', toHostId: 'b', reason: 'charon crashes', lifetimeMs: 60_000 };

function newGrants() {
  const parts = fakeParts();
  return { parts, grants: new Grants(parts, new Audit(parts)) };
}

describe('a break-glass grant', () => {
  it('lets through what it names, once a second person has approved it, and every step is in the audit', async () => {
    const { parts, grants } = newGrants();
    const { grantId, state } = await grants.request(body, 'anna');
    expect(state).toBe('requested');
    await expect(grants.permit(grantId, 'a', 'b')).rejects.toMatchObject({ code: 'grant-invalid' });
    expect(await grants.approve(grantId, 'bert')).toMatchObject({ state: 'approved', requestedBy: 'anna', approvedBy: 'bert' });
    expect(await grants.permit(grantId, 'a', 'b')).toMatchObject({ approvedBy: 'bert' });
    await grants.withdraw(grantId, 'carla');
    await expect(grants.permit(grantId, 'a', 'b')).rejects.toMatchObject({
      code: 'grant-invalid',
      message: expect.stringContaining('withdrawn'),
    });
    expect(parts.store.audited.map(({ who, verb }) => `${who} ${verb}`)).toEqual([
      'anna grant.request',
      'bert grant.approve',
      'carla grant.withdraw',
    ]);
  });

  it.each(['anna', 'Anna', ' ANNA '])('is not approved by the person who has requested it (as %j)', async (who) => {
    const { parts, grants } = newGrants();
    const { grantId } = await grants.request(body, 'anna');
    await expect(grants.approve(grantId, who)).rejects.toMatchObject({
      code: 'grant-invalid',
      message: expect.stringContaining('another person'),
    });
    expect(parts.store.granted.get(grantId)).toMatchObject({ approvedBy: null });
  });

  it('is for one direction between two hosts, and no other', async () => {
    const { grants } = newGrants();
    const { grantId } = await grants.request(body, 'anna');
    await grants.approve(grantId, 'bert');
    for (const [from, to] of [
      ['b', 'a'],
      ['a', 'c'],
      ['c', 'b'],
    ] as const)
      await expect(grants.permit(grantId, from, to)).rejects.toMatchObject({
        code: 'grant-invalid',
        message: expect.stringContaining('a -> b'),
      });
    await expect(grants.permit(null, 'a', 'b')).rejects.toMatchObject({ code: 'grant-missing' });
    await expect(grants.permit('unknown', 'a', 'b')).rejects.toMatchObject({ code: 'grant-missing' });
  });

  it('ends at its time, counted from the request, and cannot be brought back', async () => {
    const { grants } = newGrants();
    const { grantId } = await grants.request(body, 'anna');
    await vi.advanceTimersByTimeAsync(50_000);
    await grants.approve(grantId, 'bert');
    await vi.advanceTimersByTimeAsync(9999);
    await grants.permit(grantId, 'a', 'b');
    await vi.advanceTimersByTimeAsync(1);
    await expect(grants.permit(grantId, 'a', 'b')).rejects.toMatchObject({
      code: 'grant-invalid',
      message: expect.stringContaining('expired'),
    });
    await expect(grants.approve(grantId, 'carla')).rejects.toMatchObject({ code: 'grant-invalid' });
    await expect(grants.withdraw(grantId, 'carla')).rejects.toMatchObject({ code: 'grant-invalid' });
    expect(await grants.list(10)).toMatchObject([{ state: 'expired' }]);
  });

  it('is neither made nor changed when the audit cannot be written', async () => {
    const { parts, grants } = newGrants();
    const { grantId } = await grants.request(body, 'anna');
    parts.store.failing.add('appendAudit');
    await expect(grants.request(body, 'anna')).rejects.toThrow('disk full');
    await expect(grants.approve(grantId, 'bert')).rejects.toThrow('disk full');
    expect([parts.store.granted.size, parts.store.granted.get(grantId)?.approvedBy]).toEqual([1, null]);
  });

  it('that is approved and withdrawn at once ends up withdrawn, or was never approved', async () => {
    const { parts, grants } = newGrants();
    const { grantId } = await grants.request(body, 'anna');
    await Promise.allSettled([grants.withdraw(grantId, 'carla'), grants.approve(grantId, 'bert')]);
    expect(parts.store.granted.get(grantId)).toMatchObject({ approvedBy: null, withdrawnAtMs: 1000 });
  });

  it('is for two different hosts', async () => {
    await expect(newGrants().grants.request({ ...body, toHostId: 'a' }, 'anna')).rejects.toMatchObject({
      code: 'destination-same-as-source',
    });
  });
});
