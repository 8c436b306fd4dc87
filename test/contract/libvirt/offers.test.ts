import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import type { Hypervisor } from '#core/ports.ts';
import { LibvirtClient, openUnixSocket } from '#drivers/libvirt/client.ts';
import { listFlag } from '#drivers/libvirt/flags.ts';
import type { Surroundings } from '#drivers/libvirt/surroundings.ts';

import { missingForRealLibvirtd } from './real-libvirtd.ts';
import { guestXml, startFakeSite, startRealSite, type Site, type SiteKind } from './site.ts';

const missing = missingForRealLibvirtd();
const kinds: readonly SiteKind[] = [
  { name: 'a fake libvirtd', missing: null, start: startFakeSite },
  { name: missing === null ? 'a real libvirtd' : `a real libvirtd: not run, needs ${missing}`, missing, start: startRealSite },
];

/** A host where only what is named here exists. */
const present = new Set(['/usr/bin/qemu-system-x86_64', '/vm/there.img', '/locks/space/key']);
const surroundings: Surroundings = {
  bridges: async () => ['br0'],
  hasInterface: async (name) => name === 'eth9',
  pathFault: async (path) => (present.has(path) ? null : 'it is not there'),
  portFault: async (host, port) => (host === 'storage' && port === 3260 ? null : 'nobody listens there'),
};

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no failure',
    (error: unknown) => error,
  );
}

