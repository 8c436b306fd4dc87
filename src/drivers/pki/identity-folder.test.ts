import { chmod, mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostIdentity } from '#core/ports.ts';
import { openClusterCa, type ClusterCa } from './cluster-ca.ts';
import { createHostKey, createHostRequest } from './host-key.ts';
import { loadIdentity, saveIdentity } from './identity-folder.ts';

const nowMs = Date.now();
const dayMs = 24 * 3_600_000;

async function identityOf(ca: ClusterCa, hostId = 'host-a'): Promise<HostIdentity> {
  const privateKeyPem = createHostKey();
  const certificatePem = await ca.issueHost({
    csrPem: await createHostRequest(hostId, privateKeyPem),
    hostId,
    addresses: { underlay: '192.0.2.1', protected: '198.51.100.1' },
    lifetimeMs: dayMs,
    nowMs,
  });
  return { hostId, certificatePem, privateKeyPem, caPem: ca.certificatePem };
}

let root: string;
let dir: string;
let ca: ClusterCa;
let identity: HostIdentity;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'plimsoll-identity-'));
  dir = join(root, 'identity');
  ca = await openClusterCa(join(root, 'ca'), nowMs);
  identity = await identityOf(ca);
  await saveIdentity(dir, identity, nowMs);
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

describe("a host's identity on disk", () => {
  it('comes back as it was saved, in files that only the owner reads', async () => {
    expect(await loadIdentity(dir, nowMs)).toEqual(identity);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    for (const file of ['ca.crt', 'host.crt', 'host.key']) expect((await stat(join(dir, file))).mode & 0o777).toBe(0o600);
  });

  it('has the links that libvirt looks for', async () => {
    expect(await readlink(join(dir, 'libvirt', 'cacert.pem'))).toBe('../ca.crt');
    expect(await readFile(join(dir, 'libvirt', 'clientcert.pem'), 'utf8')).toBe(identity.certificatePem);
    expect(await readFile(join(dir, 'libvirt', 'clientkey.pem'), 'utf8')).toBe(identity.privateKeyPem);
  });

  it('can be replaced by a renewed one, and saving twice changes nothing', async () => {
    const renewed = await identityOf(ca);
    await saveIdentity(dir, renewed, nowMs);
    await saveIdentity(dir, renewed, nowMs);
    expect(await loadIdentity(dir, nowMs)).toEqual(renewed);
  });

  it.each(['ca.crt', 'host.crt', 'host.key'])('is refused without %s, and with a damaged one', async (file) => {
    await writeFile(join(dir, file), 'rubbish');
    await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await rm(join(dir, file));
    await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(file) as unknown,
    });
  });

  it('is refused when expired and before it is valid', async () => {
    await expect(loadIdentity(dir, nowMs + 2 * dayMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await expect(loadIdentity(dir, nowMs - dayMs)).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('is refused with a key of another certificate, a CA of another cluster, or a key that others can read', async () => {
    const other = await openClusterCa(join(root, 'other'), nowMs);
    await writeFile(join(dir, 'host.key'), createHostKey());
    await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await writeFile(join(dir, 'host.key'), identity.privateKeyPem);
    await writeFile(join(dir, 'ca.crt'), other.certificatePem);
    await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await writeFile(join(dir, 'ca.crt'), identity.caPem);
    await chmod(join(dir, 'host.key'), 0o644);
    await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await chmod(join(dir, 'host.key'), 0o600);
    expect(await loadIdentity(dir, nowMs)).toEqual(identity);
  });

  it('is not saved when it could not be loaded', async () => {
    const broken = { ...identity, privateKeyPem: createHostKey() };
    await expect(saveIdentity(dir, broken, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    expect(await loadIdentity(dir, nowMs)).toEqual(identity);
  });
});
