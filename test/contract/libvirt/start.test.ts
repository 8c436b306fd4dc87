/** VMs that are started anew, ended without mercy, and looked at for why they ended. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import type { LibvirtClient } from '#drivers/libvirt/client.ts';
import { undefineFlag } from '#drivers/libvirt/flags.ts';
import type { LibvirtDriver } from '#drivers/libvirt/hypervisor.ts';
import { until } from '#test/support/until.ts';

import { admin, clear } from './daemon-admin.ts';
import { guestXml, type Site } from './site.ts';
import { siteKinds } from './site-kinds.ts';

const signal = AbortSignal.timeout(300_000);

for (const kind of siteKinds()) {
  describe.runIf(kind.missing === null)(`starts on ${kind.name}`, () => {
    let site: Site;
    let hypervisor: LibvirtDriver;
    let client: LibvirtClient;
    let vmId: string;

    beforeAll(async () => {
      site = await kind.start();
    });
    afterAll(async () => site.stop());
    beforeEach(async () => {
      hypervisor = site.source.hypervisor();
      client = await admin(site.source);
      vmId = randomUUID();
    });
    afterEach(async () => {
      await hypervisor.close();
      await client.close();
      await clear(site.source, undefineFlag.managedSave);
    });

    const textOf = (name: string, memoryMib = 64) => guestXml(name, { uuid: vmId, memoryMib });

    it('defines and boots a VM that the host did not know', async () => {
      expect(await hypervisor.standing(vmId, signal)).toBe('absent');
      await hypervisor.start(vmId, textOf('fresh'), signal);
      expect(await hypervisor.findVm(vmId, signal)).toMatchObject({ name: 'fresh', state: 'running', persistent: true });
      expect(await hypervisor.standing(vmId, signal)).toBe('here');
      await expect(hypervisor.start(vmId, textOf('fresh'), signal)).rejects.toMatchObject({ code: 'vm-busy' });
    });

    it('boots from the definition that another host told, as it ran there', async () => {
      await hypervisor.start(vmId, textOf('told'), signal);
      const { text } = await hypervisor.define(vmId, signal);
      const other = site.destination.hypervisor();
      await hypervisor.destroy(vmId, signal);
      await other.start(vmId, text, signal);
      expect(await other.standing(vmId, signal)).toBe('here');
      await other.destroy(vmId, signal);
      const there = await admin(site.destination);
      await there.undefine(await there.lookupByUuid(vmId), 0);
      await there.close();
      await other.close();
    });

    it('replaces an older definition of it, and throws a memory image away that was saved of it', async () => {
      await hypervisor.start(vmId, textOf('replaced'), signal);
      await client.managedSave(await client.lookupByUuid(vmId), { deadlineMs: 60_000 });
      const image = join(site.source.saveFolder, 'replaced.save');
      expect([existsSync(image), await hypervisor.standing(vmId, signal)]).toEqual([true, 'stopped']);
      await hypervisor.start(vmId, textOf('replaced'), signal);
      expect(existsSync(image)).toBe(false);
      expect(await hypervisor.standing(vmId, signal)).toBe('here');
    });

    it('refuses a definition of another VM, and one that is none', async () => {
      const other = randomUUID();
      await expect(hypervisor.start(other, textOf('other'), signal)).rejects.toMatchObject({ code: 'input-invalid' });
      await expect(hypervisor.start(vmId, 'no definition', signal)).rejects.toThrow();
      expect(await client.listAllDomains(0)).toEqual([]);
    });

    it('leaves nothing behind of a VM that could not be started', async () => {
      const broken = textOf('broken').replace(
        '</devices>',
        `<disk type='file'><source file='/nowhere/disk'/><target dev='vda'/></disk></devices>`,
      );
      const held = textOf('held').replace(
        '</devices>',
        `<lease><lockspace>locks</lockspace><key>held</key><target path='/nowhere'/></lease></devices>`,
      );
      const isFake = kind.name.includes('fake');
      await expect(hypervisor.start(vmId, isFake ? held : broken, signal)).rejects.toMatchObject({
        code: isFake ? 'lock-held' : 'hypervisor-failed',
      });
      expect(await hypervisor.standing(vmId, signal)).toBe('absent');
    });

    it('tells a person’s stop from a death', async () => {
      await hypervisor.start(vmId, textOf('ended'), signal);
      await hypervisor.destroy(vmId, signal);
      expect(await hypervisor.standing(vmId, signal)).toBe('stopped');
      if (kind.name.includes('fake')) return;
      await hypervisor.start(vmId, textOf('ended'), signal);
      expect(await hypervisor.fence(vmId, signal)).toBe(true);
      await until('the daemon has seen it', async () => (await hypervisor.standing(vmId, signal)) === 'crashed');
    });

    it('ends a VM at once, and one that is not there without complaint', async () => {
      expect(await hypervisor.fence(vmId, signal)).toBe(false);
      await hypervisor.start(vmId, textOf('fenced'), signal);
      expect(await hypervisor.fence(vmId, signal)).toBe(true);
      await until('it is gone', async () => (await hypervisor.standing(vmId, signal)) !== 'here');
      expect(await hypervisor.fence(vmId, signal)).toBe(false);
    });

    it.runIf(!kind.name.includes('fake'))('ends a VM whose daemon is away', async () => {
      await hypervisor.start(vmId, textOf('orphan'), signal);
      await client.close();
      await site.source.crash();
      expect(await hypervisor.fence(vmId, signal)).toBe(true);
      expect(await hypervisor.fence(vmId, signal)).toBe(false);
      await site.source.revive();
      await until('the daemon is back', async () =>
        hypervisor.standing(vmId, signal).then(
          (standing) => standing === 'crashed' || standing === 'unknown',
          () => false,
        ),
      );
      client = await admin(site.source);
    });

    it('does not start by itself any more once it is kept down', async () => {
      expect(await hypervisor.keepDown(vmId, signal)).toBe(false);
      const domain = await client.defineXml(textOf('kept'), 0);
      await client.setAutostart(domain, true);
      expect(await client.autostart(domain)).toBe(true);
      expect(await hypervisor.keepDown(vmId, signal)).toBe(true);
      expect(await client.autostart(domain)).toBe(false);
      expect(await hypervisor.keepDown(vmId, signal)).toBe(false);
    });
  });
}
