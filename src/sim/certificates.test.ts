import { describe, expect, test } from 'vitest';
import { SimAuthority } from './authority.ts';
import { distrust, readCertificate } from './certificates.ts';
import { SimDisk } from './disk.ts';
import { SimIdentity } from './identity.ts';
import { Streams } from './random.ts';
import { surroundings } from './examples.ts';
import { VirtualTime } from './virtual-time.ts';

const addresses = { underlay: '10.0.0.1', protected: '10.79.0.1' };
const lifetimeMs = 1000;

/** The promise's value, as time passes in between. */
async function passing<Value>(time: VirtualTime, work: Promise<Value>): Promise<Value> {
  const settled = work.then(
    () => true,
    () => true,
  );
  await time.runUntil(time.elapsedMs + 10, surroundings.drain);
  await settled;
  return work;
}

async function joined() {
  const time = new VirtualTime();
  const authority = new SimAuthority(time, (data) => surroundings.sha256(new TextDecoder().decode(data)));
  const identity = new SimIdentity(new SimDisk(time, new Streams(1).stream('disk')), 'host1', new Streams(1).stream('host1'));
  const issue = async () => {
    const requestPem = await passing(time, identity.request());
    return passing(time, authority.issueHost({ requestPem, hostId: 'host1', addresses, lifetimeMs, nowMs: time.nowMs }));
  };
  const trust = (revoked: Parameters<SimAuthority['trust']>[0] = []) => passing(time, authority.trust(revoked, time.nowMs));
  const issued = await issue();
  await passing(time, identity.install(issued.certificatePem, issued.intermediatesPem));
  return { time, authority, identity, issue, trust, issued };
}

describe('simulated certificates', () => {
  test('are trusted with a list of their CA, until they end or are revoked', async () => {
    const { time, identity, trust, issued } = await joined();
    const certificate = readCertificate(identity.current().certificatePem);
    expect(distrust(certificate, [], time.nowMs)).toMatch(/nobody knows/);
    expect(distrust(certificate, (await trust()).crlPems, time.nowMs)).toBeNull();
    expect(distrust(certificate, (await trust()).crlPems, issued.notAfterMs)).toMatch(/expired/);
    const { serialNumber, authorityId } = issued;
    const { crlPems } = await trust([{ serialNumber, authorityId, revokedAtMs: 1 }]);
    expect(distrust(certificate, crlPems, time.nowMs)).toMatch(/revoked/);
  });

  test('are for the newest key of one host only', async () => {
    const { time, identity, issue, issued } = await joined();
    const stale = await issue();
    const fresh = await issue();
    await expect(passing(time, identity.install(stale.certificatePem, ''))).rejects.toMatchObject({ code: 'input-invalid' });
    await passing(time, identity.install(fresh.certificatePem, ''));
    expect(identity.current().certificatePem).toBe(fresh.certificatePem);
    expect(fresh.sha256).not.toBe(issued.sha256);
  });

  test('of an older intermediate still have a list', async () => {
    const { time, authority, identity, trust } = await joined();
    expect(await passing(time, authority.renewIntermediate(time.nowMs))).toBe(false);
    expect(await passing(time, authority.renewIntermediate(time.nowMs + 20 * 86_400_000))).toBe(true);
    const { crlPems } = await trust();
    expect(crlPems).toHaveLength(2);
    expect(distrust(readCertificate(identity.current().certificatePem), crlPems, time.nowMs)).toBeNull();
  });

  test('come with lists that never go back', async () => {
    const { time, identity, trust } = await joined();
    const older = await trust();
    const newer = await trust();
    await passing(time, identity.updateTrust(newer));
    await expect(passing(time, identity.updateTrust(older))).rejects.toMatchObject({ code: 'input-invalid' });
    expect(identity.current().crlPems).toEqual(newer.crlPems);
  });
});
