import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cores } from '#core/model/units.ts';
import { type FakePlanning, openPlanning, planOfTwo, type PlanningOptions } from './fake-planning.ts';
import { type MemoryStore, otherVmId, policy, runningVm, vmId, vmSample } from './fakes.ts';

let stop: AbortController;
let opened: FakePlanning[];

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
  opened = [];
});
afterEach(async () => {
  stop.abort();
  await Promise.all(opened.map(({ ended }) => ended()));
  vi.useRealTimers();
});

async function open(options: Partial<Omit<PlanningOptions, 'signal'>> = {}): Promise<FakePlanning> {
  const world = await openPlanning({ mode: 'approve', ...options, signal: stop.signal });
  opened.push(world);
  return world;
}

function vmsStarted({ parts }: FakePlanning): readonly string[] {
  return [...parts.store.records.values()].map(({ request }) => request.vmId);
}

/** The first migration of a plan ends without moving its VM, so that the next one may begin. */
async function endFirst({ parts, executor, agents, seconds }: FakePlanning): Promise<void> {
  const [first] = [...parts.store.records.keys()];
  agents.a.vm = null;
  await executor.abort(first ?? '');
  agents.a.answers['transfer.status'] = () => ({
    status: { kind: 'failed', refusal: { code: 'aborted', message: '' }, channel: null, decisions: [], attempts: 1 },
  });
  agents.a.vm = runningVm();
  await seconds(8);
}

function audited({ parts }: FakePlanning): readonly string[] {
  return parts.store.audited.map(({ who, verb, subject }) => `${who} ${verb} ${subject}`);
}

describe('a plan', () => {
  it('is applied once, also when two people do it at once', async () => {
    const world = await open();
    const { planId } = await world.plan();
    const both = await Promise.allSettled([world.plans.apply(planId, null, 'anna'), world.plans.apply(planId, null, 'ben')]);
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await expect(world.plans.apply(planId, null, 'anna')).rejects.toMatchObject({ code: 'plan-applied' });
    expect(world.parts.store.records.size).toBe(1);
    expect(audited(world)).toEqual([`anna plan.apply ${planId}`]);
  });

  it('that was applied before the controller restarted is not applied again', async () => {
    const first = await open();
    const { planId } = await first.plan();
    await first.plans.apply(planId, null, 'anna');
    const second = await open({ store: first.parts.store });
    await expect(second.plans.apply(planId, null, 'anna')).rejects.toMatchObject({ code: 'plan-applied' });
  });

  it('in rounds starts what makes room first, and holds the move that needs it until that has ended', async () => {
    const world = await open({ changes: { migrationsPerHostMax: 2 } });
    const dbId = '00000000-0000-4000-8000-000000000003';
    const db = { vmId: dbId, name: 'db' };
    world.vms.b = [vmSample({ ...db, cpuUsedCores: cores(0.1) })];
    world.agents.b.vm = runningVm(db);
    world.sample();
    const made = await world.plan();
    const [move] = made.moves;
    if (move === undefined) throw new Error('the plan has no move');
    const room = { ...move, vmId: dbId, vmName: 'db', fromHostId: 'b', toHostId: 'c', round: 1, forVmId: vmId };
    const relief = { ...move, vmId, vmName: 'web1', fromHostId: 'a', toHostId: 'b', round: 2 };
    world.parts.store.plansKept.push({ ...made, planId: 'chain', moves: [room, relief], account: { terms: [], aims: [] } });
    const { started, waiting } = await world.plans.apply('chain', null, 'anna');
    expect(started.map(({ request }) => request.vmName)).toEqual(['db']);
    expect(waiting).toMatchObject([{ vmName: 'web1', code: 'in-flight', reason: 'the move of db comes first, and has not ended' }]);
    expect(vmsStarted(world)).toEqual([dbId]);
  });

  it('is not applied when it has expired, has no moves, or does not exist', async () => {
    const { parts, plans, plan, vms, sample } = await open();
    const { planId } = await plan();
    await vi.advanceTimersByTimeAsync(policy.planLifetimeMs);
    await expect(plans.apply(planId, null, 'anna')).rejects.toMatchObject({ code: 'plan-expired' });
    await expect(plans.apply('nothing', null, 'anna')).rejects.toMatchObject({ code: 'plan-unknown' });
    vms.a = [];
    sample();
    const empty = await plan();
    await expect(plans.apply(empty.planId, null, 'anna')).rejects.toMatchObject({ code: 'plan-empty' });
    await expect(plans.reject(empty.planId, '', 'anna')).rejects.toMatchObject({ code: 'plan-empty' });
    expect(parts.store.records.size).toBe(0);
  });

  it.each(['startedMoves', 'planCourses', 'appendAudit'] as const)(
    'can be applied after a try that the store did not take: %s',
    async (name) => {
      const { parts, plans, plan } = await open();
      const { planId } = await plan();
      parts.store.failing.add(name);
      await expect(plans.apply(planId, null, 'anna')).rejects.toThrow('disk full');
      parts.store.failing.clear();
      expect((await plans.apply(planId, null, 'anna')).started).toHaveLength(1);
    },
  );

  it('is rehearsed: what would start, what would wait, what would not be made; nothing moves', async () => {
    const world = await open();
    const { planId } = await planOfTwo(world);
    expect(await world.plans.rehearse(planId, null, 'anna')).toMatchObject({
      dryRun: true,
      started: [],
      wouldStart: [{ vmId, toHostId: 'b' }],
      waiting: [{ vmId: otherVmId, code: 'migration-limit' }],
      notStarted: [],
    });
    await world.rulings.cordon('b', '', 'ben');
    expect(await world.plans.rehearse(planId, null, 'anna')).toMatchObject({
      wouldStart: [{ vmId: otherVmId }],
      waiting: [],
      notStarted: [{ vmId, code: 'cordoned' }],
    });
    expect([vmsStarted(world), audited(world)]).toEqual([[], ['ben host.cordon b']]);
    await world.planning.setMode('observe');
    await expect(world.plans.rehearse(planId, null, 'anna')).rejects.toMatchObject({ code: 'mode-forbids' });
  });

  it('is applied in part: the chosen moves now, the others until it expires, each once', async () => {
    const world = await open({ changes: { migrationsPerHostMax: 2 } });
    const third = { vmId: '00000000-0000-4000-8000-000000000003', name: 'web3' };
    world.vms.a = [{}, { vmId: otherVmId, name: 'web2' }, third].map((one) => vmSample({ ...one, cpuUsedCores: cores(1.3) }));
    world.sample();
    const { planId } = await planOfTwo(world);
    expect(await world.plans.apply(planId, ['web2'], 'anna')).toMatchObject({ started: [{ request: { vmId: otherVmId } }], waiting: [] });
    expect((await world.plans.explain(planId, null)).state).toBe('superseded');
    await expect(world.plans.apply(planId, [otherVmId], 'anna')).rejects.toMatchObject({ code: 'plan-applied' });
    await expect(world.plans.apply(planId, ['db'], 'anna')).rejects.toMatchObject({ code: 'vm-unknown' });
    expect(await world.plans.apply(planId, null, 'ben')).toMatchObject({ started: [{ request: { vmId, askedBy: 'ben' } }] });
    expect(vmsStarted(world)).toEqual([otherVmId, vmId]);
    expect((await world.plans.explain(planId, null)).state).toBe('applied');
    await expect(world.plans.apply(planId, null, 'ben')).rejects.toMatchObject({ code: 'plan-applied' });
  });
});

