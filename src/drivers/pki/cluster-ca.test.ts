import { X509Certificate, webcrypto } from 'node:crypto';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openClusterCa, type ClusterCa, type HostCertificateRequest } from './cluster-ca.ts';
import { createHostKey, createHostRequest } from './host-key.ts';
import { importKeyPair, x509 } from './x509.ts';

const nowMs = Date.now();
const dayMs = 24 * 3_600_000;

async function requestFor(changes: Partial<HostCertificateRequest> = {}): Promise<HostCertificateRequest> {
  const csrPem = await createHostRequest('host-a', createHostKey());
  return { csrPem, hostId: 'host-a', addresses: { underlay: '192.0.2.1', protected: 'fd00::1' }, lifetimeMs: dayMs, nowMs, ...changes };
}

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plimsoll-ca-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe('opening the cluster CA', () => {
  it('creates a P-384 CA for ten years in private files, and finds it again', async () => {
    const created = await openClusterCa(join(dir, 'ca'), nowMs);
    const loaded = await openClusterCa(join(dir, 'ca'), nowMs);
    const certificate = new X509Certificate(created.certificatePem);
    expect(loaded.fingerprint).toBe(created.fingerprint);
    expect(created.fingerprint).toBe(`sha256:${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`);
    expect(certificate.ca).toBe(true);
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('secp384r1');
    expect(certificate.validToDate.getTime() - nowMs).toBeGreaterThan(3_649 * dayMs);
    expect((await stat(join(dir, 'ca'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(dir, 'ca', 'ca.pem'))).mode & 0o777).toBe(0o600);
    expect(await readdir(join(dir, 'ca'))).toEqual(['ca.pem']);
  });

  it('gives processes that open it at the same time the same CA', async () => {
    const opened = await Promise.all([1, 2, 3, 4].map(() => openClusterCa(dir, nowMs)));
    expect(new Set(opened.map((ca) => ca.fingerprint)).size).toBe(1);
  });

  it('refuses a damaged file, a key that others can read, a foreign key and an expired CA', async () => {
    await openClusterCa(dir, nowMs);
    const path = join(dir, 'ca.pem');
    const good = await readFile(path, 'utf8');
    await expect(openClusterCa(dir, nowMs + 3_651 * dayMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await chmod(path, 0o640);
    await expect(openClusterCa(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await chmod(path, 0o600);
    const bad = [
      good.slice(0, 300),
      good.replace(/-----BEGIN PRIVATE[^]*/, createHostKey()),
      good.replace(/MII[A-Za-z0-9]{8}/, 'MIIAAAAAAAA'),
    ];
    for (const text of bad) {
      await writeFile(path, text);
      await expect(openClusterCa(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    }
    await writeFile(path, good);
    await expect(openClusterCa(dir, nowMs)).resolves.toBeDefined();
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
    const certificate = new X509Certificate(await ca.issueHost(await requestFor({ csrPem: greedy.toString('pem') })));
    expect(certificate.subject).toBe('CN=host-a');
    expect(certificate.subjectAltName).toBe('DNS:host-a, IP Address:192.0.2.1, IP Address:FD00:0:0:0:0:0:0:1');
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(certificate.verify(new X509Certificate(ca.certificatePem).publicKey)).toBe(true);
  });

  it('refuses a request that is not signed by its own key, which it would accept untouched', async () => {
    const good = await requestFor();
    const der = Buffer.from(new x509.Pkcs10CertificateRequest(good.csrPem).rawData);
    const index = der.indexOf('host-a');
    der.write('host-b', index);
    const forged = x509.PemConverter.encode(der, 'CERTIFICATE REQUEST');
    await expect(ca.issueHost({ ...good, csrPem: forged })).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(ca.issueHost(good)).resolves.toContain('BEGIN CERTIFICATE');
  });

  it('refuses an RSA key, rubbish and an oversized request', async () => {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
    const keys = await webcrypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
    const rsa = await x509.Pkcs10CertificateRequestGenerator.create({ name: 'CN=host-a', keys, signingAlgorithm: algorithm });
    const rubbish = '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----';
    for (const csrPem of [rsa.toString('pem'), rubbish, '', 'A'.repeat(9_000)]) {
      await expect(ca.issueHost(await requestFor({ csrPem }))).rejects.toMatchObject({ code: 'input-invalid' });
    }
  });

  it.each(['plimsoll-controller', '', 'Host-A', 'host a', 'host-a\nCN=x', '-a', '192.0.2.1', 'a'.repeat(65), '*.example.org'])(
    'refuses the host name %j',
    async (hostId) => {
      await expect(ca.issueHost(await requestFor({ hostId }))).rejects.toMatchObject({ code: 'input-invalid' });
    },
  );

  it('refuses addresses that are none and lifetimes that are not positive', async () => {
    const addresses = { underlay: '192.0.2.300', protected: '192.0.2.1' };
    await expect(ca.issueHost(await requestFor({ addresses }))).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(ca.issueHost(await requestFor({ lifetimeMs: 0 }))).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(ca.issueController({ names: ['Bad Name'], addresses: [], lifetimeMs: dayMs, nowMs })).rejects.toMatchObject({
      code: 'input-invalid',
    });
  });

  it('never issues beyond the end of the CA, and starts a little in the past', async () => {
    const certificate = new X509Certificate(await ca.issueHost(await requestFor({ lifetimeMs: 20 * 365 * dayMs })));
    expect(certificate.validToDate).toEqual(new X509Certificate(ca.certificatePem).validToDate);
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
