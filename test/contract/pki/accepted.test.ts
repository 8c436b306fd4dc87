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
  const certificatePem = await ca.issueHost({
    csrPem: await createHostRequest('host-a', privateKeyPem),
    hostId: 'host-a',
    addresses: { underlay: loopback, protected: 'fd00::1' },
    lifetimeMs: hourMs,
    nowMs: Date.now(),
  });
  await saveIdentity(join(dir, 'identity'), { hostId: 'host-a', certificatePem, privateKeyPem, caPem: ca.certificatePem });
  identity = await loadIdentity(join(dir, 'identity'));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

function verify(...args: readonly string[]): Promise<{ readonly stdout: string }> {
  return run('openssl', ['verify', '-x509_strict', '-CAfile', join(dir, 'identity', 'ca.crt'), ...args, join(dir, 'identity', 'host.crt')]);
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
    await writeFile(join(dir, 'other.crt'), other.certificatePem);
    await expect(run('openssl', ['verify', '-CAfile', join(dir, 'other.crt'), join(dir, 'identity', 'host.crt')])).rejects.toThrow();
  });

  it('serves both ends of a TLS connection in node', async () => {
    const tls = { cert: identity.certificatePem, key: identity.privateKeyPem, ca: identity.caPem };
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
