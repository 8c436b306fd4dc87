/** What every store keeps of rules, cordons and drains. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Drain } from '#core/model/drain.ts';
import type { Rule } from '#core/model/rule.ts';
import type { Store, StoredRule } from '#core/store.ts';
import { maintenanceOf } from './samples.ts';

const when = { fromMinute: 1320, untilMinute: 360, weekdays: ['mon' as const, 'sun' as const], utcOffsetMinutes: -90 };
const rules: readonly Rule[] = [
  { kind: 'affinity', name: 'a', vms: ['web-1', 'cache-1'] },
  { kind: 'anti-affinity', name: 'b', vms: ['web-*'] },
  { kind: 'blackout', name: 'c', vms: ['*'], when },
  { kind: 'ignore', name: 'd', vms: ['00000000-0000-4000-8000-000000000001'] },
  { kind: 'pin', name: 'e', vms: ['bücher-*'], hosts: ['h1', 'h2'] },
  { kind: 'window', name: 'f', vms: ['*'], when },
];

export function placementContract(name: string, open: () => Promise<Store>): void {
  describe(`the placement part of the store contract: ${name}`, () => {
    let store: Store;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    it('keeps rules of every kind by name, replaces and removes them', async () => {
      expect(await store.rules()).toEqual([]);
      const stored = rules.map((rule, index): StoredRule => ({ rule, by: 'anna', atMs: index }));
      for (const one of stored.toReversed()) await store.saveRule(one);
      expect(await store.rules()).toEqual(stored);
      const again: StoredRule = { rule: { kind: 'ignore', name: 'a', vms: ['x'] }, by: 'bob', atMs: 9 };
      await store.saveRule(again);
      await store.removeRule('b');
      await store.removeRule('b');
      expect((await store.rules()).slice(0, 2)).toEqual([again, stored[2]]);
    });

    it('keeps cordons by host, replaces and removes them', async () => {
      const cordon = { hostId: 'h2', reason: 'new disk', by: 'anna', atMs: 5 };
      await store.saveCordon(cordon);
      await store.saveCordon({ ...cordon, hostId: 'h1' });
      await store.saveCordon({ ...cordon, reason: '' });
      expect(await store.cordons()).toEqual([
        { ...cordon, hostId: 'h1' },
        { ...cordon, reason: '' },
      ]);
      await store.removeCordon('h1');
      await store.removeCordon('h1');
      expect(await store.cordons()).toEqual([{ ...cordon, reason: '' }]);
    });

    it('keeps maintenances, and knows the one that began last', async () => {
      expect(await store.latestMaintenance()).toBeNull();
      await store.saveMaintenance(maintenanceOf('first'));
      await store.saveMaintenance(maintenanceOf('second'));
      await store.saveMaintenance({ ...maintenanceOf('first'), endedAtMs: 9, outcome: 'cancelled' });
      const again = { ...maintenanceOf('second'), until: 'ready' as const, endedAtMs: 9, outcome: 'done' as const };
      await store.saveMaintenance(again);
      expect(await store.latestMaintenance()).toEqual(again);
    });

    it('keeps the newest drain of each host', async () => {
      const drain: Drain = { hostId: 'h2', phase: 'draining', phaseSinceMs: 5, startedAtMs: 5, by: 'anna', reason: 'new disk' };
      await store.saveDrain(drain);
      await store.saveDrain({ ...drain, hostId: 'h1' });
      await store.saveDrain({ ...drain, phase: 'restored', phaseSinceMs: 9 });
      expect(await store.drains()).toEqual([
        { ...drain, hostId: 'h1' },
        { ...drain, phase: 'restored', phaseSinceMs: 9 },
      ]);
    });
  });
}
