/** The two ends of a sealed image on real files, with age, against libvirtd: whatever breaks, the VM runs in one place and is told. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { undefineFlag } from '#drivers/libvirt/flags.ts';
import type { LibvirtDriver } from '#drivers/libvirt/hypervisor.ts';
import { checkRecipient } from '#drivers/transports/age.ts';
import { LocalImageDestination } from '#drivers/transports/image-destination.ts';
import { LocalImageSource } from '#drivers/transports/image-source.ts';
import { sealedImageTransport, type ImageDestination } from '#drivers/transports/sealed-image.ts';
import { failureOf } from '#test/support/failure.ts';

import { admin, clear } from './daemon-admin.ts';
import { guestXml, plainOptions, type Site } from './site.ts';
import { siteKinds } from './site-kinds.ts';

const missing = existsSync('/usr/bin/age') ? null : "Debian's package age";
const signal = AbortSignal.timeout(300_000);
const nothing = (): void => undefined;

for (const kind of siteKinds(missing)) {
  describe.runIf(kind.missing === null)(`a sealed image between two of ${kind.name}`, () => {
    let site: Site;
    let from: LibvirtDriver;
    let to: LibvirtDriver;
    let folder: string;
    let source: LocalImageSource;
    let destination: LocalImageDestination;

    beforeAll(async () => {
      site = await kind.start();
    });
    afterAll(async () => site.stop());
    beforeEach(async () => {
      from = site.source.hypervisor();
      to = site.destination.hypervisor();
      folder = mkdtempSync(join(tmpdir(), 'plimsoll-images-'));
      source = newSource();
      const limits = { bytesMax: 2 ** 30, arrivalMsMax: 20_000, silenceMsMax: 5_000 };
      const addresses = { address: '127.0.0.1', channelAddresses: ['127.0.0.2'] };
      destination = new LocalImageDestination({ hypervisor: to, folder: join(folder, 'in'), ...addresses, port: 0, ...limits });
      await destination.sweep();
    });
    afterEach(async () => {
      await from.close();
      await to.close();
      for (const daemon of [site.source, site.destination]) await clear(daemon, undefineFlag.managedSave);
      rmSync(folder, { recursive: true });
    });

    function newSource(): LocalImageSource {
      return new LocalImageSource({ hypervisor: from, stateFolder: join(folder, 'state'), silenceMsMax: 5_000 });
    }

    async function startGuest(name: string): Promise<string> {
      const client = await admin(site.source);
      const domain = await client.defineXml(guestXml(name), 0);
      await client.create(domain);
      await client.close();
      return domain.uuid;
    }

    async function move(vmId: string, end: ImageDestination = destination): Promise<unknown> {
      const request = {
        vmId,
        peerHostId: 'there',
        peerUnderlay: '127.0.0.1',
        options: { ...plainOptions, method: 'save-restore' as const },
      };
      return failureOf(sealedImageTransport(source, () => end).migrate(request, nothing, signal));
    }

    const here = async (vmId: string) => (await from.findVm(vmId, signal))?.state ?? null;
    const there = async (vmId: string) => (await to.findVm(vmId, signal))?.state ?? null;
    const litter = (): readonly string[] => [...readdirSync(join(folder, 'in')), ...readdirSync(join(folder, 'state'))];

    it('moves a VM, defined as before, and leaves no file behind', async () => {
      const vmId = await startGuest('moved');
      expect(await move(vmId)).toBe('no failure');
      expect(await here(vmId)).toBeNull();
      expect(await to.findVm(vmId, signal)).toMatchObject({ state: 'running', persistent: true });
      expect(litter()).toEqual([]);
      expect(existsSync(from.images.keptPath(vmId))).toBe(false);
    });

    it('crosses sealed: what arrives shows nothing of the image, and only as it was sent is it opened', async () => {
      const vmId = await startGuest('sealed');
      let arrived: Buffer = Buffer.alloc(0);
      const meddled: ImageDestination = {
        offer: async (...args) => destination.offer(...args),
        open: async (id, sent) => {
          try {
            await destination.open(id, { ...sent, sha256: '00'.repeat(32) });
          } finally {
            // All of it has arrived only now.
            arrived = readFileSync(join(folder, 'in', `${id}.age`));
          }
        },
        restore: async (...args) => destination.restore(...args),
        discard: async (id) => destination.discard(id),
      };
      expect(await move(vmId, meddled)).toMatchObject({ code: 'channel-failed' });
      expect(arrived.includes('age-encryption.org/v1')).toBe(true);
      expect(arrived.includes('sealed')).toBe(false);
      expect([await here(vmId), await there(vmId), litter()]).toEqual(['running', null, []]);
    });

    it('comes back when the destination cannot start it', async () => {
      const vmId = await startGuest('twin');
      const client = await admin(site.destination);
      await client.defineXml(guestXml('twin', { uuid: '00000000-0000-4000-8000-00000000000a' }), 0);
      await client.close();
      expect(await move(vmId)).toMatchObject({ code: 'hypervisor-failed' });
      expect(await from.findVm(vmId, signal)).toMatchObject({ state: 'running', persistent: true });
      expect([await there(vmId), litter()]).toEqual([null, []]);
    });

    it('is not begun when the destination already has the VM', async () => {
      const vmId = await startGuest('there');
      const client = await admin(site.destination);
      await client.defineXml(guestXml('there', { uuid: vmId }), 0);
      await client.close();
      expect(await move(vmId)).toMatchObject({ code: 'destination-has-vm' });
      expect(await here(vmId)).toBe('running');
    });

    it('whose source dies after the save is started there again by the next one', async () => {
      const vmId = await startGuest('saved');
      await source.save(vmId, nothing, signal);
      expect(await here(vmId)).toBe('shut-off');
      expect(await newSource().recover(signal)).toEqual([]);
      expect([await here(vmId), litter()]).toEqual(['running', []]);
      expect(await newSource().recover(signal)).toEqual([]);
    });

    it('whose source dies after giving it away is started by nobody, until somebody who knows says so', async () => {
      const vmId = await startGuest('given');
      await source.save(vmId, nothing, signal);
      await source.giveAway(vmId, signal);
      const next = newSource();
      expect(await next.recover(signal)).toEqual([vmId]);
      expect(await here(vmId)).toBeNull();
      await next.takeBack(vmId, signal);
      expect(await from.findVm(vmId, signal)).toMatchObject({ state: 'running', persistent: true });
      expect(litter()).toEqual([]);
    });

    it('of which the destination is asked again tells how it ended', async () => {
      const vmId = await startGuest('asked');
      expect(await destination.restore(vmId, signal)).toMatchObject({ kind: 'refused' });
      expect(await move(vmId)).toBe('no failure');
      expect(await destination.restore(vmId, signal)).toEqual({ kind: 'running' });
    });

    it('of a VM that does not run is not made, and the VM is not started', async () => {
      const vmId = await startGuest('off');
      await from.destroy(vmId, signal);
      expect(await move(vmId)).toMatchObject({ code: 'vm-not-running' });
      expect([await here(vmId), litter()]).toEqual(['shut-off', []]);
    });
  });
}

it('a key that is none never reaches a command line', () => {
  expect(() => checkRecipient('--output=/etc/passwd')).toThrow('not one of age');
});