describe('moves of an approved plan that have to wait', () => {
  async function waiting() {
    const world = await open();
    const { planId } = await planOfTwo(world);
    const applied = await world.plans.apply(planId, null, 'anna');
    expect(applied).toMatchObject({
      started: [{ request: { vmId } }],
      waiting: [{ vmId: otherVmId, code: 'migration-limit' }],
      notStarted: [],
    });
    expect((await world.plans.explain(planId, null)).moves.map(({ standing }) => standing.state)).toEqual(['moving', 'waiting']);
    return world;
  }

  it('follow when another migration has ended', async () => {
    const world = await waiting();
    expect(vmsStarted(world)).toEqual([vmId]);
    await endFirst(world);
    expect(vmsStarted(world)).toEqual([vmId, otherVmId]);
  });

  it('do not follow when the mode has become observe', async () => {
    const world = await waiting();
    await world.planning.setMode('observe');
    await endFirst(world);
    expect(vmsStarted(world)).toEqual([vmId]);
  });

  it('do not follow when the plan has expired', async () => {
    const world = await waiting();
    await world.seconds(policy.planLifetimeMs / 1000);
    await endFirst(world);
    expect(vmsStarted(world)).toEqual([vmId]);
    expect((await world.plans.explain('two', null)).moves[1]?.standing.state).toBe('not-started');
  });

  it('do not follow when the rest of the plan is cancelled, and what runs is named', async () => {
    const world = await waiting();
    const answer = await world.plans.reject('two', 'not now', 'ben');
    expect(answer).toMatchObject({
      by: 'ben',
      moves: [{ vmId: otherVmId, vmName: 'web2', toHostId: 'c' }],
      running: [{ vmId, vmName: 'web1', toHostId: 'b' }],
    });
    await endFirst(world);
    expect(vmsStarted(world)).toEqual([vmId]);
    expect((await world.plans.explain('two', null)).moves.map(({ standing }) => standing.state)).toEqual(['failed', 'rejected']);
  });

  it('are judged again before they start: what the world does not want any more is not done, and explained', async () => {
    const world = await waiting();
    await world.rulings.cordon('c', 'new disk', 'ben');
    await endFirst(world);
    expect(vmsStarted(world)).toEqual([vmId]);
    const { moves } = await world.plans.explain('two', null);
    expect(moves[1]?.standing).toMatchObject({ state: 'not-started', code: 'cordoned', reason: 'c is cordoned: it takes no new VMs' });
    expect(world.parts.logged).toContainEqual(expect.stringMatching(/^move not started .*web2.*cordoned/));
    await world.rulings.uncordon('c', 'ben');
    expect((await world.plans.apply('two', ['web2'], 'anna')).started).toHaveLength(1);
  });

  it('are named when the plan is rolled back before they have started', async () => {
    const world = await waiting();
    const { steps, nothingLeft } = await world.plans.rollBack('two', false, 'ben');
    expect(steps.map(({ vmName, state, code }) => [vmName, state, code])).toEqual([
      ['web2', 'left', 'not-started'],
      ['web1', 'left', 'not-ended'],
    ]);
    expect([nothingLeft, steps[0]?.reason]).toEqual([false, expect.stringContaining('plimsoll plan reject two')]);
  });

  it('are not started when the trouble is over', async () => {
    const world = await waiting();
    world.vms.a = [vmSample({ cpuUsedCores: cores(1) }), vmSample({ cpuUsedCores: cores(1), vmId: otherVmId, name: 'web2' })];
    await vi.advanceTimersByTimeAsync(50);
    world.sample();
    await endFirst(world);
    expect(vmsStarted(world)).toEqual([vmId]);
    expect((await world.plans.explain('two', null)).moves[1]?.standing.code).toBe('trouble-over');
  });
});

