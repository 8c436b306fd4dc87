/** The files of an identity before a real libvirtd: chain, CA bundle, revocation lists, and replacing them while it runs. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostIdentity } from '#core/ports.ts';
import { openClusterCa } from '#drivers/pki/cluster-ca.ts';
import { loadIdentity } from '#drivers/pki/identity-folder.ts';
import { openIdentity } from '#drivers/pki/identity-keeper.ts';
import { missingForRealLibvirtd, RealLibvirtd } from '#test/contract/libvirt/real-libvirtd.ts';
import { PkiCluster } from './hosts.ts';

const run = promisify(execFile);
const missing = missingForRealLibvirtd();
const address = '127.0.0.1';

describe.runIf(missing === null)('libvirtd with the identity of a host', () => {
  let cluster: PkiCluster;
  let daemon: RealLibvirtd;
  let client: HostIdentity;
  beforeAll(async () => {
    cluster = await PkiCluster.create();
    await cluster.join('server', address);
    client = await cluster.join('client', '127.0.0.2');
    daemon = await RealLibvirtd.start();
    await configure();
  });
  afterAll(async () => {
    await daemon.stop();
    await cluster.remove();
  });

  async function inside(...command: readonly string[]): Promise<string> {
    const { stdout } = await run('nsenter', ['-t', String(daemon.initPid), '-m', '-u', '-i', '-p', '-n', '--', ...command], {
      timeout: 30_000,
    });
    return stdout;
  }

  /** Its own libvirtd.conf plus TLS; the well-known places too, because those are what an update reads (libvirt 9.0). */
  async function configure(): Promise<void> {
    const files = cluster.folderOf('server');
    const links = [
      ['ca-bundle.crt', '/etc/pki/CA/cacert.pem'],
      ['crl.pem', '/etc/pki/CA/cacrl.pem'],
      ['host.crt', '/etc/pki/libvirt/servercert.pem'],
      ['host.key', '/etc/pki/libvirt/private/serverkey.pem'],
    ] as const;
    await inside('mkdir', '-p', '/etc/pki/CA', '/etc/pki/libvirt/private');
    for (const [file, place] of links) await inside('ln', '-sfn', join(files, file), place);
    const path = join(daemon.folder, 'etc/libvirtd.conf');
    const settings = ['listen_tls = 1', `listen_addr = "${address}"`, ...links.map(([, place], index) => `${names[index]} = "${place}"`)];
    const text = (await readFile(path, 'utf8')).replace('listen_tls = 0', '');
    await writeFile(path, `${text}${settings.join('\n')}\n`);
    await daemon.crashDaemon();
    await daemon.startDaemon();
  }

  const names = ['ca_file', 'crl_file', 'cert_file', 'key_file'];
  const connect = (hostId: string): Promise<string> =>
    inside('virsh', '-c', `qemu+tls://${address}/system?pkipath=${join(cluster.folderOf(hostId), 'libvirt')}`, 'uri');
  const update = (): Promise<string> => inside('virt-admin', '-c', 'libvirtd:///system', 'server-update-tls', 'libvirtd');

  it('takes a host of the cluster in, by a chain of which it trusts the bundle', async () => {
    expect(await connect('client')).toContain('qemu+tls');
  });

  it('refuses a host from the moment that it has read a list that names it, and not before; others come in as before', async () => {
    const keeper = await openIdentity(cluster.folderOf('server'));
    await keeper.updateTrust(await cluster.trust([client]));
    expect(await connect('client')).toContain('qemu+tls');
    await update();
    await expect(connect('client')).rejects.toThrow();
    await cluster.join('other', '127.0.0.3');
    expect(await connect('other')).toContain('qemu+tls');
  });

  it('is refused by a client whose list names it, which reads its files at each connection', async () => {
    await cluster.join('guest', '127.0.0.4');
    expect(await connect('guest')).toContain('qemu+tls');
    const keeper = await openIdentity(cluster.folderOf('guest'));
    await keeper.updateTrust(await cluster.trust([await loadIdentity(cluster.folderOf('server'))]));
    await expect(connect('guest')).rejects.toThrow();
  });

  it('takes a new key and certificate, of a new CA too, into use while it runs', async () => {
    const shown = () =>
      inside('sh', '-c', `openssl s_client -connect ${address}:16514 </dev/null 2>/dev/null | openssl x509 -noout -serial`);
    const before = await shown();
    const server = await openIdentity(cluster.folderOf('server'));
    await cluster.ca.renewIntermediate(Date.now());
    const issued = await cluster.issue('server', address, await server.request());
    await server.updateTrust(await cluster.trust([]));
    await server.install(issued.certificatePem, issued.intermediatesPem);
    await update();
    expect(await shown()).toContain(issued.serialNumber.toUpperCase());
    expect(await shown()).not.toBe(before);
    // This client has not heard of the new CA: it goes by the chain that the server shows, up to the root.
    expect(await connect('other')).toContain('qemu+tls');
  });

  it('starts without a list, but not with an empty one, with a CA that has ended, or without the CA of its own certificate', async () => {
    const files = cluster.folderOf('server');
    const restarts = async (): Promise<boolean> => {
      if (existsSync(join(daemon.folder, 'run/libvirtd.pid'))) await daemon.crashDaemon();
      return await daemon.startDaemon().then(
        () => true,
        () => false,
      );
    };
    const startsWith = async (file: string, text: string): Promise<boolean> => {
      const good = await readFile(join(files, file));
      await writeFile(join(files, file), text);
      const started = await restarts();
      await writeFile(join(files, file), good);
      return started;
    };
    const bundle = await readFile(join(files, 'ca-bundle.crt'), 'utf8');
    const longAgoMs = Date.now() - 40 * 24 * 3_600_000;
    const ended = await (await openClusterCa(join(cluster.dir, 'old'), longAgoMs)).trust([], longAgoMs);
    expect(await startsWith('crl.pem', '')).toBe(false);
    expect(await startsWith('ca-bundle.crt', bundle + ended.intermediatesPem)).toBe(false);
    expect(await startsWith('ca-bundle.crt', cluster.ca.rootPem)).toBe(false);
    expect(await startsWith('ca-bundle.crt', bundle)).toBe(true);
    await rm(join(files, 'crl.pem'));
    expect(await restarts()).toBe(true);
  });
});
