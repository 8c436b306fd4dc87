import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { PlimsollError } from '#core/model/result.ts';
import type { Progress } from '#core/model/migration.ts';
import type { Hypervisor, HypervisorEvent, MigrateRequest } from '#core/ports.ts';

import { admin, clear } from './daemon-admin.ts';
import { guestXml, plainOptions, type Site } from './site.ts';
import { siteKinds } from './site-kinds.ts';
import { failureOf } from '#test/support/failure.ts';
import { until } from '#test/support/until.ts';

for (const kind of siteKinds()) {
  describe.runIf(kind.missing === null)(`hypervisor port on ${kind.name}`, () => {
    let site: Site;
    let source: Hypervisor;
    let destination: Hypervisor;
    const signal = AbortSignal.timeout(300_000);

    beforeAll(async () => {
      site = await kind.start();
    });
    afterAll(async () => site.stop());
    beforeEach(() => {
      source = site.source.hypervisor();
      destination = site.destination.hypervisor();
    });
    afterEach(async () => {
      await source.close();
      await destination.close();
      await clear(site.source);
      await clear(site.destination);
    });

    async function startGuest(name: string, memoryMib = 64): Promise<string> {
      const client = await admin(site.source);
      const domain = await client.defineXml(guestXml(name, { memoryMib, vcpus: 2 }), 0);
      await client.create(domain);
      await client.close();
      return domain.uuid;
    }

    function request(vmId: string, more: Partial<MigrateRequest> = {}): MigrateRequest {
      return {
        vmId,
        peerHostId: 'destination',
        peerAddress: site.destination.address,
        streamSecurity: 'none',
        options: plainOptions,
        ...more,
      };
    }

    it('tells its version', async () => {
      expect(await source.version(signal)).toMatch(/^libvirt \d+\.\d+\.\d+, QEMU \d+\.\d+\.\d+$/u);
    });

    it('lists and finds VMs, running or not', async () => {
      const vmId = await startGuest('seen');
      const memoryBytes = 64 * 1024 * 1024;
      const view = { vmId, name: 'seen', state: 'running', vcpus: 2, memoryBytes, persistent: true, jobActive: false, postCopy: null };
      expect(await source.listVms(signal)).toEqual([view]);
      expect(await source.findVm(vmId, signal)).toEqual(view);
      expect(await destination.findVm(vmId, signal)).toBeNull();
      await source.destroy(vmId, signal);
      expect(await source.findVm(vmId, signal)).toEqual({ ...view, state: 'shut-off' });
      expect(await failureOf(source.migrate(request(vmId), () => undefined, signal))).toMatchObject({ code: 'vm-not-running' });
      expect(await failureOf(source.resume(vmId, signal))).toMatchObject({ code: 'vm-not-running' });
      await source.destroy(vmId, signal);
    });

    it('samples running VMs, with rates from the second reading on', async () => {
      const vmId = await startGuest('sampled');
      const [first] = await source.sampleVms(signal);
      expect(first).toMatchObject({ vmId, name: 'sampled', state: 'running', cpuUsedCores: null, cpuDelayCores: null });
      const [second] = await source.sampleVms(signal);
      expect(second?.cpuUsedCores).toBeGreaterThanOrEqual(0);
      expect(second?.cpuDelayCores).toBeGreaterThanOrEqual(0);
      expect(second?.memoryResidentBytes).toBeGreaterThan(1024 * 1024);
    });

    it('migrates a VM and back: one running copy, its definition moves along, progress and outcome are told', async () => {
      const vmId = await startGuest('traveller');
      const progress: Progress[] = [];
      const outcome = await source.migrate(request(vmId), (seen) => progress.push(seen), signal);
      expect(outcome.totalMs).toBeGreaterThan(0);
      expect(outcome.downtimeMs).toBeGreaterThanOrEqual(0);
      expect(outcome.memorySentBytes).toBeGreaterThan(0);
      expect(progress.length).toBeGreaterThan(0);
      expect(await source.findVm(vmId, signal)).toBeNull();
      expect(await destination.findVm(vmId, signal)).toMatchObject({ state: 'running', persistent: true, jobActive: false });
      await destination.migrate(request(vmId, { peerAddress: site.source.address }), () => undefined, signal);
      expect(await destination.findVm(vmId, signal)).toBeNull();
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running', persistent: true });
    });

    it('shows the copy that comes in, refuses a second migration, and keeps the VM here when it is aborted', async () => {
      const vmId = await startGuest('kept', 96);
      const abort = new AbortController();
      const migrating = failureOf(
        source.migrate(request(vmId, { options: { ...plainOptions, bandwidthBytesPerSecond: 1 } }), () => undefined, abort.signal),
      );
      await until('the copy is seen coming in', async () => (await destination.findVm(vmId, signal))?.state === 'incoming');
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running', jobActive: true });
      expect(await failureOf(source.migrate(request(vmId), () => undefined, signal))).toMatchObject({ code: 'vm-busy' });
      abort.abort();
      expect(await migrating).toMatchObject({ code: 'aborted' });
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running', jobActive: false, persistent: true });
      await until('the copy is gone', async () => (await destination.findVm(vmId, signal)) === null);
    });

    it('ends a migration when its job is aborted by name, and has nothing to abort afterwards', async () => {
      const vmId = await startGuest('stopped', 96);
      const migrating = failureOf(
        source.migrate(request(vmId, { options: { ...plainOptions, bandwidthBytesPerSecond: 1 } }), () => undefined, signal),
      );
      await until('the job is active', async () => (await source.findVm(vmId, signal))?.jobActive === true);
      await until('the copy is seen coming in', async () => (await destination.findVm(vmId, signal))?.state === 'incoming');
      await source.abortJob(vmId, signal);
      expect(await migrating).toMatchObject({ code: 'aborted' });
      await source.abortJob(vmId, signal);
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running' });
    });

    it('destroys a copy that comes in, and the VM goes on where it was', async () => {
      const vmId = await startGuest('unwanted', 96);
      const migrating = failureOf(
        source.migrate(request(vmId, { options: { ...plainOptions, bandwidthBytesPerSecond: 1 } }), () => undefined, signal),
      );
      await until('the copy is seen coming in', async () => (await destination.findVm(vmId, signal))?.state === 'incoming');
      await destination.destroy(vmId, signal);
      expect(await destination.findVm(vmId, signal)).toBeNull();
      expect(await migrating).toBeInstanceOf(PlimsollError);
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running', jobActive: false, persistent: true });
    });

    it('migrates a VM with its data stream in TLS of QEMU itself', async () => {
      const vmId = await startGuest('wrapped');
      await source.migrate(request(vmId, { streamSecurity: 'qemu-tls' }), () => undefined, signal);
      expect(await source.findVm(vmId, signal)).toBeNull();
      expect(await destination.findVm(vmId, signal)).toMatchObject({ state: 'running' });
    });

    it('keeps the VM here when the destination cannot be reached', async () => {
      const vmId = await startGuest('stranded');
      const nowhere = request(vmId, { peerAddress: '127.0.0.99' });
      expect(await failureOf(source.migrate(nowhere, () => undefined, signal))).toMatchObject({ code: 'hypervisor-failed' });
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running', jobActive: false });
    });

    it('knows no VM of an unknown id', async () => {
      const vmId = '00000000-0000-4000-8000-000000000000';
      expect(await source.findVm(vmId, signal)).toBeNull();
      expect(await failureOf(source.migrate(request(vmId), () => undefined, signal))).toMatchObject({ code: 'vm-unknown' });
      expect(await failureOf(source.resume(vmId, signal))).toMatchObject({ code: 'vm-unknown' });
      expect(await failureOf(source.destroy(vmId, signal))).toMatchObject({ code: 'vm-unknown' });
      expect(await failureOf(source.abortJob(vmId, signal))).toMatchObject({ code: 'vm-unknown' });
    });

    it('resumes a paused VM, and a running one too', async () => {
      const vmId = await startGuest('sleeper');
      const client = await admin(site.source);
      await client.suspend(await client.lookupByUuid(vmId));
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'paused' });
      await source.resume(vmId, signal);
      await source.resume(vmId, signal);
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running' });
      await client.close();
    });

    it('is unavailable while the daemon is away, comes back by itself, and finds its VMs running', async () => {
      const events: HypervisorEvent['kind'][] = [];
      source.onEvent((event) => events.push(event.kind));
      const vmId = await startGuest('survivor');
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running' });
      await site.source.crash();
      await until('the loss is told', () => events.includes('disconnected'));
      expect(await failureOf(source.listVms(signal))).toMatchObject({ code: 'hypervisor-unavailable' });
      const told = events.length;
      await site.source.revive();
      await until('the return is told', () => events.slice(told).includes('connected'));
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running' });
    });

    it('tells that a VM changed', async () => {
      const changed = new Set<string>();
      await source.version(signal);
      source.onEvent((event) => event.kind === 'vm-changed' && changed.add(event.vmId));
      const vmId = await startGuest('noticed');
      await until('the start is told', () => changed.has(vmId));
    });
  });
}
