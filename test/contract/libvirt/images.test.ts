/** VMs as images: saved, started again, given away, restored; at each step exactly one place can start the VM. */
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import type { LibvirtClient } from '#drivers/libvirt/client.ts';
import { undefineFlag } from '#drivers/libvirt/flags.ts';
import type { LibvirtDriver } from '#drivers/libvirt/hypervisor.ts';
import { failureOf } from '#test/support/failure.ts';

import { admin, clear } from './daemon-admin.ts';
import { guestXml, type Site } from './site.ts';
import { siteKinds } from './site-kinds.ts';

const signal = AbortSignal.timeout(300_000);
const nothing = (): void => undefined;

for (const kind of siteKinds()) {
  describe.runIf(kind.missing === null)(`images of ${kind.name}`, () => {
    let site: Site;
    let source: LibvirtDriver;
    let destination: LibvirtDriver;
    let client: LibvirtClient;

    beforeAll(async () => {
      site = await kind.start();
    });
    afterAll(async () => site.stop());
    beforeEach(async () => {
      source = site.source.hypervisor();
      destination = site.destination.hypervisor();
      client = await admin(site.source);
    });
    afterEach(async () => {
      await source.close();
      await destination.close();
      await client.close();
      for (const daemon of [site.source, site.destination]) await clear(daemon, undefineFlag.managedSave);
    });

    async function startGuest(name: string): Promise<string> {
      const domain = await client.defineXml(guestXml(name), 0);
      await client.create(domain);
      return domain.uuid;
    }

    it('hold a VM that is stopped, and give it back once', async () => {
      const vmId = await startGuest('sleeper');
      expect(await source.images.save(vmId, nothing, signal)).toMatchObject({ vmName: 'sleeper' });
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'shut-off' });
      expect(await source.images.isSaved(vmId, signal)).toBe(true);
      await source.images.startSaved(vmId, signal);
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running' });
      expect(await source.images.isSaved(vmId, signal)).toBe(false);
      expect(await failureOf(source.images.startSaved(vmId, signal))).toMatchObject({ code: 'vm-busy' });
      await source.destroy(vmId, signal);
      // Without its image a start would be a boot.
      expect(await failureOf(source.images.startSaved(vmId, signal))).toMatchObject({ code: 'vm-not-running' });
    });

    it('are given away: the source forgets the VM, the other host starts and defines it', async () => {
      const vmId = await startGuest('given');
      await source.images.save(vmId, nothing, signal);
      const kept = await source.images.keepImage(vmId, signal);
      await source.images.release(vmId, signal);
      expect(await source.findVm(vmId, signal)).toBeNull();
      expect(existsSync(kept.path)).toBe(true);
      await destination.images.restore(vmId, kept.path, null, signal);
      expect(await destination.findVm(vmId, signal)).toMatchObject({ state: 'running', persistent: true, name: 'given' });
      expect(await failureOf(destination.images.restore(vmId, kept.path, null, signal))).toMatchObject({ code: 'hypervisor-failed' });
    });

    it('come back to the source that had given them away', async () => {
      const vmId = await startGuest('returned');
      await source.images.save(vmId, nothing, signal);
      const kept = await source.images.keepImage(vmId, signal);
      await source.images.release(vmId, signal);
      await source.images.restore(vmId, kept.path, kept.definitionXml, signal);
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running', persistent: true });
    });

    it('are not given away when somebody started the VM in the meantime', async () => {
      const vmId = await startGuest('woken');
      await source.images.save(vmId, nothing, signal);
      await source.images.keepImage(vmId, signal);
      await client.create(await client.lookupByUuid(vmId));
      expect(await failureOf(source.images.release(vmId, signal))).toMatchObject({ code: 'vm-busy' });
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running', persistent: true });
    });

    it('are refused for a VM without definition, that does not run, or that nobody knows; restoring nothing fails', async () => {
      const passing = await client.createXml(guestXml('passing'), 0);
      expect(await failureOf(source.images.save(passing.uuid, nothing, signal))).toMatchObject({ code: 'hypervisor-failed' });
      expect(await source.findVm(passing.uuid, signal)).toMatchObject({ state: 'running' });
      const vmId = await startGuest('stopped');
      await source.destroy(vmId, signal);
      expect(await failureOf(source.images.save(vmId, nothing, signal))).toMatchObject({ code: 'vm-not-running' });
      const nobody = '00000000-0000-4000-8000-000000000000';
      expect(await failureOf(source.images.save(nobody, nothing, signal))).toMatchObject({ code: 'vm-unknown' });
      expect(await failureOf(source.images.restore(nobody, '/nowhere/image', null, signal))).toMatchObject({ code: 'hypervisor-failed' });
    });
  });
}