describe('a plan that was rejected', () => {
  it('is not applied, says who rejected it, and can be rejected again without a difference', async () => {
    const world = await open();
    const { planId } = await world.plan();
    const first = await world.plans.reject(planId, 'not by day', 'anna');
    expect(first).toMatchObject({ by: 'anna', reason: 'not by day', untilMs: first.atMs + policy.rejectedMsMin, running: [] });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await world.plans.reject(planId, 'another', 'ben')).toEqual(first);
    await expect(world.plans.apply(planId, null, 'ben')).rejects.toMatchObject({
      code: 'plan-rejected',
      message: expect.stringContaining(`anna rejected plan ${planId} 60 s ago`),
    });
    expect(audited(world)).toEqual([`anna plan.reject ${planId}`]);
    expect((await world.plans.explain(planId, null)).state).toBe('rejected');
  });

  it('stays so over a restart, its moves are not proposed again for a time, and then they are', async () => {
    const first = await open();
    const plan = await first.plan();
    const [move] = plan.moves;
    await first.plans.reject(plan.planId, 'not by day', 'anna');
    const again = await open({ store: first.parts.store });
    // Ids of its own.
    for (let id = 0; id < 50; id += 1) again.parts.random.id();
    await expect(again.plans.apply(plan.planId, null, 'ben')).rejects.toMatchObject({ code: 'plan-rejected' });
    const pairs = (made: { readonly moves: readonly { readonly vmId: string; readonly toHostId: string }[] }) =>
      made.moves.map(({ vmId: moved, toHostId }) => `${moved} ${toHostId}`);
    const rejected = `${move?.vmId} ${move?.toHostId}`;
    expect(pairs(plan)).toContain(rejected);
    expect(pairs(await again.plan())).not.toContain(rejected);
    again.vms.a = again.vms.a.filter(({ vmId: one }) => one === move?.vmId);
    const only = await again.planning.snapshotNow();
    expect(only.refusals).toMatchObject([{ vmId: move?.vmId, hostId: move?.toHostId, code: 'plan-rejected' }]);
    expect(only.refusals[0]?.reason).toMatch(/^anna rejected moving web\d to [bc] 0 s ago \(not by day\)$/);
    await vi.advanceTimersByTimeAsync(policy.rejectedMsMin);
    again.vms.a = first.vms.a;
    again.sample();
    expect(pairs(await again.plan())).toContain(rejected);
  });

  it('keeps the balancer away, and nobody else', async () => {
    const world = await open();
    const plan = await world.plan();
    await world.plans.reject(plan.planId, '', 'anna');
    expect((await world.surveys.snapshot()).refusals).toEqual([]);
    expect(world.surveys.present().refusals).toEqual([]);
  });

  it('is refused when all of it was started', async () => {
    const world = await open();
    const { planId } = await world.plan();
    await world.plans.apply(planId, null, 'anna');
    await expect(world.plans.reject(planId, '', 'ben')).rejects.toMatchObject({
      code: 'plan-applied',
      message: expect.stringContaining(`plimsoll plan rollback ${planId}`),
    });
  });

  it('is not rejected when that cannot be kept', async () => {
    const world = await open();
    const { planId } = await world.plan();
    for (const name of ['appendAudit', 'savePlanCourse'] as const) {
      world.parts.store.failing.add(name);
      await expect(world.plans.reject(planId, '', 'anna')).rejects.toThrow('disk full');
      world.parts.store.failing.clear();
    }
    expect((await world.plans.apply(planId, null, 'ben')).started).toHaveLength(1);
  });
});

