import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import type { TransferOptions } from '#core/model/method.ts';
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import type { Hypervisor, JobChange, MigrateRequest } from '#core/ports.ts';

import { admin, clear } from './daemon-admin.ts';
import { guestXml, plainOptions, type Site } from './site.ts';
import { siteKinds } from './site-kinds.ts';
import { failureOf } from '#test/support/failure.ts';
import { until } from '#test/support/until.ts';

const throttle = { initialPercent: 20, incrementPercent: 10 };
/** 1 MiB/s: slow enough to be looked at. */
const slow = { bandwidthBytesPerSecond: 1 };

for (const kind of siteKinds()) {
  describe.runIf(kind.missing === null)(`transfers by ${kind.name}`, () => {
    let site: Site;
    let source: Hypervisor;
    let destination: Hypervisor;
    const signal = AbortSignal.timeout(300_000);
    let folder: string;
    let ballast: string;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'plimsoll-ballast-'));
      ballast = join(folder, 'ballast');
      // Random, because pages of zeroes cost nothing to send.
      writeFileSync(ballast, randomBytes(24 * 2 ** 20));
      site = await kind.start();
    });
    afterAll(async () => {
      await site.stop();
      rmSync(folder, { recursive: true });
    });
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

    async function startGuest(name: string, more: { readonly ballast?: string } = {}): Promise<string> {
      const client = await admin(site.source);
      const domain = await client.defineXml(guestXml(name, { memoryMib: 96, ...more }), 0);
      await client.create(domain);
      await client.close();
      return domain.uuid;
    }

    function request(vmId: string, options: Partial<TransferOptions>): MigrateRequest {
      const { address } = site.destination;
      return { vmId, peerHostId: 'destination', peerAddress: address, streamSecurity: 'none', options: { ...plainOptions, ...options } };
    }

    /** A migration under way, and the stages that it went through. */
    function begin(vmId: string, options: Partial<TransferOptions>, abort?: AbortSignal): { ended: Promise<unknown>; stages: Set<string> } {
      const stages = new Set<string>();
      const note = ({ stage }: Progress): void => void stages.add(stage);
      const ended = source.migrate(request(vmId, options), note, abort ?? signal).catch((error: unknown) => error);
      return { ended, stages };
    }

    /** Asks again while it is too early. */
    async function change(vmId: string, wanted: JobChange): Promise<void> {
      await until(`${wanted.kind} is accepted`, async () => (await failureOf(source.changeJob(vmId, wanted, signal))) === 'no failure');
    }

    async function arrived(vmId: string): Promise<void> {
      expect(await source.findVm(vmId, signal)).toBeNull();
      expect(await destination.findVm(vmId, signal)).toMatchObject({
        state: 'running',
        persistent: true,
        jobActive: false,
        postCopy: null,
      });
    }

    it.each<[string, Partial<TransferOptions>]>([
      ['stop-and-copy', { method: 'stop-and-copy' }],
      ['post-copy', { method: 'post-copy' }],
      ['hybrid that needs no post-copy', { method: 'hybrid' }],
      ['auto-converge', { autoConverge: throttle }],
      ['several streams', { streams: 3 }],
      ['xbzrle', { compression: 'xbzrle' }],
      ['mt compression', { compression: 'mt' }],
      ['post-copy with mt compression', { method: 'post-copy', compression: 'mt' }],
      [
        'everything that goes together',
        { method: 'hybrid', autoConverge: throttle, compression: 'xbzrle', bandwidthBytesPerSecond: 2 ** 26 },
      ],
    ])('moves a VM by %s', async (_name, options) => {
      const vmId = await startGuest('mover');
      expect(await source.methodFault({ ...plainOptions, ...options }, signal)).toBeNull();
      const outcome: JobOutcome = await source.migrate(request(vmId, options), () => undefined, signal);
      expect(outcome.totalMs).toBeGreaterThan(0);
      await arrived(vmId);
    });

    it('refuses before the start what cannot be', async () => {
      const vmId = await startGuest('refused');
      for (const options of [
        { streams: 2, compression: 'mt' },
        { method: 'post-copy', streams: 2 },
      ] as const) {
        expect(await source.methodFault({ ...plainOptions, ...options }, signal)).toMatchObject({ code: 'method-unsupported' });
        expect(await begin(vmId, options).ended).toMatchObject({ code: 'method-unsupported' });
      }
      expect(await begin(vmId, { method: 'save-restore' }).ended).toMatchObject({ code: 'method-unsupported' });
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running', jobActive: false });
    });

    it('changes nothing when nothing is at work', async () => {
      const vmId = await startGuest('idle');
      const changes: readonly JobChange[] = [
        { kind: 'downtime', downtimeMsMax: 100 },
        { kind: 'bandwidth', bandwidthBytesPerSecond: 0 },
        { kind: 'post-copy' },
        { kind: 'stop' },
      ];
      for (const wanted of changes) expect(await failureOf(source.changeJob(vmId, wanted, signal))).toMatchObject({ code: 'vm-busy' });
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running' });
    });

    it('takes a new downtime and a new bandwidth while it works, and does not keep the old cap for the next one', async () => {
      const vmId = await startGuest('hurried');
      const { ended } = begin(vmId, slow);
      await change(vmId, { kind: 'downtime', downtimeMsMax: 2_000 });
      await change(vmId, { kind: 'bandwidth', bandwidthBytesPerSecond: 0 });
      expect(await ended).toMatchObject({ totalMs: expect.any(Number) });
      await arrived(vmId);
    });

    it('stops a VM for its last round, and it runs on where it arrives', async () => {
      const vmId = await startGuest('stopped');
      const { ended, stages } = begin(vmId, slow);
      await change(vmId, { kind: 'stop' });
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'paused', postCopy: null });
      await until('the stage is told', () => stages.has('stopped'));
      expect(await ended).toMatchObject({ totalMs: expect.any(Number) });
      await arrived(vmId);
    });

    it('brings a stopped VM back to life here when the transfer is aborted', async () => {
      const vmId = await startGuest('revived');
      const abort = new AbortController();
      const { ended } = begin(vmId, slow, abort.signal);
      await change(vmId, { kind: 'stop' });
      abort.abort();
      expect(await ended).toMatchObject({ code: 'aborted' });
      expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'running', jobActive: false });
    });

    it('goes over to post-copy when told to, and an abort then changes nothing', async () => {
      const vmId = await startGuest('across');
      const abort = new AbortController();
      const { ended, stages } = begin(vmId, { method: 'hybrid', ...slow }, abort.signal);
      await change(vmId, { kind: 'post-copy' });
      await until('both hosts are in post-copy', async () => {
        const [here, there] = [await source.findVm(vmId, signal), await destination.findVm(vmId, signal)];
        return here?.postCopy === 'active' && there?.postCopy === 'active' && there.state === 'running';
      });
      expect(await failureOf(source.abortJob(vmId, signal))).toMatchObject({ code: 'vm-busy' });
      expect(await failureOf(source.resume(vmId, signal))).toMatchObject({ code: 'vm-busy' });
      abort.abort();
      expect(await ended).toMatchObject({ totalMs: expect.any(Number) });
      expect([...stages]).toContain('post-copy');
      await arrived(vmId);
    });

    it('refuses post-copy for a transfer that was not begun for it', async () => {
      const vmId = await startGuest('plain');
      const { ended } = begin(vmId, slow);
      await change(vmId, { kind: 'downtime', downtimeMsMax: 300 });
      expect(await failureOf(source.changeJob(vmId, { kind: 'post-copy' }, signal))).toMatchObject({ code: 'vm-busy' });
      await change(vmId, { kind: 'bandwidth', bandwidthBytesPerSecond: 0 });
      await ended;
      await arrived(vmId);
    });

    it('recovers a post-copy that lost its connection, and has nothing to recover otherwise', async () => {
      const vmId = await startGuest('torn', { ballast });
      const options = { method: 'hybrid', ...slow } as const;
      const again = async (): Promise<unknown> => source.recoverPostCopy(request(vmId, options), () => undefined, signal);
      expect(await failureOf(again())).toMatchObject({ code: 'vm-busy' });
      const { ended } = begin(vmId, options);
      await change(vmId, { kind: 'post-copy' });
      await until('it is in post-copy', async () => (await source.findVm(vmId, signal))?.postCopy === 'active');
      site.loseLink();
      try {
        expect(await ended).toMatchObject({ code: 'post-copy-broken' });
        expect(await source.findVm(vmId, signal)).toMatchObject({ state: 'paused', postCopy: 'failed' });
        // The destination knows it as soon as its half next asks for a page; until then it says `active`.
        expect((await destination.findVm(vmId, signal))?.postCopy).toMatch(/^(?:active|failed)$/u);
      } finally {
        site.joinLink();
      }
      const recovering = failureOf(again());
      await until('it goes on', async () => (await source.findVm(vmId, signal))?.postCopy === 'active', { timeoutMs: 40_000 });
      await change(vmId, { kind: 'bandwidth', bandwidthBytesPerSecond: 0 });
      expect(await recovering).toBe('no failure');
      await arrived(vmId);
    });
  });
}
