/** What every implementation of the store must do with plans and what became of them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PlanCourse } from '#core/model/plan-course.ts';
import type { Store } from '#core/store.ts';
import { migrationOf, planOf } from './samples.ts';

const rejected: PlanCourse = {
  planId: 'p1',
  rejection: { by: 'anna', reason: 'not by day', atMs: 500, moves: [{ vmId: 'x', vmName: 'web', toHostId: 'b' }] },
  held: [{ vmId: 'y', code: 'cordoned', reason: 'b is cordoned: it takes no new VMs', atMs: 400 }],
};

/** Runs the suite on one implementation; `open` gives a new, empty store each time. */
export function planContract(name: string, open: () => Promise<Store>): void {
  describe(`the store contract for plans: ${name}`, () => {
    let store: Store;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    it('lists plans in the order of their saving, the newest first, up to the limit, with their account or without one', async () => {
      const account = {
        terms: [{ name: 'spread of CPU', weight: 1, values: [3.5, 1.25] }],
        aims: [{ cpu: true, memory: false, rule: false }],
      };
      expect(await store.plans(10)).toEqual([]);
      await store.savePlan(planOf('p1', { createdAtMs: 500, account }));
      await store.savePlan(planOf('p2', { createdAtMs: 400 }));
      expect(await store.plans(10)).toEqual([planOf('p2', { createdAtMs: 400 }), planOf('p1', { createdAtMs: 500, account })]);
      expect((await store.plans(1)).map(({ planId }) => planId)).toEqual(['p2']);
    });

    it('keeps what became of a plan, and replaces it', async () => {
      expect(await store.planCourses(['p1'])).toEqual([]);
      expect(await store.planCourses([])).toEqual([]);
      await store.savePlanCourse({ planId: 'p2', rejection: null, held: [] });
      await store.savePlanCourse({ ...rejected, rejection: null });
      await store.savePlanCourse(rejected);
      expect(await store.planCourses(['p2', 'p1', 'p3'])).toEqual([rejected, { planId: 'p2', rejection: null, held: [] }]);
      expect(await store.planCourses(['p2'])).toHaveLength(1);
    });

    it('finds what was rejected since a time, the oldest first', async () => {
      const later: PlanCourse = { ...rejected, planId: 'p0', rejection: { by: 'bob', reason: '', atMs: 600, moves: [] } };
      for (const course of [later, rejected, { planId: 'p2', rejection: null, held: [] }]) await store.savePlanCourse(course);
      expect(await store.rejectedSince(0)).toEqual([rejected, later]);
      expect(await store.rejectedSince(500)).toEqual([rejected, later]);
      expect(await store.rejectedSince(501)).toEqual([later]);
      expect(await store.rejectedSince(601)).toEqual([]);
    });

    it('finds the migrations of plans in the order of their start, also when they have ended', async () => {
      const of = (migrationId: string, vmId: string, planId: string | null, askedAtMs: number) => {
        const migration = migrationOf(migrationId, askedAtMs);
        return { ...migration, request: { ...migration.request, vmId, planId } };
      };
      await store.saveMigration(of('m1', 'x', 'p1', 30));
      await store.saveMigration(of('m2', 'y', null, 10));
      await store.saveMigration(of('m3', 'y', 'p1', 20));
      await store.saveMigration(of('m4', 'x', 'p2', 40));
      await store.saveMigration({ ...of('m1', 'x', 'p1', 30), phase: 'done', endedAtMs: 50 });
      expect(await store.startedMoves(['p1'])).toEqual([
        { planId: 'p1', vmId: 'x', migrationId: 'm1' },
        { planId: 'p1', vmId: 'y', migrationId: 'm3' },
      ]);
      expect(await store.startedMoves(['p3', 'p2'])).toEqual([{ planId: 'p2', vmId: 'x', migrationId: 'm4' }]);
      expect(await store.startedMoves([])).toEqual([]);
    });
  });
}