describe('what is said of plans', () => {
  it('a list has the newest first, and how each stands', async () => {
    const world = await open();
    const old = await world.plan();
    await vi.advanceTimersByTimeAsync(policy.planLifetimeMs);
    world.sample();
    const rejected = await world.plan();
    await world.plans.reject(rejected.planId, 'no', 'anna');
    const passed = await world.plan();
    const newest = await world.plan();
    const states = (await world.plans.list(10)).map(({ planId, state }) => [planId, state]);
    expect(states).toEqual([
      [newest.planId, 'open'],
      [passed.planId, 'superseded'],
      [rejected.planId, 'rejected'],
      [old.planId, 'expired'],
    ]);
    expect(await world.plans.list(1)).toMatchObject([{ planId: newest.planId, moves: 1, started: 0, rejection: null }]);
    await world.plans.apply(newest.planId, null, 'anna');
    expect(await world.plans.list(1)).toMatchObject([{ state: 'applied', started: 1 }]);
  });

  it('an explanation has the terms of the score that add up, and what each move was for', async () => {
    const world = await open();
    const { planId, scoreBefore, scoreAfter } = await world.plan();
    const explained = await world.plans.explain(null, null);
    const sum = (side: 'before' | 'after') => explained.terms.reduce((total, term) => total + term.weight * term[side], 0);
    expect(explained.planId).toBe(planId);
    expect(sum('before')).toBeCloseTo(scoreBefore, 6);
    expect(sum('after')).toBeCloseTo(scoreAfter, 6);
    expect(explained.moves[0]).toMatchObject({ aim: { cpu: true }, standing: { state: 'open', migrationId: null } });
  });

  it('about one VM: its move, or its reasons, or that it was not looked at and why', async () => {
    const world = await open();
    const idle = vmSample({ vmId: '00000000-0000-4000-8000-000000000003', name: 'idle' });
    world.vms.b = [idle];
    world.sample();
    const { planId, moves } = await world.plan();
    const moved = moves[0]?.vmName ?? '';
    expect(await world.plans.explain(planId, moved)).toMatchObject({ moves: [{ vmName: moved }], skipped: [], about: { answer: null } });
    const stayed = moved === 'web1' ? 'web2' : 'web1';
    expect((await world.plans.explain(planId, stayed)).about?.answer).toContain(
      `a, where it is now, was relieved enough by moving ${moved}`,
    );
    expect((await world.plans.explain(planId, 'idle')).about?.answer).toContain(
      `did not look at idle: b, where it is now, was not to be relieved`,
    );
    await expect(world.plans.explain(planId, 'nobody')).rejects.toMatchObject({ code: 'vm-unknown' });
    await expect(world.plans.explain('nothing', null)).rejects.toMatchObject({ code: 'plan-unknown' });
  });

  it('before the first round there is nothing to explain', async () => {
    const world = await open();
    await expect(world.plans.explain(null, null)).rejects.toMatchObject({ code: 'plan-unknown' });
  });
});

describe('in automatic', () => {
  it('a move that was rejected is not started again', async () => {
    const world = await open({ mode: 'approve' });
    const { planId, moves } = await world.plan();
    await world.plans.reject(planId, '', 'anna');
    await world.planning.setMode('automatic');
    await world.rounds(2);
    const started = [...world.parts.store.records.values()].map(({ request }) => `${request.vmId} ${request.toHostId}`);
    expect(started.length).toBeGreaterThan(0);
    expect(started).not.toContain(`${moves[0]?.vmId} ${moves[0]?.toHostId}`);
  });

  it('that a move was held is logged, and does no harm where it cannot be kept', async () => {
    const world = await open({ mode: 'automatic' });
    const store: MemoryStore = world.parts.store;
    store.failing.add('savePlanCourse');
    const plan = await planOfTwo(world);
    const order = { askedBy: 'planner', approvedBy: null, cause: 'balance' } as const;
    world.vms.a = world.vms.a.filter(({ vmId: one }) => one !== vmId);
    world.sample();
    const [first] = plan.moves;
    if (first === undefined) throw new Error('the plan has no move');
    expect(await world.starts.start(plan, first, order)).toMatchObject({ kind: 'held', hold: { code: 'vm-gone' } });
    expect(world.parts.logged).toContainEqual(expect.stringContaining('why a move was not started could not be kept'));
  });
});