for (const kind of kinds) {
  describe.runIf(kind.missing === null)(`definitions, offers and measurements by ${kind.name}`, () => {
    let site: Site;
    let client: LibvirtClient;
    let source: Hypervisor;
    let destination: Hypervisor;
    const signal = AbortSignal.timeout(300_000);

    beforeAll(async () => {
      site = await kind.start();
    });
    afterAll(async () => site.stop());
    beforeEach(async () => {
      client = await LibvirtClient.open(await openUnixSocket(site.source.socketPath, signal), { uri: 'qemu:///system' });
      source = site.source.hypervisor();
      destination = site.destination.hypervisor({ surroundings });
    });
    afterEach(async () => {
      for (const domain of await client.listAllDomains(listFlag.active)) await client.destroy(domain, 0);
      for (const domain of await client.listAllDomains(0)) await client.undefine(domain, 0);
      await client.close();
      await source.close();
      await destination.close();
    });

    async function startGuest(name: string): Promise<string> {
      const domain = await client.defineXml(guestXml(name, { memoryMib: 160 }), 0);
      await client.create(domain);
      return domain.uuid;
    }

    it('read the definition of a VM, and offer it what the other host has', async () => {
      const vmId = await startGuest('described');
      const { definition, text } = await source.define(vmId, signal);
      expect(definition).toMatchObject({ vmId, name: 'described', type: 'qemu', persistent: true, memoryBytes: 160 * 2 ** 20 });
      const offer = await destination.offerFor(definition, text, signal);
      expect(offer.libvirtVersion).toBeGreaterThanOrEqual(9_000_000);
      expect(offer.qemuVersion).toBeGreaterThanOrEqual(5_000_000);
      expect(offer.machines).toContain(definition.machine);
      expect(offer).toMatchObject({ emulatorPresent: true, leasesMissing: [], filesMissing: [] });
      expect(offer.networks).toContain('br0');
      expect(await failureOf(source.define('00000000-0000-4000-8000-000000000000', signal))).toMatchObject({ code: 'vm-unknown' });
    });

    it('say which machine types there are when the asked one is not, and what is missing', async () => {
      const { definition, text } = await source.define(await startGuest('odd'), signal);
      const odd = {
        ...definition,
        machine: 'pc-q35-99.9',
        interfaces: [
          { kind: 'direct', source: 'eth9', mac: '52:54:00:00:00:01' },
          { kind: 'direct', source: 'eth8', mac: '52:54:00:00:00:02' },
        ],
        leases: [
          { path: '/locks', lockspace: 'space', key: 'key' },
          { path: '/locks', lockspace: 'space', key: 'other' },
        ],
        files: ['/vm/kernel'],
      };
      const offer = await destination.offerFor(odd, text, signal);
      expect(offer.machines).toContain('pc');
      expect(offer.machines).not.toContain('pc-q35-99.9');
      expect(offer.leasesMissing).toEqual(['/locks/space/other']);
      expect(offer.filesMissing).toEqual(['/vm/kernel']);
      expect(offer.networks).toContain('eth9');
      expect(offer.networks).not.toContain('eth8');
      const absent = await destination.offerFor({ ...definition, emulator: '/nowhere/qemu' }, text, signal);
      expect(absent).toMatchObject({ emulatorPresent: false, machines: [], cpu: 'unknown' });
    });

    it('compare processors', async () => {
      const { definition, text } = await source.define(await startGuest('thinker'), signal);
      const withCpu = (cpu: string): string => text.replace(/<cpu[ >][\s\S]*?<\/cpu>/u, '').replace('</domain>', `${cpu}</domain>`);
      const cpuFor = async (cpu: string) => destination.offerFor(definition, withCpu(cpu), signal);
      expect((await cpuFor("<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu>")).cpu).toMatch(
        /^(?:identical|superset)$/u,
      );
      const large = await cpuFor("<cpu mode='custom' match='exact'><model fallback='forbid'>Skylake-Server</model></cpu>");
      expect(large.cpu).toBe('incompatible');
      expect(large.cpuDetail).toMatch(/./u);
      expect(await cpuFor("<cpu mode='host-passthrough'/>")).toMatchObject({ cpu: 'unknown' });
      expect(await cpuFor('')).toMatchObject({ cpu: 'unknown' });
    });

    it('look for disks where they are', async () => {
      const { definition, text } = await source.define(await startGuest('stored'), signal);
      const disk = { readOnly: false, shareable: false, cache: null };
      const network = (target: string, hosts: string) =>
        `<disk type='network'><source protocol='iscsi' name='x'>${hosts}</source><target dev='${target}'/></disk>`;
      const disks =
        network('vdc', "<host name='storage'/>") +
        network('vdd', "<host name='elsewhere' port='1'/>") +
        network('vde', "<host name='elsewhere' port='1'/><host name='storage' port='3260'/>") +
        network('vdf', '');
      const more = {
        ...definition,
        disks: [
          { ...disk, target: 'vda', kind: 'file', source: '/vm/there.img' },
          { ...disk, target: 'vdb', kind: 'block', source: '/vm/not-there' },
          ...['vdc', 'vdd', 'vde', 'vdf'].map((target) => ({ ...disk, target, kind: 'network', source: 'iscsi:x' })),
          { ...disk, target: 'vdg', kind: 'volume', source: 'pool/volume' },
          { ...disk, target: 'sda', kind: 'file', source: null },
        ],
      };
      const offer = await destination.offerFor(more, text.replace('</devices>', `${disks}</devices>`), signal);
      expect(offer.disks.map(({ target, reachable }) => [target, reachable])).toEqual([
        ['vda', true],
        ['vdb', false],
        ['vdc', true],
        ['vdd', false],
        ['vde', true],
        ['vdf', null],
        ['vdg', null],
        ['sda', true],
      ]);
      expect(offer.disks[1]?.why).toBe('/vm/not-there: it is not there');
    });

    it('look which memory a VM writes, one look after the other, and leave it running', async () => {
      const vmId = await startGuest('written');
      for (const forMs of [2_000, 1_000]) {
        const look = await source.lookAtMemory(vmId, forMs, signal);
        expect(look.forMs).toBe(forMs);
        expect(look.bytes).toBeGreaterThanOrEqual(0);
      }
      const { usedBytes, boundBytes, grainBytes } = await source.memoryInUse(vmId, signal);
      expect(boundBytes).toBeLessThanOrEqual(160 * 2 ** 20);
      expect(usedBytes ?? 0).toBeLessThanOrEqual(boundBytes ?? 0);
      expect(grainBytes).toBe(2 * 2 ** 20);
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running' });
      await source.destroy(vmId, signal);
      expect(await failureOf(source.lookAtMemory(vmId, 1_000, signal))).toMatchObject({ code: 'vm-not-running' });
      expect(await failureOf(source.memoryInUse(vmId, signal))).toMatchObject({ code: 'vm-not-running' });
    });

    it('tell what a VM costs beyond its virtual CPUs, and nothing of one that is not here', async () => {
      const vmId = await startGuest('costly');
      const before = (await source.overheadCpuSeconds(vmId, signal)) ?? Number.NaN;
      expect(before).toBeGreaterThanOrEqual(0);
      expect(await source.overheadCpuSeconds(vmId, signal)).toBeGreaterThanOrEqual(before);
      expect(await destination.overheadCpuSeconds(vmId, signal)).toBeNull();
      await source.destroy(vmId, signal);
      expect(await source.overheadCpuSeconds(vmId, signal)).toBeNull();
    });
  });
}
