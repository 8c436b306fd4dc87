import { createPrivateKey, X509Certificate } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { IdentityKeeper, IssuedCertificate } from '#core/ports.ts';
import { certificateFacts } from './certificate-facts.ts';
import { openClusterCa, type ClusterCa } from './cluster-ca.ts';
import { createHostKey, createHostRequest } from './host-key.ts';
import { loadIdentity, saveIdentity } from './identity-folder.ts';
import { openIdentity } from './identity-keeper.ts';
import { pemBlocks } from './pem.ts';

const dayMs = 24 * 3_600_000;

let root: string;
let dir: string;
let ca: ClusterCa;
let nowMs: number;
let keeper: IdentityKeeper;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'plimsoll-keeper-'));
  dir = join(root, 'identity');
  nowMs = Date.now();
  ca = await openClusterCa(join(root, 'ca'), nowMs);
  const privateKeyPem = createHostKey();
  const { certificatePem, intermediatesPem } = await issue(await createHostRequest('host-a', privateKeyPem));
  const { crlPems } = await ca.trust([], nowMs);
  await saveIdentity(dir, { hostId: 'host-a', certificatePem, privateKeyPem, intermediatesPem, caPem: ca.rootPem, crlPems }, nowMs);
  keeper = await openIdentity(dir, () => nowMs);
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

interface Wish {
  readonly hostId?: string;
  readonly from?: ClusterCa;
  readonly lifetimeMs?: number;
  readonly atMs?: number;
}

function issue(requestPem: string, { hostId = 'host-a', from = ca, lifetimeMs = 28 * dayMs, atMs = nowMs }: Wish = {}) {
  const addresses = { underlay: '192.0.2.1', protected: '198.51.100.1' };
  return from.issueHost({ requestPem, hostId, addresses, lifetimeMs, nowMs: atMs });
}

function isPair(certificatePem: string, privateKeyPem: string): boolean {
  return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem));
}

