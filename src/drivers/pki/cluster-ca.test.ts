import { X509Certificate, webcrypto } from 'node:crypto';
import { chmod, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CertificateOrder, IssuedCertificate } from '#core/ports.ts';
import { certificateFacts } from './certificate-facts.ts';
import { hostPurposes, whyNotIssued, whyNotValid } from './chain.ts';
import { openClusterCa, type ClusterCa } from './cluster-ca.ts';
import { createHostKey, createHostRequest } from './host-key.ts';
import { pemBlocks } from './pem.ts';
import { readRevocationLists } from './revocation-list.ts';
import { importKeyPair, x509 } from './x509.ts';

const nowMs = Date.now();
const dayMs = 24 * 3_600_000;

async function orderFor(changes: Partial<CertificateOrder> = {}): Promise<CertificateOrder> {
  const requestPem = await createHostRequest('host-a', createHostKey());
  return { requestPem, hostId: 'host-a', addresses: { underlay: '192.0.2.1', protected: 'fd00::1' }, lifetimeMs: dayMs, nowMs, ...changes };
}

const chainOf = (ca: ClusterCa, issued: Pick<IssuedCertificate, 'certificatePem' | 'intermediatesPem'>) => ({
  leaf: new X509Certificate(issued.certificatePem),
  intermediate: new X509Certificate(issued.intermediatesPem),
  root: new X509Certificate(ca.rootPem),
});

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plimsoll-ca-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe('opening the cluster CA', () => {
  it('creates a P-384 root for ten years in private files, and finds it again', async () => {
    const created = await openClusterCa(join(dir, 'ca'), nowMs);
    const loaded = await openClusterCa(join(dir, 'ca'), nowMs);
    const certificate = new X509Certificate(created.rootPem);
    expect(loaded.fingerprint).toBe(created.fingerprint);
    expect(created.fingerprint).toBe(`sha256:${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`);
    expect(created.state()).toMatchObject({ rootSha256: created.fingerprint.slice('sha256:'.length), rootKeyPresent: true });
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('secp384r1');
    expect(certificate.validToDate.getTime() - nowMs).toBeGreaterThan(3_649 * dayMs);
    expect(await readdir(join(dir, 'ca'))).toEqual(['intermediates', 'root.crl', 'root.crt', 'root.key']);
    for (const folder of ['.', 'intermediates']) {
      expect((await stat(join(dir, 'ca', folder))).mode & 0o777).toBe(0o700);
      for (const file of await readdir(join(dir, 'ca', folder), { withFileTypes: true })) {
        if (file.isFile()) expect((await stat(join(file.parentPath, file.name))).mode & 0o777).toBe(0o600);
      }
    }
  });

  it('gives processes that open it at the same time the same root', async () => {
    const opened = await Promise.all([1, 2, 3, 4].map(() => openClusterCa(dir, nowMs)));
    expect(new Set(opened.map((ca) => ca.fingerprint)).size).toBe(1);
    for (const ca of opened) expect(whyNotIssued(chainOf(ca, await ca.issueHost(await orderFor())), hostPurposes)).toBeNull();
  });

  it('goes on where a crash came between the key and the certificate of the root', async () => {
    await openClusterCa(dir, nowMs);
    const key = await readFile(join(dir, 'root.key'), 'utf8');
    await rm(join(dir, 'root.crt'));
    await rm(join(dir, 'root.crl'));
    await rm(join(dir, 'intermediates'), { recursive: true });
    const ca = await openClusterCa(dir, nowMs);
    expect(await readFile(join(dir, 'root.key'), 'utf8')).toBe(key);
    expect(whyNotIssued(chainOf(ca, await ca.issueHost(await orderFor())), hostPurposes)).toBeNull();
  });

  it('says what to do about the CA of version 0.1, and makes no other one beside it', async () => {
    await writeFile(join(dir, 'ca.pem'), 'what 0.1 had');
    await expect(openClusterCa(dir, nowMs)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringMatching(/ca\.pem.*0\.1.*Move it away.*join every host with a new token/) as unknown,
    });
    expect(await readdir(dir)).toEqual(['ca.pem', 'intermediates']);
    await rename(join(dir, 'ca.pem'), join(dir, 'ca.pem.old'));
    await expect(openClusterCa(dir, nowMs)).resolves.toBeDefined();
  });

  it.each(['root.crt', 'root.key', 'intermediate'])('refuses a damaged %s and a foreign key in it', async (what) => {
    await openClusterCa(dir, nowMs);
    const [name = ''] = (await readdir(join(dir, 'intermediates'))).filter((one) => one.endsWith('.pem'));
    const path = what === 'intermediate' ? join(dir, 'intermediates', name) : join(dir, what);
    const good = await readFile(path, 'utf8');
    const bad = [
      good.slice(0, 150),
      good.replace(/-----BEGIN PRIVATE[^]*/, createHostKey()),
      good.replace(/M[A-Za-z0-9]{9}/, 'MIIAAAAAAAA'),
    ];
    for (const text of bad.filter((one) => one !== good)) {
      await writeFile(path, text);
      await expect(openClusterCa(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    }
    await writeFile(path, good);
    await expect(openClusterCa(dir, nowMs)).resolves.toBeDefined();
  });

  it('refuses keys that others can read, an intermediate of another root, a lost root and a root that has ended', async () => {
    await openClusterCa(dir, nowMs);
    await expect(openClusterCa(dir, nowMs + 3_651 * dayMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await chmod(join(dir, 'root.key'), 0o640);
    await expect(openClusterCa(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await chmod(join(dir, 'root.key'), 0o600);
    await expect(openClusterCa(dir, nowMs)).resolves.toBeDefined();
    await openClusterCa(join(dir, 'other'), nowMs);
    await rename(join(dir, 'root.crt'), join(dir, 'mine.crt'));
    await expect(openClusterCa(dir, nowMs)).rejects.toMatchObject({ message: expect.stringContaining('root.crt is missing') as unknown });
    await rename(join(dir, 'other', 'root.crt'), join(dir, 'root.crt'));
    await rename(join(dir, 'other', 'root.key'), join(dir, 'root.key'));
    await expect(openClusterCa(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
  });
});

describe("the root's key", () => {
  it('can be taken away: everything but a new intermediate goes on', async () => {
    await openClusterCa(dir, nowMs);
    await rename(join(dir, 'root.key'), join(dir, 'safe'));
    const ca = await openClusterCa(dir, nowMs);
    expect(ca.state().rootKeyPresent).toBe(false);
    expect(whyNotIssued(chainOf(ca, await ca.issueHost(await orderFor())), hostPurposes)).toBeNull();
    expect((await ca.trust([], nowMs)).crlPems).toHaveLength(2);
    expect(await ca.renewIntermediate(nowMs + 29 * dayMs)).toBe(false);
  });

  it('is asked for when the intermediate has ended, at the start and while running, and is enough to go on', async () => {
    const ca = await openClusterCa(dir, nowMs);
    await rename(join(dir, 'root.key'), join(dir, 'safe'));
    const laterMs = nowMs + 31 * dayMs;
    const asked = { code: 'config-invalid', message: expect.stringContaining(join(dir, 'root.key')) as unknown };
    await expect(openClusterCa(dir, laterMs)).rejects.toMatchObject(asked);
    await expect(ca.issueHost(await orderFor({ nowMs: laterMs }))).rejects.toMatchObject(asked);
    await expect(ca.trust([], laterMs)).rejects.toMatchObject(asked);
    await rename(join(dir, 'safe'), join(dir, 'root.key'));
    expect(await ca.renewIntermediate(laterMs)).toBe(true);
    const issued = await ca.issueHost(await orderFor({ nowMs: laterMs }));
    expect(whyNotIssued(chainOf(ca, issued), hostPurposes)).toBeNull();
    expect(whyNotValid(chainOf(ca, issued), laterMs)).toBeNull();
  });

  it('of another root is refused when it is needed', async () => {
    const ca = await openClusterCa(dir, nowMs);
    await openClusterCa(join(dir, 'other'), nowMs);
    await rename(join(dir, 'other', 'root.key'), join(dir, 'root.key'));
    await expect(ca.renewIntermediate(nowMs + 25 * dayMs)).rejects.toMatchObject({ code: 'config-invalid' });
  });
});

describe('the intermediate CA', () => {
  it('is renewed at two thirds of its 30 days; until the old one ends, hosts are told of both', async () => {
    const ca = await openClusterCa(dir, nowMs);
    const before = await ca.issueHost(await orderFor());
    expect(await ca.renewIntermediate(nowMs + 19 * dayMs)).toBe(false);
    const changeMs = nowMs + 21 * dayMs;
    expect(await ca.renewIntermediate(changeMs)).toBe(true);
    expect(await ca.renewIntermediate(changeMs)).toBe(false);
    const after = await ca.issueHost(await orderFor({ nowMs: changeMs }));
    expect(after.authorityId).not.toBe(before.authorityId);
    expect(certificateFacts(after.intermediatesPem).subjectId).toBe(after.authorityId);
    const both = after.intermediatesPem;
    const [newest = ''] = pemBlocks(both, 'CERTIFICATE');
    expect(both).toBe(newest + before.intermediatesPem);
    expect((await ca.trust([], changeMs)).intermediatesPem).toBe(both);
    const reopened = await openClusterCa(dir, changeMs);
    expect((await reopened.trust([], changeMs)).intermediatesPem).toBe(both);
    expect((await reopened.trust([], nowMs + 31 * dayMs)).intermediatesPem).toBe(newest);
    expect(await readdir(join(dir, 'intermediates'))).toHaveLength(2);
    expect(reopened.state().intermediateNotAfterMs).toBe(certificateFacts(after.intermediatesPem).notAfterMs);
  });
});

describe('revocation lists', () => {
  let ca: ClusterCa;
  beforeEach(async () => {
    ca = await openClusterCa(dir, nowMs);
  });

  it('are one of the root, for as long as its intermediate lives, and one of each intermediate for seven days', async () => {
    await ca.renewIntermediate(nowMs + 21 * dayMs);
    const atMs = nowMs + 22 * dayMs;
    const { crlPems, intermediatesPem } = await ca.trust([], atMs);
    const [root, ...others] = crlPems.flatMap(readRevocationLists);
    expect(root?.authorityId).toBe(certificateFacts(ca.rootPem).subjectId);
    expect(await root?.isSignedBy(ca.rootPem)).toBe(true);
    expect(root?.nextUpdateMs).toBeGreaterThanOrEqual(ca.state().intermediateNotAfterMs);
    expect(others).toHaveLength(2);
    for (const list of others) expect(Math.round((list.nextUpdateMs - atMs) / dayMs)).toBe(7);
    expect(await others[0]?.isSignedBy(intermediatesPem)).toBe(true);
    expect(await others[1]?.isSignedBy(intermediatesPem)).toBe(false);
  });

  it('name what was revoked, each its own, once, and nothing else', async () => {
    const [one, two] = [await ca.issueHost(await orderFor()), await ca.issueHost(await orderFor())];
    await ca.renewIntermediate(nowMs + 21 * dayMs);
    const three = await ca.issueHost(await orderFor({ nowMs: nowMs + 21 * dayMs }));
    const revoked = [one, one, three].map(({ serialNumber, authorityId }) => ({ serialNumber, authorityId, revokedAtMs: nowMs }));
    const gone = { serialNumber: '01', authorityId: '00'.repeat(20), revokedAtMs: nowMs };
    const lists = (await ca.trust([...revoked, gone], nowMs + 22 * dayMs)).crlPems.flatMap(readRevocationLists);
    expect(lists.map((list) => [...list.serialNumbers])).toEqual([[], [three.serialNumber], [one.serialNumber]]);
    expect(lists.some((list) => list.serialNumbers.has(two.serialNumber))).toBe(false);
  });

  it('have numbers that grow, also across a restart, a clock that was set back and calls at once', async () => {
    const numbers: bigint[] = [];
    const take = async (from: ClusterCa, atMs: number): Promise<void> => {
      const [, list] = (await from.trust([], atMs)).crlPems.flatMap(readRevocationLists);
      numbers.push(list?.number ?? 0n);
    };
    await take(ca, nowMs + dayMs);
    await take(await openClusterCa(dir, nowMs), nowMs);
    await Promise.all([take(ca, nowMs), take(ca, nowMs)]);
    expect(numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0n))).toBe(true);
    expect(new Set(numbers).size).toBe(4);
  });
});

describe('issuing certificates', () => {
  let ca: ClusterCa;
  beforeEach(async () => {
    ca = await openClusterCa(dir, nowMs);
  });

  it('takes name and addresses from the controller and never from the request', async () => {
    const privateKeyPem = createHostKey();
    const { keys } = await importKeyPair(privateKeyPem);
    const greedy = await x509.Pkcs10CertificateRequestGenerator.create({
      name: 'CN=plimsoll-controller',
      keys,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'plimsoll-controller' }]),
      ],
    });
    const issued = await ca.issueHost(await orderFor({ requestPem: greedy.toString('pem') }));
    const certificate = new X509Certificate(issued.certificatePem);
    expect(certificate.subject).toBe('CN=host-a');
    expect(certificate.subjectAltName).toBe('DNS:host-a, IP Address:192.0.2.1, IP Address:FD00:0:0:0:0:0:0:1');
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(whyNotIssued(chainOf(ca, issued), hostPurposes)).toBeNull();
    expect(whyNotValid(chainOf(ca, issued), nowMs)).toBeNull();
  });

  it('refuses a request that is not signed by its own key, which it would accept untouched', async () => {
    const good = await orderFor();
    const der = Buffer.from(new x509.Pkcs10CertificateRequest(good.requestPem).rawData);
    const index = der.indexOf('host-a');
    der.write('host-b', index);
    const forged = x509.PemConverter.encode(der, 'CERTIFICATE REQUEST');
    await expect(ca.issueHost({ ...good, requestPem: forged })).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(ca.issueHost(good)).resolves.toMatchObject({ certificatePem: expect.stringContaining('BEGIN CERTIFICATE') as unknown });
  });

  it('refuses an RSA key, rubbish and an oversized request', async () => {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
    const keys = await webcrypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
    const rsa = await x509.Pkcs10CertificateRequestGenerator.create({ name: 'CN=host-a', keys, signingAlgorithm: algorithm });
    const rubbish = '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----';
    for (const requestPem of [rsa.toString('pem'), rubbish, '', 'A'.repeat(9_000)]) {
      await expect(ca.issueHost(await orderFor({ requestPem }))).rejects.toMatchObject({ code: 'input-invalid' });
    }
  });

  it.each(['plimsoll-controller', '', 'Host-A', 'host a', 'host-a\nCN=x', '-a', '192.0.2.1', 'a'.repeat(65), '*.example.org'])(
    'refuses the host name %j',
    async (hostId) => {
      await expect(ca.issueHost(await orderFor({ hostId }))).rejects.toMatchObject({ code: 'input-invalid' });
    },
  );

  it('refuses addresses that are none and lifetimes that are not positive', async () => {
    const addresses = { underlay: '192.0.2.300', protected: '192.0.2.1' };
    await expect(ca.issueHost(await orderFor({ addresses }))).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(ca.issueHost(await orderFor({ lifetimeMs: 0 }))).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(ca.issueController({ names: ['Bad Name'], addresses: [], lifetimeMs: dayMs, nowMs })).rejects.toMatchObject({
      code: 'input-invalid',
    });
  });

  it('never issues beyond the end of the CA, and starts a little in the past', async () => {
    const issued = await ca.issueHost(await orderFor({ lifetimeMs: 20 * 365 * dayMs }));
    const certificate = new X509Certificate(issued.certificatePem);
    expect(certificate.validToDate).toEqual(new X509Certificate(issued.intermediatesPem).validToDate);
    expect(issued.notAfterMs).toBe(certificate.validToDate.getTime());
    expect(issued.sha256).toBe(certificate.fingerprint256.replaceAll(':', '').toLowerCase());
    expect(certificate.validFromDate.getTime()).toBeLessThan(nowMs);
  });

  it('gives the controller its fixed name and a certificate that serves only as a server', async () => {
    const issued = await ca.issueController({ names: ['ctl.example.org'], addresses: ['192.0.2.9'], lifetimeMs: dayMs, nowMs });
    const certificate = new X509Certificate(issued.certificatePem);
    expect(certificate.subject).toBe('CN=plimsoll-controller');
    expect(certificate.subjectAltName).toBe('DNS:plimsoll-controller, DNS:ctl.example.org, IP Address:192.0.2.9');
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });
});
