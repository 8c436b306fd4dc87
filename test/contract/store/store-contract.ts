/** What every implementation of the store must do. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Store } from '#core/store.ts';
import { migrationQueries } from './migration-queries.ts';
import {
  certificateOf,
  fullMigrationOf,
  grantOf,
  ledgerEntryOf,
  migrationOf,
  planOf,
  recoveryOf,
  sampleOf,
  tuning,
  vmSettingsOf,
} from './samples.ts';

/** Runs the suite on one implementation; `open` gives a new, empty store each time. */
export function storeContract(name: string, open: () => Promise<Store>): void {
  describe(`the store contract: ${name}`, () => {
    let store: Store;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    describe('epochs', () => {
      it('grow by one with each call, one count for the controller and one for each VM', async () => {
        expect([await store.nextControllerEpoch(), await store.nextControllerEpoch()]).toEqual([1, 2]);
        expect([await store.nextVmEpoch('x'), await store.nextVmEpoch('x'), await store.nextVmEpoch('y')]).toEqual([1, 2, 1]);
      });

      it('are never given twice to callers at the same time', async () => {
        const epochs = await Promise.all(Array.from({ length: 50 }, () => store.nextVmEpoch('x')));
        expect(new Set(epochs).size).toBe(50);
        expect(Math.max(...epochs)).toBe(50);
      });
    });

    describe('hosts and tokens', () => {
      const addresses = { underlay: '10.77.0.1', protected: '10.79.0.1', interface: 'eth0' };

      it('keeps hosts by name, in order, and replaces a host that is saved again', async () => {
        expect(await store.hosts()).toEqual([]);
        await store.saveHost({ hostId: 'b', joinedAtMs: 2, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
        await store.saveHost({ hostId: 'a', joinedAtMs: 1, addresses, lastSeenAtMs: 5, revokedAtMs: null });
        await store.saveHost({ hostId: 'b', joinedAtMs: 2, addresses, lastSeenAtMs: 9, revokedAtMs: 7 });
        expect(await store.hosts()).toEqual([
          { hostId: 'a', joinedAtMs: 1, addresses, lastSeenAtMs: 5, revokedAtMs: null },
          { hostId: 'b', joinedAtMs: 2, addresses, lastSeenAtMs: 9, revokedAtMs: 7 },
        ]);
      });

      it('lets a token be used once: the first caller sees it unused, all later ones when it was used', async () => {
        const token = { tokenHash: 'ab12', hostId: 'a', expiresAtMs: 100, usedAtMs: null };
        await store.saveToken(token);
        const answers = await Promise.all([1, 2, 3, 4].map((atMs) => store.useToken('ab12', atMs)));
        expect(answers.filter((answer) => answer?.usedAtMs === null)).toEqual([token]);
        const usedAtMs = answers.findIndex((answer) => answer?.usedAtMs === null) + 1;
        expect(await store.useToken('ab12', 99)).toEqual({ ...token, usedAtMs });
      });

      it('knows nothing of a token that was never saved', async () => {
        expect(await store.useToken('unknown', 1)).toBeNull();
      });
    });

    describe('history', () => {
      it('keeps load in percent of capacity, oldest first, and leaves out samples without a CPU reading', async () => {
        await store.appendSamples([sampleOf('a', 20, 1), sampleOf('a', 10, null), sampleOf('b', 20, 4), sampleOf('a', 30, 3)]);
        expect(await store.history('a', 0, 10)).toEqual([
          { hostId: 'a', atMs: 20, cpuPercent: 25, memoryPercent: 25 },
          { hostId: 'a', atMs: 30, cpuPercent: 75, memoryPercent: 25 },
        ]);
      });

      it('gives the newest points up to the limit, none before the time asked for, and forgets what is trimmed', async () => {
        await store.appendSamples([10, 20, 30, 40].map((atMs) => sampleOf('a', atMs, 1)));
        const times = async (sinceMs: number, limit: number) => (await store.history('a', sinceMs, limit)).map((point) => point.atMs);
        expect(await times(0, 2)).toEqual([30, 40]);
        expect(await times(20, 10)).toEqual([20, 30, 40]);
        await store.trimHistory(30);
        expect(await times(0, 10)).toEqual([30, 40]);
      });

      it('counts a repeated sample once, and takes no samples and thousands of samples', async () => {
        await store.appendSamples([]);
        await store.appendSamples([sampleOf('a', 1, 1)]);
        await store.appendSamples([sampleOf('a', 1, 2), ...Array.from({ length: 2500 }, (_, index) => sampleOf('a', index + 2, 1))]);
        expect(await store.history('a', 0, 10_000)).toHaveLength(2501);
        expect(await store.history('a', 0, 10_000)).toContainEqual({ hostId: 'a', atMs: 1, cpuPercent: 25, memoryPercent: 25 });
      });
    });

    describe('migrations', () => {
      it('gives back exactly what was saved, with every part empty or filled', async () => {
        await store.saveMigration(migrationOf('one', 10));
        await store.saveMigration(fullMigrationOf('two', 20));
        expect(await store.migration('one')).toEqual(migrationOf('one', 10));
        expect(await store.migration('two')).toEqual(fullMigrationOf('two', 20));
        expect(await store.migration('three')).toBeNull();
      });

      it('replaces a migration that is saved again', async () => {
        await store.saveMigration(migrationOf('one', 10));
        await store.saveMigration(migrationOf('one', 10, { phase: 'checked' }));
        expect((await store.migration('one'))?.phase).toBe('checked');
        expect(await store.migrations({ limit: 10 })).toHaveLength(1);
      });

      it('lists the newest first, those that are open or those that have ended, up to the limit', async () => {
        for (const [id, askedAtMs] of [
          ['old', 10],
          ['tie-1', 20],
          ['tie-2', 20],
          ['new', 30],
        ] as const) {
          await store.saveMigration(migrationOf(id, askedAtMs));
        }
        await store.saveMigration(migrationOf('tie-1', 20, { phase: 'done', endedAtMs: 25 }));
        const ids = async (filter: { open?: boolean; limit: number }) =>
          (await store.migrations(filter)).map((migration) => migration.request.migrationId);
        expect(await ids({ limit: 10 })).toEqual(['new', 'tie-2', 'tie-1', 'old']);
        expect(await ids({ limit: 2 })).toEqual(['new', 'tie-2']);
        expect(await ids({ open: true, limit: 10 })).toEqual(['new', 'tie-2', 'old']);
        expect(await ids({ open: false, limit: 10 })).toEqual(['tie-1']);
      });
    });

    migrationQueries(() => store);

    describe("VMs' settings", () => {
      it('are kept for each VM, in order, and replaced when they are saved again', async () => {
        expect(await store.vmSettings()).toEqual([]);
        await store.saveVmSettings(vmSettingsOf('y'));
        const nothing = { address: null, definitionText: null, slaClass: null, tenant: null, labels: {}, updatedAtMs: 0 };
        const bare = vmSettingsOf('x', { restartable: false, ...nothing });
        await store.saveVmSettings(bare);
        expect(await store.vmSettings()).toEqual([bare, vmSettingsOf('y')]);
        const changed = vmSettingsOf('y', { restartable: false, address: 'fd00::7', definitionText: null, updatedAtMs: 200 });
        await store.saveVmSettings(changed);
        await store.saveVmSettings(changed);
        expect(await store.vmSettings()).toEqual([bare, changed]);
      });

      it('take a definition as long as an agent can send, in any letters', async () => {
        const long = vmSettingsOf('x', { definitionText: `<name>'„ä€𝄞“"--</name>\n`.repeat(40_000) });
        await store.saveVmSettings(long);
        expect(await store.vmSettings()).toEqual([long]);
      });
    });

    describe('the recoveries of VMs', () => {
      it('are kept by VM, replaced, and removed', async () => {
        expect(await store.recoveries()).toEqual([]);
        await store.saveRecovery(recoveryOf('y'));
        const bare = recoveryOf('x', { hostId: null, bootId: null, toldHostIds: [], coveredHostIds: [], definition: null });
        await store.saveRecovery(bare);
        expect(await store.recoveries()).toEqual([bare, recoveryOf('y')]);
        const changed = recoveryOf('y', { phase: 'starting', vmEpoch: 8, attempts: 2, wanted: false, reason: 'host’s lease ist über' });
        await store.saveRecovery(changed);
        await store.saveRecovery(changed);
        expect(await store.recoveries()).toEqual([bare, changed]);
        await store.removeRecovery('x');
        await store.removeRecovery('x');
        expect(await store.recoveries()).toEqual([changed]);
      });
    });

    describe('the ledger', () => {
      it('gives entries that ended since a time, oldest first', async () => {
        const entries = [
          ledgerEntryOf('m2', 200, { outcome: 'stayed', failureCode: 'no-memory', sentBytes: null }),
          ledgerEntryOf('m1', 100),
        ];
        for (const entry of entries) await store.appendLedger(entry);
        expect(await store.ledgerSince(0)).toEqual(entries.toReversed());
        expect(await store.ledgerSince(101)).toEqual(entries.slice(0, 1));
        expect(await store.ledgerSince(200)).toEqual(entries.slice(0, 1));
      });

      it('counts an entry once that is appended again, and keeps another outcome beside the first', async () => {
        await store.appendLedger(ledgerEntryOf('m1', 100, { outcome: 'unclear' }));
        await store.appendLedger(ledgerEntryOf('m1', 100, { outcome: 'unclear' }));
        await store.appendLedger(ledgerEntryOf('m1', 150, { outcome: 'moved' }));
        expect((await store.ledgerSince(0)).map((entry) => entry.outcome)).toEqual(['unclear', 'moved']);
      });
    });

    describe('plans and receipts', () => {
      it('gives back plans by id, and the latest is the one saved last', async () => {
        expect(await store.latestPlan()).toBeNull();
        await store.savePlan(planOf('p1', { createdAtMs: 500 }));
        await store.savePlan(planOf('p2', { parentPlanId: 'p1', verdict: 'balanced', moves: [], skipped: [], createdAtMs: 400 }));
        expect(await store.plan('p1')).toEqual(planOf('p1', { createdAtMs: 500 }));
        expect((await store.latestPlan())?.planId).toBe('p2');
        expect(await store.plan('p3')).toBeNull();
      });

      it('refuses a second plan with the same id', async () => {
        await store.savePlan(planOf('p1'));
        await expect(store.savePlan(planOf('p1', { summary: 'another' }))).rejects.toMatchObject({ code: 'internal' });
        expect((await store.plan('p1'))?.summary).toBe('one move');
      });

      it('keeps one receipt per migration and sequence, and finds the last of the chain', async () => {
        const receipt = { migrationId: 'm1', sequence: 1, createdAtMs: 10, envelope: '{"payload":"e30="}' };
        const next = { ...receipt, migrationId: 'm2', sequence: 2 };
        expect(await store.lastReceipt()).toBeNull();
        await store.saveReceipt(next);
        await store.saveReceipt(receipt);
        expect(await store.receipt('m1')).toEqual(receipt);
        expect(await store.receipt('m3')).toBeNull();
        expect(await store.lastReceipt()).toEqual(next);
        await expect(store.saveReceipt({ ...receipt, sequence: 3 })).rejects.toMatchObject({ code: 'internal' });
        await expect(store.saveReceipt({ ...receipt, migrationId: 'm3', sequence: 2 })).rejects.toMatchObject({ code: 'internal' });
      });
    });

    describe('certificates', () => {
      it('are found by host and by whether they are revoked, those that end last first', async () => {
        const [old, newer] = [certificateOf('1'), certificateOf('2', { notAfterMs: 300 })];
        const other = certificateOf('3', { hostId: 'b', notAfterMs: 250, revokedAtMs: 150 });
        for (const certificate of [old, newer, other]) await store.saveCertificate(certificate);
        expect(await store.certificates({})).toEqual([newer, other, old]);
        expect(await store.certificates({ hostId: 'a' })).toEqual([newer, old]);
        expect(await store.certificates({ revoked: true })).toEqual([other]);
        expect(await store.certificates({ hostId: 'b', revoked: false })).toEqual([]);
      });

      it('are replaced by serial number within one CA, and are two under two CAs', async () => {
        await store.saveCertificate(certificateOf('1'));
        await store.saveCertificate(certificateOf('1', { revokedAtMs: 120 }));
        await store.saveCertificate(certificateOf('1', { authorityId: 'ca2' }));
        expect(await store.certificates({ revoked: true })).toEqual([certificateOf('1', { revokedAtMs: 120 })]);
        expect(await store.certificates({})).toHaveLength(2);
      });
    });

    describe('certificates that ended', () => {
      it('go when their host gets a new one a month later, and only those', async () => {
        const day = 86_400_000;
        const old = certificateOf('1', { notAfterMs: day });
        const other = certificateOf('2', { hostId: 'b', notAfterMs: day });
        const recent = certificateOf('3', { notAfterMs: 20 * day });
        const fresh = certificateOf('4', { notBeforeMs: 32 * day, notAfterMs: 33 * day });
        for (const certificate of [old, other, recent, fresh]) await store.saveCertificate(certificate);
        expect((await store.certificates({})).map(({ serialNumber }) => serialNumber)).toEqual(['4', '3', '2']);
      });
    });

    describe('grants, audit and tunings', () => {
      it('keeps grants, newest first, and replaces one that is saved again', async () => {
        await store.saveGrant(grantOf('g1'));
        await store.saveGrant(grantOf('g2', { requestedAtMs: 300 }));
        const approved = grantOf('g1', { approvedBy: 'bert', approvedAtMs: 200, withdrawnAtMs: 250 });
        await store.saveGrant(approved);
        expect(await store.grant('g1')).toEqual(approved);
        expect(await store.grant('g3')).toBeNull();
        expect((await store.grants(10)).map(({ grantId }) => grantId)).toEqual(['g2', 'g1']);
        expect(await store.grants(1)).toHaveLength(1);
      });

      it('keeps every line of the audit, the one written last first, whatever its clock said', async () => {
        const entry = { atMs: 100, who: 'anna', verb: 'host.revoke', subject: 'a', detail: "it's stolen" };
        await store.appendAudit(entry);
        await store.appendAudit(entry);
        await store.appendAudit({ ...entry, atMs: 50, verb: 'grant.approve' });
        expect((await store.audit(10)).map(({ verb }) => verb)).toEqual(['grant.approve', 'host.revoke', 'host.revoke']);
        expect((await store.audit(2))[1]).toEqual(entry);
      });

      it('keeps the newest tuning of each pair', async () => {
        await store.saveTuning({ hostA: 'b', hostB: 'c', record: tuning });
        await store.saveTuning({ hostA: 'a', hostB: 'b', record: tuning });
        await store.saveTuning({ hostA: 'a', hostB: 'b', record: { ...tuning, kept: 'before' } });
        expect(await store.tunings()).toEqual([
          { hostA: 'a', hostB: 'b', record: { ...tuning, kept: 'before' } },
          { hostA: 'b', hostB: 'c', record: tuning },
        ]);
      });
    });

    it('keeps which channels are to stay up, each pair once', async () => {
      expect(await store.keptChannels()).toEqual([]);
      for (const hostA of ['b', 'a', 'b']) await store.saveKeptChannel({ hostA, hostB: 'c' });
      expect(await store.keptChannels()).toEqual([
        { hostA: 'a', hostB: 'c' },
        { hostA: 'b', hostB: 'c' },
      ]);
      await store.removeKeptChannel({ hostA: 'b', hostB: 'c' });
      await store.removeKeptChannel({ hostA: 'c', hostB: 'a' });
      expect(await store.keptChannels()).toEqual([{ hostA: 'a', hostB: 'c' }]);
    });

    it('keeps the mode, and has none at first', async () => {
      expect(await store.mode()).toBeNull();
      await store.saveMode('approve');
      await store.saveMode('automatic');
      expect(await store.mode()).toBe('automatic');
    });
  });
}