describe('renewing the identity of a host', () => {
  it('makes a new key, changes key and certificate together, and is there after a restart', async () => {
    const before = keeper.current();
    nowMs += dayMs / 2;
    const issued = await issue(await keeper.request());
    expect(await loadIdentity(dir, nowMs)).toEqual(before);
    const after = await keeper.install(issued.certificatePem, issued.intermediatesPem);
    expect(after.privateKeyPem).not.toBe(before.privateKeyPem);
    expect(after.notAfterMs).toBe(before.notAfterMs + dayMs / 2);
    expect(isPair(after.certificatePem, after.privateKeyPem)).toBe(true);
    expect(keeper.current()).toBe(after);
    expect(await loadIdentity(dir, nowMs)).toEqual(after);
    expect(await readdir(dir)).not.toContain('host.key.next');
  });

  it('happens once: asked again with the same certificate, it is done already', async () => {
    const { certificatePem, intermediatesPem } = await issue(await keeper.request());
    const once = await keeper.install(certificatePem, intermediatesPem);
    expect(await keeper.install(certificatePem, intermediatesPem)).toEqual(once);
  });

  it('goes by the newest request only, and survives a restart between request and certificate', async () => {
    const early = await issue(await keeper.request());
    const late = await issue(await keeper.request());
    await expect(keeper.install(early.certificatePem, early.intermediatesPem)).rejects.toMatchObject({ code: 'input-invalid' });
    const restarted = await openIdentity(dir, () => nowMs);
    const { certificatePem } = await restarted.install(late.certificatePem, late.intermediatesPem);
    expect(certificateFacts(certificatePem).sha256).toBe(late.sha256);
  });

  it('keeps nothing but the pair in use and the one before', async () => {
    for (let round = 0; round < 3; round += 1) {
      nowMs += 1000;
      const issued = await issue(await keeper.request());
      await keeper.install(issued.certificatePem, issued.intermediatesPem);
    }
    expect(await readdir(join(dir, 'pairs'))).toHaveLength(2);
  });

  const refused: readonly (readonly [what: string, make: (requestPem: string) => Promise<IssuedCertificate>])[] = [
    ['for another host', (requestPem) => issue(requestPem, { hostId: 'host-b' })],
    ['for another key', async () => issue(await createHostRequest('host-a', createHostKey()))],
    ['of another cluster', async (requestPem) => issue(requestPem, { from: await openClusterCa(join(root, 'other'), nowMs) })],
    ['with the CA of another cluster beside its own', withForeignCa],
    ['without its CA', async (requestPem) => ({ ...(await issue(requestPem)), intermediatesPem: ca.rootPem })],
    ['that is rubbish', async (requestPem) => ({ ...(await issue(requestPem)), certificatePem: 'rubbish' })],
    ['that is older than the present one', (requestPem) => issue(requestPem, { atMs: nowMs - 60_000 })],
  ];

  it.each(refused)('refuses a certificate %s, and keeps what it has', async (_what, make) => {
    const before = keeper.current();
    const requestPem = await keeper.request();
    const issued = await make(requestPem);
    await expect(keeper.install(issued.certificatePem, issued.intermediatesPem)).rejects.toMatchObject({ code: 'input-invalid' });
    expect(keeper.current()).toBe(before);
    expect(await loadIdentity(dir, nowMs)).toEqual(before);
    const good = await issue(requestPem);
    await expect(keeper.install(good.certificatePem, good.intermediatesPem)).resolves.toBeDefined();
  });

  it('refuses a certificate that nobody asked for, and one that has ended meanwhile', async () => {
    const unasked = await issue(await createHostRequest('host-a', createHostKey()));
    await expect(keeper.install(unasked.certificatePem, unasked.intermediatesPem)).rejects.toMatchObject({ code: 'input-invalid' });
    const issued = await issue(await keeper.request(), { lifetimeMs: dayMs });
    nowMs += 2 * dayMs;
    await expect(keeper.install(issued.certificatePem, issued.intermediatesPem)).rejects.toMatchObject({ code: 'certificate-expired' });
  });

  async function withForeignCa(requestPem: string): Promise<IssuedCertificate> {
    const issued = await issue(requestPem);
    const foreign = await openClusterCa(join(root, 'other'), nowMs);
    const { intermediatesPem } = await foreign.trust([], nowMs);
    return { ...issued, intermediatesPem: issued.intermediatesPem + intermediatesPem };
  }
});

describe('a crash while the identity is renewed', () => {
  it('leaves a usable pair at whatever step it comes, and the certificate can be sent again', async () => {
    const before = keeper.current();
    nowMs += 1000;
    const issued = await issue(await keeper.request());
    await cp(dir, join(root, 'before'), { recursive: true, verbatimSymlinks: true });
    const after = await keeper.install(issued.certificatePem, issued.intermediatesPem);
    const pair = join('pairs', issued.sha256.slice(0, 16));
    // What `install` changes, one thing after the other.
    const steps: readonly ((copy: string) => Promise<void>)[] = [
      (copy) => cp(join(dir, 'ca-bundle.crt'), join(copy, 'ca-bundle.crt')),
      (copy) => cp(join(dir, pair, 'host.key'), join(copy, pair, 'host.key')),
      (copy) => cp(join(dir, pair, 'host.crt'), join(copy, pair, 'host.crt')),
      async (copy) => {
        await symlink(pair, join(copy, 'new-link'));
        await rename(join(copy, 'new-link'), join(copy, 'current'));
      },
    ];
    for (let done = 0; done <= steps.length; done += 1) {
      const copy = join(root, `after-${done}`);
      await cp(join(root, 'before'), copy, { recursive: true, verbatimSymlinks: true });
      for (const step of steps.slice(0, done)) await step(copy);
      expect(await loadIdentity(copy, nowMs)).toEqual(done < steps.length ? before : after);
      const restarted = await openIdentity(copy, () => nowMs);
      expect(await restarted.install(issued.certificatePem, issued.intermediatesPem)).toEqual(after);
      expect(await loadIdentity(copy, nowMs)).toEqual(after);
    }
  });
});

