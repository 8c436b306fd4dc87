import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Plan } from '#core/model/plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import type { makePlan } from '#core/planner/make-plan.ts';
import { type FakePlanning, openPlanning, type PlanningOptions, storeOfHosts } from './fake-planning.ts';
import { otherVmId, policy, vmId } from './fakes.ts';

/** The planner makes a good plan unless a test spoils it. */
let spoil: (plan: object) => object;
vi.mock('#core/planner/make-plan.ts', async (original) => {
  const planner = await original<{ readonly makePlan: typeof makePlan }>();
  return { makePlan: (snapshot: Snapshot) => spoil(planner.makePlan(snapshot)) };
});

let stop: AbortController;
let opened: FakePlanning[];

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
  opened = [];
  spoil = (plan) => plan;
});
afterEach(async () => {
  stop.abort();
  await Promise.all(opened.map(({ ended }) => ended()));
  vi.useRealTimers();
});

async function newPlanning(options: Omit<PlanningOptions, 'signal'>): Promise<FakePlanning> {
  const world = await openPlanning({ ...options, signal: stop.signal });
  opened.push(world);
  return world;
}

const unsaid = { restartable: false, address: null, definitionText: null, slaClass: null, tenant: null, labels: {}, updatedAtMs: 1 };

describe('planning', () => {
  it('in observe makes and keeps plans with moves, and moves nothing', async () => {
    const { parts, executor, planning, plans, rounds } = await newPlanning({ mode: 'observe' });
    await rounds(5);
    expect(planning.latest()).toMatchObject({ verdict: 'moves', moves: [{ fromHostId: 'a' }] });
    expect(parts.store.plansKept.length).toBeGreaterThan(0);
    expect([executor.inFlight(), parts.store.records.size]).toEqual([[], 0]);
    await expect(plans.apply(planning.latest()?.planId ?? '', null, 'anna')).rejects.toMatchObject({ code: 'mode-forbids' });
  });

  it('in approve waits for a person', async () => {
    const { executor, planning, plans, rounds } = await newPlanning({ mode: 'approve' });
    await rounds(5);
    expect(executor.inFlight()).toEqual([]);
    const { started } = await plans.apply(planning.latest()?.planId ?? '', null, 'anna');
    expect(started[0]).toMatchObject({ request: { fromHostId: 'a', askedBy: 'anna', cause: 'operator' } });
  });

  it('in automatic moves by itself, in the name of the planner', async () => {
    const { parts, rounds } = await newPlanning({ mode: 'automatic' });
    await rounds(2);
    expect([...parts.store.records.values()]).toMatchObject([{ request: { fromHostId: 'a', askedBy: 'planner', cause: 'balance' } }]);
  });

  it('in automatic leaves alone what a person must approve, who sees it in a plan of their own and can apply it', async () => {
    const store = storeOfHosts('a', 'b', 'c');
    for (const id of [vmId, otherVmId]) store.settings.set(id, { ...unsaid, vmId: id, slaClass: 'asked' });
    const classes = { ...policy.classes, asked: { downtimeMsMax: 400, costFactor: 1, moves: 'approve-only' as const } };
    const { parts, planning, plans, rounds } = await newPlanning({ mode: 'automatic', store, changes: { classes } });
    await rounds(4);
    expect(parts.store.records.size).toBe(0);
    expect(planning.latest()?.skipped.map(({ code }) => code)).toContain('class-approve-only');
    expect((await planning.snapshotNow()).automatic).toBe(true);
    const own = await planning.planNow();
    expect(own).toMatchObject({ verdict: 'moves', moves: [{ cost: { slaClass: 'asked' } }] });
    const { started } = await plans.apply(own.planId, null, 'anna');
    const [migration] = started;
    expect(migration?.request).toMatchObject({ askedBy: 'anna', wish: { method: 'auto', downtimeMsMax: 400 } });
  });

  it('a migration is held to what the class of its VM bears, and to nothing but the policy where that bears less', async () => {
    for (const [downtimeMsMax, wish] of [
      [0, { method: 'auto' }],
      [150, { method: 'auto', downtimeMsMax: 150 }],
      [5000, { method: 'auto' }],
    ] as const) {
      const classes = { ...policy.classes, standard: { downtimeMsMax, costFactor: 1, moves: 'automatic' as const } };
      const { parts, rounds, ended } = await newPlanning({ mode: 'automatic', changes: { classes } });
      await rounds(2);
      expect([...parts.store.records.values()].map(({ request }) => request.wish)).toEqual([wish]);
      stop.abort();
      await ended();
      stop = new AbortController();
    }
  });

  it('budgets are counted from the ledger, which a restart does not forget', async () => {
    const store = storeOfHosts('a', 'b', 'c');
    const past = { fromHostId: 'x', toHostId: 'y', cause: 'balance', outcome: 'moved', failureCode: null, sentBytes: 5 } as const;
    store.ledger.push({ ...past, migrationId: 'old', vmId: 'gone', startedAtMs: 500_000, endedAtMs: 600_000 });
    const budgets = { ...policy.budgets, clusterMovesPerHour: 1 };
    const { parts, planning, rounds } = await newPlanning({ mode: 'automatic', store, changes: { budgets } });
    await rounds(4);
    expect([parts.store.records.size, planning.latest()?.skipped.map(({ code }) => code)]).toEqual([0, ['budget-cluster']]);
  });

  it('by balance does not wait for the next round while a host is short, by lines it does', async () => {
    for (const [strategy, started] of [
      ['balance', 1],
      ['lines', 0],
    ] as const) {
      const cpuLine = { startPercent: 80, stopPercent: 60 };
      const { parts, planning, seconds } = await newPlanning({ mode: 'observe', changes: { strategy, cpuLine }, planIntervalMs: 60_000 });
      const end = new AbortController();
      const running = planning.run(end.signal);
      await seconds(61);
      expect(parts.store.records.size).toBe(0);
      await planning.setMode('automatic');
      await seconds(6);
      expect(parts.store.records.size).toBe(started);
      end.abort();
      await running;
    }
  });

  it('what wavers between rounds is told once in an interval, and not again while it says the same', async () => {
    const { parts, planning, seconds } = await newPlanning({ mode: 'observe', changes: { strategy: 'balance' }, planIntervalMs: 60_000 });
    const skips = (code: string) => [{ hostId: 'a', vmId: null, vmName: null, code, reason: 'as the test says' }];
    let looks = 0;
    spoil = (draft) => {
      looks += 1;
      return { ...draft, verdict: 'no-beneficial-move', moves: [], skipped: skips(looks % 2 === 0 ? 'in-flight' : 'limit-reached') };
    };
    const loop = planning.run(stop.signal);
    await seconds(59);
    expect(looks).toBe(0);
    await seconds(58);
    expect(looks).toBeGreaterThan(8);
    expect(parts.store.plansKept).toHaveLength(1);
    expect(planning.latest()?.planId).not.toBe(parts.store.plansKept[0]?.planId);
    await seconds(180);
    expect(parts.store.plansKept.length).toBeLessThanOrEqual(5);
    expect(parts.store.plansKept.length).toBeGreaterThan(1);
    stop.abort();
    await loop;
  });

  it('a plan with moves is told at once, also between rounds, and stands while the next ones propose the same', async () => {
    const { parts, planning, seconds } = await newPlanning({ mode: 'observe', changes: { strategy: 'balance' }, planIntervalMs: 60_000 });
    spoil = (draft) => ({ ...draft, verdict: 'balanced', moves: [], skipped: [] });
    const loop = planning.run(stop.signal);
    await seconds(61);
    spoil = (plan) => plan;
    await seconds(12);
    expect(parts.store.plansKept.map(({ verdict }) => verdict)).toEqual(['balanced', 'moves']);
    expect(planning.latest()?.planId).toBe(parts.store.plansKept[1]?.planId);
    await seconds(planning.planLifetimeMs / 1000);
    // Before the first one expires, a younger one takes its place.
    const [, first, second] = parts.store.plansKept;
    expect(second?.createdAtMs).toBeLessThan(first?.expiresAtMs ?? 0);
    expect(second?.moves).toEqual(first?.moves);
    stop.abort();
    await loop;
  });

  it('in automatic moves nothing by a plan that could not be kept, and goes on when the store is back', async () => {
    const { parts, rounds } = await newPlanning({ mode: 'automatic' });
    parts.store.failing.add('savePlan');
    await rounds(3);
    expect(parts.store.records.size).toBe(0);
    parts.store.failing.clear();
    await rounds(2);
    expect(parts.store.records.size).toBe(1);
  });

  it('drops a plan that breaks its own rules, in every mode, and goes on', async () => {
    for (const mode of ['automatic', 'approve'] as const) {
      const { parts, planning, rounds, plan } = await newPlanning({ mode });
      spoil = (draft) => ({ ...draft, moves: [{ ...(draft as Plan).moves[0], toHostId: 'a' }] });
      await rounds(2);
      await expect(plan()).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('its plan is dropped') });
      expect([planning.latest(), parts.store.plansKept, parts.store.records.size]).toEqual([null, [], 0]);
      spoil = (draft) => draft;
      expect(await plan()).toMatchObject({ verdict: 'moves' });
    }
  });
});
