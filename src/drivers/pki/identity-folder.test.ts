import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
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
  const { certificatePem, intermediatesPem, notAfterMs } = await ca.issueHost({
    requestPem: await createHostRequest(hostId, privateKeyPem),
    hostId,
    addresses: { underlay: '192.0.2.1', protected: '198.51.100.1' },
    lifetimeMs: dayMs,
    nowMs,
  });
  const { crlPems } = await ca.trust([], nowMs);
  return { hostId, certificatePem, privateKeyPem, caPem: ca.rootPem, intermediatesPem, crlPems, notAfterMs };
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
    for (const file of ['ca.crt', 'ca-bundle.crt', 'crl.pem', 'host.crt', 'host.key'])
      expect((await stat(join(dir, file))).mode & 0o777).toBe(0o600);
  });

  it('has the links that libvirt and QEMU look for', async () => {
    const { certificatePem, intermediatesPem, privateKeyPem, caPem, crlPems } = identity;
    const texts = {
      cert: certificatePem + intermediatesPem,
      key: privateKeyPem,
      bundle: caPem + intermediatesPem,
      lists: crlPems.join(''),
    };
    const files = [
      ['libvirt/cacert.pem', texts.bundle],
      ['libvirt/cacrl.pem', texts.lists],
      ['libvirt/clientcert.pem', texts.cert],
      ['libvirt/clientkey.pem', texts.key],
      ['qemu/ca-cert.pem', texts.bundle],
      ['qemu/ca-crl.pem', texts.lists],
      ['qemu/server-cert.pem', texts.cert],
      ['qemu/client-key.pem', texts.key],
    ] as const;
    for (const [name, text] of files) expect(await readFile(join(dir, name), 'utf8')).toBe(text);
    expect(await readlink(join(dir, 'host.key'))).toBe('current/host.key');
  });

  it('can be replaced by a renewed one, and saving twice changes nothing', async () => {
    const renewed = await identityOf(ca);
    await saveIdentity(dir, renewed, nowMs);
    await saveIdentity(dir, renewed, nowMs);
    expect(await loadIdentity(dir, nowMs)).toEqual(renewed);
    expect(await readdir(join(dir, 'pairs'))).toHaveLength(2);
  });

  it('takes the place of one of version 0.1, which had plain files', async () => {
    const old = join(root, 'old');
    await mkdir(old, { mode: 0o700 });
    for (const file of ['ca.crt', 'host.crt', 'host.key']) await writeFile(join(old, file), 'of 0.1', { mode: 0o600 });
    await expect(loadIdentity(old, nowMs)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('join this host') as unknown,
    });
    await saveIdentity(old, identity, nowMs);
    expect(await loadIdentity(old, nowMs)).toEqual(identity);
  });

  it('is good without lists, and leaves none of an earlier cluster', async () => {
    await saveIdentity(dir, { ...identity, crlPems: [] }, nowMs);
    expect(await loadIdentity(dir, nowMs)).toEqual({ ...identity, crlPems: [] });
    expect(await readdir(dir)).not.toContain('crl.pem');
  });

  it('is not saved with lists or CAs of another cluster', async () => {
    const other = await identityOf(await openClusterCa(join(root, 'other'), nowMs));
    for (const foreign of [{ crlPems: other.crlPems }, { intermediatesPem: identity.intermediatesPem + other.intermediatesPem }]) {
      await expect(saveIdentity(dir, { ...identity, ...foreign }, nowMs)).rejects.toMatchObject({ code: 'input-invalid' });
    }
    expect(await loadIdentity(dir, nowMs)).toEqual(identity);
  });

  it.each(['ca.crt', 'ca-bundle.crt', 'host.crt', 'host.key'])('is refused without %s, and with a damaged one', async (file) => {
    await writeFile(join(dir, file), 'rubbish');
    // The bundle holds nothing that the other files have not, so only its absence is a fault.
    if (file !== 'ca-bundle.crt') await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await rm(join(dir, file));
    await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(file) as unknown,
    });
  });

  it('is refused when expired and before it is valid', async () => {
    await expect(loadIdentity(dir, nowMs + 2 * dayMs)).rejects.toMatchObject({
      code: 'certificate-expired',
      message: expect.stringContaining('join this host to the cluster with a new token') as unknown,
    });
    await expect(loadIdentity(dir, nowMs - dayMs)).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('is refused with a key of another certificate, a CA of another cluster, or a key that others can read', async () => {
    const other = await openClusterCa(join(root, 'other'), nowMs);
    await writeFile(join(dir, 'host.key'), createHostKey());
    await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await writeFile(join(dir, 'host.key'), identity.privateKeyPem);
    await writeFile(join(dir, 'ca.crt'), other.rootPem);
    await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await writeFile(join(dir, 'ca.crt'), identity.caPem);
    await chmod(join(dir, 'host.key'), 0o644);
    await expect(loadIdentity(dir, nowMs)).rejects.toMatchObject({ code: 'config-invalid' });
    await chmod(join(dir, 'host.key'), 0o600);
    expect(await loadIdentity(dir, nowMs)).toEqual(identity);
  });

  it('is not saved when it could not be loaded', async () => {
    const broken = { ...identity, privateKeyPem: createHostKey() };
    await expect(saveIdentity(dir, broken, nowMs)).rejects.toMatchObject({ code: 'input-invalid' });
    expect(await loadIdentity(dir, nowMs)).toEqual(identity);
  });
});
