import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Mode, Policy } from '#core/model/policy.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { cores } from '#core/model/units.ts';
import type { makePlan } from '#core/planner/make-plan.ts';
import { FakeAgent, fakeParts, MemoryStore, otherVmId, policy, runningVm, sampleOf, settings, tokens, vmId, vmSample } from './fakes.ts';
import { Planning } from './planning.ts';
import { openRooms } from './rooms.ts';

/** The planner makes a good plan unless a test spoils it. */
let spoil: (plan: object) => object;
vi.mock('#core/planner/make-plan.ts', async (original) => {
  const planner = await original<{ readonly makePlan: typeof makePlan }>();
  return { makePlan: (snapshot: Snapshot) => spoil(planner.makePlan(snapshot)) };
});

let stop: AbortController;
let loop: Promise<void>;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
  loop = Promise.resolve();
  spoil = (plan) => plan;
});
afterEach(async () => {
  stop.abort();
  await loop;
  vi.useRealTimers();
});

function storeOfHosts(...hostIds: readonly string[]): MemoryStore {
  const store = new MemoryStore();
  for (const hostId of hostIds) store.hostRecords.push({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
  return store;
}

/** Host a is over its line with two busy VMs, b and c are idle. */
async function newPlanning(options: {
  readonly mode: Mode;
  readonly store?: MemoryStore;
  readonly changes?: Partial<Policy>;
  readonly planIntervalMs?: number;
}) {
  const parts = fakeParts(options.store ?? storeOfHosts('a', 'b', 'c'));
  const { planIntervalMs = settings.planIntervalMs } = options;
  const own = { ...settings, planIntervalMs, policy: { ...policy, migrationsPerClusterMax: 4, ...options.changes } };
  const { view, executor, surveys } = await openRooms(parts, own, tokens, stop.signal);
  const [source] = [new FakeAgent(parts, 'a', runningVm()), new FakeAgent(parts, 'b'), new FakeAgent(parts, 'c')];
  let sequence = 0;
  const sample = () => {
    sequence += 1;
    const busy = { cpuUsedCores: cores(1.95) };
    view.ingest(sampleOf('a', sequence, [vmSample(busy), vmSample({ ...busy, vmId: otherVmId, name: 'web2' })]), Date.now());
    view.ingest(sampleOf('b', sequence), Date.now());
    view.ingest(sampleOf('c', sequence), Date.now());
  };
  sample();
  const planning = new Planning(parts, own, surveys, executor, options.mode, null);
  /** The loop with fresh samples. */
  let running = false;
  const rounds = async (count: number) => {
    if (!running) loop = planning.run(stop.signal);
    running = true;
    for (let round = 0; round < count; round += 1) {
      await vi.advanceTimersByTimeAsync(settings.planIntervalMs - 1);
      sample();
      await vi.advanceTimersByTimeAsync(1);
    }
  };
  const plan = async (): Promise<Plan> => {
    view.nextRound(Date.now());
    return planning.planNow();
  };
  return { parts, executor, planning, source, rounds, plan };
}

describe('planning', () => {
  it('in observe makes and keeps plans with moves, and moves nothing', async () => {
    const { parts, executor, planning, rounds } = await newPlanning({ mode: 'observe' });
    await rounds(5);
    expect(planning.latest()).toMatchObject({ verdict: 'moves', moves: [{ fromHostId: 'a' }] });
    expect(parts.store.plansKept.length).toBeGreaterThan(0);
    expect([executor.inFlight(), parts.store.records.size]).toEqual([[], 0]);
    await expect(planning.apply(planning.latest()?.planId ?? '', 'anna')).rejects.toMatchObject({ code: 'mode-forbids' });
  });

  it('in approve waits for a person', async () => {
    const { executor, planning, rounds } = await newPlanning({ mode: 'approve' });
    await rounds(5);
    expect(executor.inFlight()).toEqual([]);
    const [migration] = await planning.apply(planning.latest()?.planId ?? '', 'anna');
    expect(migration).toMatchObject({ request: { fromHostId: 'a', askedBy: 'anna', cause: 'operator' } });
  });

  it('in automatic moves by itself, in the name of the planner', async () => {
    const { parts, rounds } = await newPlanning({ mode: 'automatic' });
    await rounds(2);
    expect([...parts.store.records.values()]).toMatchObject([{ request: { fromHostId: 'a', askedBy: 'planner', cause: 'balance' } }]);
  });

  it('by balance does not wait for the next round while a host is short, by lines it does', async () => {
    for (const [strategy, started] of [
      ['balance', 1],
      ['lines', 0],
    ] as const) {
      const cpuLine = { startPercent: 80, stopPercent: 60 };
      const { parts, planning } = await newPlanning({ mode: 'automatic', changes: { strategy, cpuLine }, planIntervalMs: 60_000 });
      const end = new AbortController();
      const running = planning.run(end.signal);
      await vi.advanceTimersByTimeAsync(6000);
      expect(parts.store.records.size).toBe(started);
      end.abort();
      await running;
    }
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

describe('a plan', () => {
  it('is applied once, also when two people do it at once', async () => {
    const { parts, planning, plan } = await newPlanning({ mode: 'approve' });
    const { planId } = await plan();
    const both = await Promise.allSettled([planning.apply(planId, 'anna'), planning.apply(planId, 'ben')]);
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await expect(planning.apply(planId, 'anna')).rejects.toMatchObject({ code: 'plan-expired' });
    expect(parts.store.records.size).toBe(1);
  });

  it('that was applied before the controller restarted is not applied again', async () => {
    const first = await newPlanning({ mode: 'approve' });
    const { planId } = await first.plan();
    await first.planning.apply(planId, 'anna');
    const second = await newPlanning({ mode: 'approve', store: first.parts.store });
    await expect(second.planning.apply(planId, 'anna')).rejects.toMatchObject({ code: 'plan-expired' });
  });

  it('is not applied when it has expired, or does not exist', async () => {
    const { parts, planning, plan } = await newPlanning({ mode: 'approve' });
    const { planId } = await plan();
    await vi.advanceTimersByTimeAsync(policy.planLifetimeMs);
    await expect(planning.apply(planId, 'anna')).rejects.toMatchObject({ code: 'plan-expired' });
    await expect(planning.apply('nothing', 'anna')).rejects.toMatchObject({ code: 'plan-unknown' });
    expect(parts.store.records.size).toBe(0);
  });

  it('can be applied after a try that the store did not take', async () => {
    const { parts, planning, plan } = await newPlanning({ mode: 'approve' });
    const { planId } = await plan();
    parts.store.failing.add('migrations');
    await expect(planning.apply(planId, 'anna')).rejects.toThrow('disk full');
    parts.store.failing.clear();
    expect(await planning.apply(planId, 'anna')).toHaveLength(1);
  });
});

describe('moves of an approved plan that have to wait', () => {
  /** A plan of two moves from the same host, of which only one may be under way. */
  async function waiting() {
    const world = await newPlanning({ mode: 'approve' });
    const [move] = (await world.plan()).moves;
    if (!move) throw new Error('the plan has no move');
    const other = { ...move, vmId: otherVmId, vmName: 'web2', toHostId: 'c' };
    const two: Plan = {
      ...(world.planning.latest() as Plan),
      planId: 'two',
      moves: [{ ...move, vmId, vmName: 'web1', toHostId: 'b' }, other],
    };
    world.parts.store.plansKept.push(two);
    const [started] = await world.planning.apply('two', 'anna');
    const migrationId = started?.request.migrationId ?? '';
    const endFirst = async () => {
      world.source.vm = null;
      await world.executor.abort(migrationId);
      world.source.answers['transfer.status'] = () => ({
        status: { kind: 'failed', refusal: { code: 'aborted', message: '' }, channel: null, decisions: [], attempts: 1 },
      });
      world.source.vm = runningVm();
      await vi.advanceTimersByTimeAsync(5000);
    };
    const vms = () => [...world.parts.store.records.values()].map(({ request }) => request.vmId);
    return { ...world, endFirst, vms };
  }

  it('follow when another migration has ended', async () => {
    const { vms, endFirst } = await waiting();
    expect(vms()).toEqual([vmId]);
    await endFirst();
    expect(vms()).toEqual([vmId, otherVmId]);
  });

  it('do not follow when the mode has become observe, or the plan has expired', async () => {
    const observed = await waiting();
    await observed.planning.setMode('observe');
    await observed.endFirst();
    expect(observed.vms()).toEqual([vmId]);
    const expired = await waiting();
    await vi.advanceTimersByTimeAsync(policy.planLifetimeMs);
    await expired.endFirst();
    expect(expired.vms()).toEqual([vmId]);
  });
});
