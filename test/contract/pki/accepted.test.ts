/** What issues is one thing, who accepts it another: the certificates before foreign implementations. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostIdentity } from '#core/ports.ts';
import { certificateFacts } from '#drivers/pki/certificate-facts.ts';
import { openClusterCa, type ClusterCa } from '#drivers/pki/cluster-ca.ts';
import { createHostKey, createHostRequest } from '#drivers/pki/host-key.ts';
import { loadIdentity, saveIdentity } from '#drivers/pki/identity-folder.ts';

const run = promisify(execFile);
const loopback = '127.0.0.1';
const hourMs = 3_600_000;

let dir: string;
let ca: ClusterCa;
let identity: HostIdentity;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plimsoll-pki-'));
  ca = await openClusterCa(join(dir, 'ca'));
  const privateKeyPem = createHostKey();
  const { certificatePem, intermediatesPem } = await ca.issueHost({
    requestPem: await createHostRequest('host-a', privateKeyPem),
    hostId: 'host-a',
    addresses: { underlay: loopback, protected: 'fd00::1' },
    lifetimeMs: hourMs,
    nowMs: Date.now(),
  });
  const { crlPems } = await ca.trust([], Date.now());
  const parts = { certificatePem, privateKeyPem, intermediatesPem, crlPems, caPem: ca.rootPem };
  await saveIdentity(join(dir, 'identity'), { hostId: 'host-a', ...parts });
  identity = await loadIdentity(join(dir, 'identity'));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

function verify(...args: readonly string[]): Promise<{ readonly stdout: string }> {
  return verifyUnder(join(dir, 'identity', 'ca.crt'), ...args);
}

/** The root is trusted, the intermediate only shown. */
function verifyUnder(rootPath: string, ...args: readonly string[]): Promise<{ readonly stdout: string }> {
  const path = join(dir, 'identity', 'host.crt');
  return run('openssl', ['verify', '-x509_strict', '-CAfile', rootPath, '-untrusted', path, ...args, path]);
}

describe('a host certificate', () => {
  it.each(['sslserver', 'sslclient'])('is accepted by openssl in strict mode for %s', async (purpose) => {
    expect((await verify('-purpose', purpose)).stdout).toContain('OK');
  });

  it('is good for its name and both of its addresses, and for no other', async () => {
    expect((await verify('-verify_hostname', 'host-a')).stdout).toContain('OK');
    expect((await verify('-verify_ip', loopback)).stdout).toContain('OK');
    expect((await verify('-verify_ip', 'fd00::1')).stdout).toContain('OK');
    await expect(verify('-verify_hostname', 'host-b')).rejects.toThrow();
    await expect(verify('-verify_ip', '127.0.0.2')).rejects.toThrow();
  });

  it('is refused by openssl under the CA of another cluster', async () => {
    const other = await openClusterCa(join(dir, 'other'));
    await writeFile(join(dir, 'other.crt'), other.rootPem);
    await expect(verifyUnder(join(dir, 'other.crt'))).rejects.toThrow();
    await expect(
      run('openssl', ['verify', '-CAfile', join(dir, 'identity', 'ca.crt'), join(dir, 'identity', 'host.crt')]),
    ).rejects.toThrow();
  });

  it('is looked up by openssl in the lists of both CAs, and refused when one names it', async () => {
    const lists = join(dir, 'identity', 'crl.pem');
    const checked = ['-crl_check_all', '-CRLfile', lists];
    expect((await verify(...checked)).stdout).toContain('OK');
    const { serialNumber, authorityId } = certificateFacts(identity.certificatePem);
    const { crlPems } = await ca.trust([{ serialNumber, authorityId, revokedAtMs: Date.now() }], Date.now());
    await writeFile(join(dir, 'revoked.pem'), crlPems.join(''));
    await expect(verify('-crl_check_all', '-CRLfile', join(dir, 'revoked.pem'))).rejects.toMatchObject({
      stderr: expect.stringContaining('certificate revoked') as unknown,
    });
    await writeFile(join(dir, 'half.pem'), crlPems[0] ?? '');
    await expect(verify('-crl_check_all', '-CRLfile', join(dir, 'half.pem'))).rejects.toMatchObject({
      stderr: expect.stringContaining('unable to get certificate CRL') as unknown,
    });
  });

  it('serves both ends of a TLS connection in node', async () => {
    const tls = { cert: identity.certificatePem + identity.intermediatesPem, key: identity.privateKeyPem, ca: identity.caPem };
    const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true });
    server.listen(0, loopback);
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const accepted = once(server, 'secureConnection');
    const client = connect({ ...tls, host: loopback, port, servername: '' });
    await Promise.all([once(client, 'secureConnect'), accepted]);
    expect(client.authorized).toBe(true);
    const ended = once(server, 'close');
    client.destroy();
    server.close();
    await ended;
  });
});
