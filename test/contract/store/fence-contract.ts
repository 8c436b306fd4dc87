/** What a store that several controllers have open must do: the newest of them writes, the others do not. */
import { describe, expect, it } from 'vitest';
import type { Store } from '#core/store.ts';
import {
  certificateOf,
  fullMigrationOf,
  grantOf,
  ledgerEntryOf,
  maintenanceOf,
  migrationOf,
  planOf,
  recoveryOf,
  sampleOf,
  tuning,
  vmSettingsOf,
} from './samples.ts';

const host = { hostId: 'a', joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null };
const audit = { atMs: 1, who: 'anna', verb: 'mode.set', subject: 'observe', detail: '' };
const receipt = { migrationId: 'm1', sequence: 1, createdAtMs: 1, envelope: '{}' };

/** Everything that changes what a store holds, by its name: what is missing here does not compile. */
const writes: Readonly<Record<WriteName, (store: Store) => Promise<unknown>>> = {
  nextVmEpoch: (store) => store.nextVmEpoch('x'),
  saveHost: (store) => store.saveHost(host),
  saveToken: (store) => store.saveToken({ tokenHash: 't', hostId: 'a', expiresAtMs: 1, usedAtMs: null }),
  useToken: (store) => store.useToken('unused', 5),
  appendSamples: (store) => store.appendSamples([sampleOf('a', 20, 1)]),
  trimHistory: (store) => store.trimHistory(1_000_000),
  saveMigration: (store) => store.saveMigration(migrationOf('m1', 1000)),
  saveVmSettings: (store) => store.saveVmSettings(vmSettingsOf('x')),
  saveRecovery: (store) => store.saveRecovery(recoveryOf('x')),
  removeRecovery: (store) => store.removeRecovery('kept'),
  saveRule: (store) => store.saveRule({ rule: { kind: 'ignore', name: 'r', vms: ['*'] }, by: 'anna', atMs: 1 }),
  removeRule: (store) => store.removeRule('kept'),
  saveCordon: (store) => store.saveCordon({ hostId: 'a', reason: '', by: 'anna', atMs: 1 }),
  removeCordon: (store) => store.removeCordon('kept'),
  saveDrain: (store) => store.saveDrain({ hostId: 'a', phase: 'draining', phaseSinceMs: 1, startedAtMs: 1, by: 'anna', reason: '' }),
  saveMaintenance: (store) => store.saveMaintenance(maintenanceOf('x')),
  appendLedger: (store) => store.appendLedger(ledgerEntryOf('m1', 1000)),
  savePlan: (store) => store.savePlan(planOf('p1')),
  savePlanCourse: (store) => store.savePlanCourse({ planId: 'p1', rejection: null, held: [] }),
  saveCertificate: (store) => store.saveCertificate(certificateOf('01')),
  saveGrant: (store) => store.saveGrant(grantOf('g1')),
  appendAudit: (store) => store.appendAudit(audit),
  saveTuning: (store) => store.saveTuning({ hostA: 'a', hostB: 'b', record: tuning }),
  saveKeptChannel: (store) => store.saveKeptChannel({ hostA: 'b', hostB: 'c' }),
  removeKeptChannel: (store) => store.removeKeptChannel({ hostA: 'a', hostB: 'b' }),
  saveReceipt: (store) => store.saveReceipt(receipt),
  saveMode: (store) => store.saveMode('automatic'),
};

type ReadName = 'hosts' | 'history' | 'migration' | 'migrations' | 'vmSettings' | 'recoveries' | 'ledgerSince' | 'plan' | 'latestPlan';
type OtherReadName = 'certificates' | 'grant' | 'grants' | 'audit' | 'tunings' | 'keptChannels' | 'receipt' | 'lastReceipt' | 'mode';
type PlacementReadName = 'rules' | 'cordons' | 'drains' | 'latestMaintenance';
type PlanReadName = 'plans' | 'planCourses' | 'rejectedSince' | 'startedMoves';
type WriteName = Exclude<keyof Store, ReadName | OtherReadName | PlacementReadName | PlanReadName | 'nextControllerEpoch' | 'close'>;

/** Runs the suite on one implementation; `share` makes a new, empty store and gives the way to open it, again and again. */
export function fenceContract(name: string, share: () => () => Promise<Store>): void {
  describe(`the fence of a store: ${name}`, () => {
    it.each(Object.entries(writes))(
      'refuses %s to a controller that was replaced, and takes it from the one that came',
      async (_name, write) => {
        const open = share();
        const [former, newest] = [await open(), await open()];
        await former.nextControllerEpoch();
        await former.saveRecovery(recoveryOf('kept'));
        await former.saveRule({ rule: { kind: 'ignore', name: 'kept', vms: ['*'] }, by: 'anna', atMs: 1 });
        await former.saveCordon({ hostId: 'kept', reason: '', by: 'anna', atMs: 1 });
        await former.saveKeptChannel({ hostA: 'a', hostB: 'b' });
        await former.saveToken({ tokenHash: 'unused', hostId: 'a', expiresAtMs: 1, usedAtMs: null });
        await former.appendSamples([sampleOf('a', 10, 1)]);
        const before = await newest.nextControllerEpoch();
        expect(before).toBe(2);
        const held = await everything(former);
        await expect(write(former)).rejects.toMatchObject({
          code: 'controller-replaced',
          message: expect.stringMatching(/end the other/) as string,
        });
        expect(await everything(newest)).toEqual(held);
        await write(newest);
        await former.close();
        await newest.close();
      },
    );

    it('lets a controller that was replaced read, and come back with a newer epoch', async () => {
      const open = share();
      const [one, other] = [await open(), await open()];
      await one.nextControllerEpoch();
      await one.saveMigration(fullMigrationOf('m1', 1000));
      await other.nextControllerEpoch();
      expect(await one.migration('m1')).toEqual(fullMigrationOf('m1', 1000));
      expect(await one.nextControllerEpoch()).toBe(3);
      await one.saveMode('observe');
      await expect(other.saveMode('automatic')).rejects.toMatchObject({ code: 'controller-replaced' });
      expect(await other.mode()).toBe('observe');
      await one.close();
      await other.close();
    });
  });
}

async function everything(store: Store): Promise<readonly unknown[]> {
  return Promise.all([
    store.hosts(),
    store.history('a', 0, 100),
    store.migrations({ limit: 100 }),
    store.vmSettings(),
    store.recoveries(),
    store.ledgerSince(0),
    store.latestPlan(),
    store.planCourses(['p1']),
    store.certificates({}),
    store.grants(100),
    store.audit(100),
    store.tunings(),
    store.keptChannels(),
    store.latestMaintenance(),
    store.lastReceipt(),
    store.mode(),
  ]);
}
