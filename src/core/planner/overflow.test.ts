import { array, assert, integer, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { Policy } from '#core/model/policy.ts';
import { cores } from '#core/model/units.ts';
import { applied } from './applied-plan.ts';
import { exampleSnapshot, type ExampleHost } from './examples.ts';
import { makePlan } from './make-plan.ts';
import { recheck } from './recheck.ts';

/** Eight cores each: one whose VMs want 11 of them, and two that are over their line of 80 %. */
const hot = {
  id: 'hot',
  cores: 8,
  gib: 64,
  roundsOverLine: 3,
  vms: [
    { id: 'a', cores: 1, gib: 4, delayCores: 0.3 },
    { id: 'b', cores: 3, gib: 4, delayCores: 1 },
    { id: 'c', cores: 4, gib: 4, delayCores: 1.7 },
  ],
} satisfies ExampleHost;
const busy = (id: string, used: number, delayCores = 0): ExampleHost => ({
  id,
  cores: 8,
  gib: 64,
  vms: [{ id: `${id}-vm`, cores: used, gib: 4, delayCores }],
});

function planned(hosts: readonly ExampleHost[], policy: Partial<Policy> = {}) {
  const snapshot = exampleSnapshot(hosts, { policy: { strategy: 'balance', ...policy } });
  const plan = makePlan(snapshot);
  expect(checkPlan(snapshot, plan)).toEqual([]);
  return { snapshot, ...plan };
}

describe('a host whose VMs want more than it has, where no host is below its line', () => {
  it.each(['balance', 'lines', 'pack'] as const)('by %s gives to one that still has what all of its VMs want', (strategy) => {
    const { moves } = planned([hot, busy('full', 7.9), busy('fuller', 6.6)], { strategy });
    expect(moves).toMatchObject([{ vmId: 'a', toHostId: 'fuller' }]);
    expect(moves[0]?.reason).toMatch(
      /its VMs want more CPU than it has, and no host has room below its line.*still has what all of its VMs want/,
    );
    expect(moves[0]?.destination.cpuAfterPercent).toBeGreaterThan(80);
  });

  it('says what it was preferred to by the measure it was held to itself', () => {
    const [move] = planned([hot, busy('full', 7.9), busy('fuller', 6.6)]).moves;
    expect(move?.alternatives).toMatchObject([
      { vmId: 'b', toHostId: 'fuller', code: 'no-target-cpu', reason: 'it would be at 120 % CPU, 100 % is the most' },
    ]);
  });

  it('not by the rule of the literature, which knows one line', () => {
    expect(planned([hot, busy('fuller', 6.6)], { strategy: 'threshold' }).moves).toEqual([]);
  });

  it('not while they use much and want no more: a line is a line', () => {
    const even = { ...hot, vms: hot.vms.map((vm) => ({ ...vm, delayCores: 0 })) };
    expect(planned([even, busy('fuller', 6.6)]).moves).toEqual([]);
  });

  it('not to one whose VMs would have to wait then, by what they wait for too', () => {
    expect(planned([hot, busy('fuller', 6.6, 0.5)]).moves).toEqual([]);
  });

  it('not to one that would come over its line of memory', () => {
    const crowded = { ...busy('crowded', 6.6), vms: [{ id: 'crowded-vm', cores: 6.6, gib: 58 }] };
    expect(planned([hot, crowded]).moves).toEqual([]);
  });

  it('not for less than its copy costs', () => {
    const dear = { shortageMs: 200_000, coreSecondsPerGib: 1000 };
    expect(planned([hot, busy('fuller', 6.6)], { balance: dear }).moves).toEqual([]);
  });

  it('to one below its line first', () => {
    expect(planned([hot, busy('fuller', 6.6), busy('cool', 1)]).moves.every(({ toHostId }) => toHostId === 'cool')).toBe(true);
  });

  it('and what has been moved so stays, as long as the loads do', () => {
    const { snapshot, ...plan } = planned([hot, busy('fuller', 6.6)]);
    const after = applied(snapshot, plan, 2 * 3_600_000);
    expect(makePlan({ ...after, ledger: [] }).moves).toEqual([]);
  });

  it('the move is looked at again before it starts, by the same measure', () => {
    const { snapshot, moves } = planned([hot, busy('fuller', 6.6)]);
    const [move] = moves;
    if (move === undefined) throw new Error('nothing is planned');
    const asked = { move, aim: null, begun: { cpu: false, memory: false }, by: 'planner' } as const;
    expect(recheck(snapshot, asked)).toBeNull();
    const waiting = snapshot.vms.map((vm) => (vm.vmId === 'fuller-vm' ? { ...vm, cpuDelayCores: cores(0.5) } : vm));
    expect(recheck({ ...snapshot, vms: waiting }, asked)).toMatchObject({ code: 'no-target-cpu' });
  });

  it('the linter finds a target over its line whose source is not short, or whose own VMs would wait', () => {
    const { snapshot, ...plan } = planned([hot, busy('fuller', 6.6)]);
    const codesWhere = (waits: (vmId: string) => number) => {
      const vms = snapshot.vms.map((vm) => ({ ...vm, cpuDelayCores: cores(waits(vm.vmId)) }));
      return checkPlan({ ...snapshot, vms }, plan).map(({ code }) => code);
    };
    expect(codesWhere(() => 0)).toContain('target-over-line');
    expect(codesWhere((vmId) => (vmId === 'fuller-vm' ? 1 : 3))).toContain('target-over-line');
    expect(codesWhere((vmId) => (vmId === 'a' || vmId === 'fuller-vm' ? 0 : 3))).toEqual([]);
  });
});

/** Hosts of 8 cores, most of them over their line, many with VMs that wait. */
const fullClusters = array(
  array(
    record({
      cores: integer({ min: 50, max: 350 }).map((hundredths) => hundredths / 100),
      delayCores: integer({ min: 0, max: 80 }).map((hundredths) => hundredths / 100),
      gib: integer({ min: 1, max: 12 }),
    }),
    { minLength: 2, maxLength: 6 },
  ),
  { minLength: 3, maxLength: 8 },
).map((hosts): readonly ExampleHost[] =>
  hosts.map((vms, at) => ({
    id: `host-${at}`,
    cores: 8,
    gib: 64,
    roundsOverLine: 3,
    vms: vms.map((vm, index) => ({ id: `vm-${at}-${index}`, ...vm })),
  })),
);

it.each(['balance', 'lines', 'pack'] as const)(
  'plans of full clusters by %s are sound, also with many moves, and come to an end',
  (strategy) => {
    let overflowing = 0;
    assert(
      property(fullClusters, (hosts) => {
        let snapshot = exampleSnapshot(hosts, { policy: { strategy, movesPerPlanMax: 20, migrationsPerHostMax: 4 } });
        let plans = 0;
        for (; plans < 40; plans += 1) {
          const plan = makePlan(snapshot);
          expect(checkPlan(snapshot, plan)).toEqual([]);
          if (plan.moves.length === 0) break;
          overflowing += plan.moves.filter(({ reason }) => reason.includes('still has what all of its VMs want')).length;
          snapshot = applied(snapshot, plan, 60_000);
        }
        expect(plans).toBeLessThan(40);
      }),
      { numRuns: 300 },
    );
    expect(overflowing).toBeGreaterThan(100);
  },
);
