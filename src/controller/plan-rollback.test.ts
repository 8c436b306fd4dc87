import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { begin } from '#core/migration/step.ts';
import { type FakePlanning, openPlanning, planOfTwo, type PlanningOptions } from './fake-planning.ts';
import { ipsec, otherVmId, runningVm } from './fakes.ts';

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

function audited({ parts }: FakePlanning): readonly string[] {
  return parts.store.audited.map(({ who, verb, subject }) => `${who} ${verb} ${subject}`);
}

/** As if the moves of plan `two` had been made, web1 first; agents and samples say the same. */
async function movedTwo() {
  const world = await open();
  const { planId, moves } = await planOfTwo(world);
  for (const [index, { vmId: moved, vmName, fromHostId, toHostId }] of moves.entries()) {
    const asked = { cause: 'operator', askedBy: 'anna', planId, vmEpoch: 1, askedAtMs: Date.now() + index, ...ipsec } as const;
    const { migration } = begin({ ...asked, migrationId: `made-${index}`, vmId: moved, vmName, fromHostId, toHostId });
    await world.parts.store.saveMigration({ ...migration, phase: 'done', endedAtMs: Date.now() });
  }
  const [web1, web2] = world.vms.a;
  world.vms.a = [];
  world.vms.b = web1 === undefined ? [] : [web1];
  world.vms.c = web2 === undefined ? [] : [web2];
  world.agents.a.vm = null;
  world.agents.b.vm = runningVm();
  world.agents.c.vm = runningVm({ vmId: otherVmId, name: 'web2' });
  world.sample();
  return world;
}

function returned({ parts }: FakePlanning): readonly string[] {
  return [...parts.store.records.values()]
    .filter(({ request }) => request.toHostId === 'a')
    .map(({ request }) => `${request.vmName} ${request.fromHostId} -> ${request.toHostId}, ${request.cause} by ${request.askedBy}`);
}

describe('the rollback of a plan', () => {
  it('brings back the newest move first, in the name of who asks; what has to wait for others is named', async () => {
    const world = await movedTwo();
    const first = await world.plans.rollBack('two', false, 'ben');
    expect(first.steps).toMatchObject([
      { vmName: 'web2', fromHostId: 'c', toHostId: 'a', state: 'started' },
      { vmName: 'web1', fromHostId: 'b', toHostId: 'a', state: 'waiting', code: 'migration-limit' },
    ]);
    expect([first.nothingLeft, audited(world)]).toEqual([false, ['ben plan.rollback two']]);
    expect(returned(world)).toEqual(['web2 c -> a, operator by ben']);
    expect((await world.plans.rollBack('two', false, 'ben')).steps.map(({ state }) => state)).toEqual(['returning', 'waiting']);
    const id = first.steps[0]?.migrationId ?? '';
    world.agents.c.answers['transfer.status'] = () => ({
      status: { kind: 'failed', refusal: { code: 'aborted', message: '' }, channel: null, decisions: [], attempts: 1 },
    });
    await world.executor.abort(id);
    await world.seconds(8);
    expect(returned(world)).toEqual(['web2 c -> a, operator by ben', 'web1 b -> a, operator by ben']);
  });

  it('says that nothing is left when all are back', async () => {
    const world = await movedTwo();
    world.vms.a = [...world.vms.b, ...world.vms.c];
    world.vms.b = [];
    world.vms.c = [];
    world.sample();
    const again = await world.plans.rollBack('two', false, 'ben');
    expect([again.nothingLeft, again.steps.map(({ state }) => state), audited(world)]).toEqual([true, ['back', 'back'], []]);
    expect(returned(world)).toEqual([]);
  });

  it('leaves what cannot or should not come back, with the reason', async () => {
    const world = await movedTwo();
    world.vms.b = [];
    world.vms.a = [];
    await world.rulings.cordon('a', '', 'anna');
    world.sample();
    expect(await world.plans.rollBack('two', false, 'ben')).toMatchObject({
      nothingLeft: false,
      steps: [
        { vmName: 'web2', state: 'left', code: 'cordoned' },
        { vmName: 'web1', state: 'left', code: 'vm-gone' },
      ],
    });
    expect(returned(world)).toEqual([]);
  });

  it('is rehearsed with every check of a migration, and moves nothing', async () => {
    const world = await movedTwo();
    world.agents.a.offered = { memoryFreeBytes: runningVm().memoryBytes };
    const rehearsed = await world.plans.rollBack('two', true, 'ben');
    expect(rehearsed.steps[0]).toMatchObject({ vmName: 'web2', state: 'left', code: 'no-memory' });
    world.agents.a.offered = {};
    const clear = await world.plans.rollBack('two', true, 'ben');
    expect(clear.steps.map(({ state }) => state)).toEqual(['would-start', 'would-start']);
    expect([clear.dryRun, clear.nothingLeft, returned(world), audited(world)]).toEqual([true, false, [], []]);
  });

  it('has nothing to do for a plan that moved nothing', async () => {
    const world = await open();
    const { planId } = await world.plan();
    expect(await world.plans.rollBack(planId, false, 'ben')).toEqual({ planId, dryRun: false, steps: [], nothingLeft: true });
    await expect(world.plans.rollBack('nothing', true, 'ben')).rejects.toMatchObject({ code: 'plan-unknown' });
  });
});
