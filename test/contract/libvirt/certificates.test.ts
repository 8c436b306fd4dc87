/** The TLS identities of libvirtd and of QEMU: replaced while the daemon runs, and used for the data stream of a migration. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { createLibvirtHypervisor } from '#drivers/libvirt/hypervisor.ts';
import type { Hypervisor } from '#core/ports.ts';

import { FakeLibvirtd } from './fake-libvirtd.ts';
import { missingForRealLibvirtd, RealLibvirtd } from './real-libvirtd.ts';
import type { Daemon, Site } from './site.ts';
import { siteKinds } from './site-kinds.ts';
import { createTestPki } from './test-pki.ts';
import { failureOf } from '#test/support/failure.ts';

const missing = missingForRealLibvirtd();
const signal = AbortSignal.timeout(300_000);

for (const kind of siteKinds()) {
  describe.runIf(kind.missing === null)(`certificates of ${kind.name}`, () => {
    let site: Site;
    let daemon: Daemon;
    let hypervisor: Hypervisor;

    beforeAll(async () => {
      site = await kind.start();
      daemon = site.source;
    });
    afterAll(async () => site.stop());
    beforeEach(() => {
      hypervisor = daemon.hypervisor();
    });
    afterEach(async () => hypervisor.close());

    it('are shown when the daemon is told to reload, not before, and connections that are up stay', async () => {
      const before = daemon.shownIdentity();
      expect(before).not.toBe('');
      let lost = 0;
      await hypervisor.version(signal);
      hypervisor.onEvent((event) => (lost += event.kind === 'disconnected' ? 1 : 0));
      daemon.renewIdentity();
      expect(daemon.shownIdentity()).toBe(before);
      await hypervisor.reloadCertificates(signal);
      expect(daemon.shownIdentity()).not.toBe(before);
      await hypervisor.version(signal);
      expect(lost).toBe(0);
    });

    it('cannot be reloaded where there is no admin socket, or no such server: the operator is told', async () => {
      const lost = daemon.hypervisor({ admin: { socketPath: '/nowhere/admin-sock', server: 'libvirtd' } });
      expect(await failureOf(lost.reloadCertificates(signal))).toMatchObject({ code: 'hypervisor-failed' });
      await lost.close();
      const path = join(daemon.socketPath, '../libvirt-admin-sock');
      const stranger = daemon.hypervisor({ admin: { socketPath: path, server: 'nobody' } });
      expect(await failureOf(stranger.reloadCertificates(signal))).toMatchObject({ code: 'hypervisor-failed' });
      await stranger.close();
    });

    it('wait for a daemon that is away: it reads the new ones when it comes back', async () => {
      await hypervisor.version(signal);
      const before = daemon.shownIdentity();
      await daemon.crash();
      daemon.renewIdentity();
      expect(await failureOf(hypervisor.reloadCertificates(signal))).toMatchObject({ code: 'hypervisor-unavailable' });
      await daemon.revive();
      expect(daemon.shownIdentity()).not.toBe(before);
    });

    it('are not waited for longer than the caller wants', async () => {
      const given = AbortSignal.abort();
      expect(await failureOf(hypervisor.reloadCertificates(given))).toMatchObject({ code: 'aborted' });
    });
  });
}

it('a fake daemon without TLS listener has nothing to reload, and one with unreadable files keeps the old identity', async () => {
  const fake = await FakeLibvirtd.start();
  const hypervisor = createLibvirtHypervisor({ socketPath: fake.socketPath, uri: 'qemu:///system', pkiPath: '/nowhere' });
  fake.identityOnDisk = -1;
  const failure = failureOf(hypervisor.reloadCertificates(signal));
  expect(await failure).toMatchObject({ code: 'hypervisor-failed', message: expect.stringContaining('/etc/pki/libvirt/servercert.pem') });
  expect(fake.identity).toBe(1);
  fake.identity = null;
  await expect(hypervisor.reloadCertificates(signal)).resolves.toBeUndefined();
  await hypervisor.close();
  await fake.stop();
});

it.runIf(missing === null)('so does a real one', async () => {
  const pki = createTestPki(['127.0.0.11']);
  const plain = await RealLibvirtd.start();
  const secure = await RealLibvirtd.start({ tlsAddress: '127.0.0.11', pki: pki.folderOf('127.0.0.11') });
  const options = { uri: 'qemu:///system', pkiPath: '/nowhere' };
  const [ofPlain, ofSecure] = [plain, secure].map((daemon) => createLibvirtHypervisor({ ...options, socketPath: daemon.socketPath }));
  try {
    await expect(ofPlain?.reloadCertificates(signal)).resolves.toBeUndefined();
    rmSync(join(pki.folderOf('127.0.0.11'), 'servercert.pem'));
    expect(await failureOf(ofSecure?.reloadCertificates(signal) ?? Promise.resolve())).toMatchObject({ code: 'hypervisor-failed' });
    const shown = secure.run(
      'sh',
      '-c',
      'openssl s_client -connect 127.0.0.11:16514 </dev/null 2>/dev/null | openssl x509 -noout -subject',
    );
    expect(shown).toContain('127.0.0.11');
  } finally {
    await ofPlain?.close();
    await ofSecure?.close();
    await plain.stop();
    await secure.stop();
    pki.remove();
  }
});