describe('newer trust', () => {
  it('is taken into use and on disk: the new CA beside the old one, and the list of each', async () => {
    nowMs += 21 * dayMs;
    await ca.renewIntermediate(nowMs);
    const update = await ca.trust([], nowMs);
    const updated = await keeper.updateTrust(update);
    expect(new Set(pemBlocks(updated.intermediatesPem, 'CERTIFICATE'))).toEqual(new Set(pemBlocks(update.intermediatesPem, 'CERTIFICATE')));
    expect(updated.crlPems.toSorted()).toEqual(update.crlPems.toSorted());
    expect(updated.crlPems).toHaveLength(3);
    expect(keeper.current()).toBe(updated);
    expect(await loadIdentity(dir, nowMs)).toEqual(updated);
    expect(await readFile(join(dir, 'ca-bundle.crt'), 'utf8')).toBe(ca.rootPem + updated.intermediatesPem);
    expect(await readFile(join(dir, 'crl.pem'), 'utf8')).toBe(updated.crlPems.join(''));
  });

  it('goes on with a certificate of the new CA, which then comes first; the old CA goes when it ends, as libvirt wants', async () => {
    nowMs += 21 * dayMs;
    await ca.renewIntermediate(nowMs);
    await keeper.updateTrust(await ca.trust([], nowMs));
    const issued = await issue(await keeper.request());
    const installed = await keeper.install(issued.certificatePem, issued.intermediatesPem);
    expect(pemBlocks(installed.intermediatesPem, 'CERTIFICATE')).toHaveLength(2);
    const [newest = ''] = pemBlocks(issued.intermediatesPem, 'CERTIFICATE');
    expect(certificateFacts(newest).subjectId).toBe(issued.authorityId);
    expect(installed.intermediatesPem).toBe(issued.intermediatesPem);
    expect(await readFile(join(dir, 'host.crt'), 'utf8')).toBe(issued.certificatePem + newest);
    nowMs += 10 * dayMs;
    const reopened = (await openIdentity(dir, () => nowMs)).current();
    expect(reopened.intermediatesPem).toBe(newest);
    expect(reopened.crlPems).toHaveLength(2);
    expect(await readFile(join(dir, 'ca-bundle.crt'), 'utf8')).toBe(ca.rootPem + newest);
  });

  it('is refused with an older list, which could hide a revocation; the present one again is fine', async () => {
    const { serialNumber, authorityId } = certificateFacts(keeper.current().certificatePem);
    const old = await ca.trust([], nowMs);
    const update = await ca.trust([{ serialNumber, authorityId, revokedAtMs: nowMs }], nowMs);
    const updated = await keeper.updateTrust(update);
    await expect(keeper.updateTrust(old)).rejects.toMatchObject({ code: 'input-invalid' });
    expect(keeper.current()).toBe(updated);
    expect(await keeper.updateTrust(update)).toEqual(updated);
  });

  it('is refused with a list or a CA of another cluster, and with rubbish', async () => {
    const before = keeper.current();
    const other = await (await openClusterCa(join(root, 'other'), nowMs)).trust([], nowMs);
    const own = await ca.trust([], nowMs);
    const damaged = own.crlPems.map((pem) => pem.replace(/[A-Za-z0-9+/]{8}(=*)\n-----END/, 'AAAAAAAA$1\n-----END'));
    for (const wrong of [
      { ...own, crlPems: other.crlPems },
      { ...own, intermediatesPem: other.intermediatesPem },
      { ...own, intermediatesPem: keeper.current().certificatePem },
      { ...own, crlPems: damaged },
      { ...own, crlPems: ['-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n'] },
    ]) {
      await expect(keeper.updateTrust(wrong)).rejects.toMatchObject({ code: 'input-invalid' });
    }
    expect(await loadIdentity(dir, nowMs)).toEqual(before);
    await expect(keeper.updateTrust(own)).resolves.toBeDefined();
  });
});

it('links that are missing are made again when the identity is opened', async () => {
  await rm(join(dir, 'libvirt'), { recursive: true });
  await openIdentity(dir, () => nowMs);
  expect(await readFile(join(dir, 'libvirt', 'cacert.pem'), 'utf8')).toBe(ca.rootPem + keeper.current().intermediatesPem);
});
