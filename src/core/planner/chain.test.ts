import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { PlanDraft } from '#core/model/plan.ts';
import { exampleSnapshot } from './examples.ts';
import type { ExampleFacts, ExampleHost } from './examples.ts';
import { makePlan } from './make-plan.ts';

const strategies = ['lines', 'balance'] as const;

function planned(hosts: readonly ExampleHost[], facts: ExampleFacts = {}): PlanDraft {
  const snapshot = exampleSnapshot(hosts, facts);
  const plan = makePlan(snapshot);
  expect(checkPlan(snapshot, plan)).toEqual([]);
  return plan;
}

const steps = ({ moves }: PlanDraft) =>
  moves.map(({ vmId, fromHostId, toHostId, round, forVmId }) => ({ vmId, fromHostId, toHostId, round, forVmId }));

/** `big` fits on `middle` only without `small`, and `small` fits on `narrow`, which `big` does not. */
const roomToMake: readonly ExampleHost[] = [
  {
    id: 'hot',
    cores: 16,
    gib: 96,
    vms: [
      { id: 'big', cores: 7, gib: 32, delayCores: 2 },
      { id: 'giant', cores: 7.5, gib: 40, delayCores: 2 },
    ],
  },
  {
    id: 'middle',
    cores: 16,
    gib: 64,
    vms: [
      { id: 'small', cores: 0.5, gib: 12 },
      { id: 'base', cores: 1, gib: 24 },
    ],
  },
  { id: 'narrow', cores: 8, gib: 24, vms: [{ id: 'own', cores: 1, gib: 4 }] },
];

describe.each(strategies)('where no single move helps, by %s', (strategy) => {
  const by = (facts: ExampleFacts = {}) => planned(roomToMake, { ...facts, policy: { strategy, ...facts.policy } });

  it('room is made first, and the VM follows in the next round', () => {
    const plan = by();
    expect(steps(plan)).toEqual([
      { vmId: 'small', fromHostId: 'middle', toHostId: 'narrow', round: 1, forVmId: 'big' },
      { vmId: 'big', fromHostId: 'hot', toHostId: 'middle', round: 2, forVmId: undefined },
    ]);
    expect(plan.moves[0]?.reason).toContain('small makes room on middle for big of hot, which no single move relieves');
    expect(plan.moves[1]?.reason).toContain('room has been made for it on middle');
    expect(plan.scoreAfter).toBeLessThan(plan.scoreBefore);
  });

  it('not with a VM that a rule holds, nor beyond the moves that a plan may have', () => {
    expect(by({ rules: [{ name: 'stay', kind: 'ignore', vms: ['small'] }] }).moves).toEqual([]);
    expect(by({ policy: { movesPerPlanMax: 1 } }).moves).toEqual([]);
    expect(by({ rules: [{ name: 'apart', kind: 'anti-affinity', vms: ['small', 'own'] }] }).moves).toEqual([]);
  });

  it('what a budget leaves for one move only is not begun', () => {
    const budgets = { vmMovesPerDay: 0, tenantMovesPerHour: 0, clusterMovesPerHour: 1, gibPerHour: 0 };
    expect(by({ policy: { budgets } }).moves).toEqual([]);
    expect(by({ policy: { budgets: { ...budgets, clusterMovesPerHour: 2 } } }).moves).toHaveLength(2);
  });
});

it('the rule of the literature knows single moves only', () => {
  expect(planned(roomToMake, { policy: { strategy: 'threshold' } }).moves).toEqual([]);
});

describe('a VM changes places with a smaller one', () => {
  const pair: readonly ExampleHost[] = [
    {
      id: 'hot',
      cores: 16,
      gib: 128,
      vms: [
        { id: 'large', cores: 6, gib: 8 },
        { id: 'other', cores: 7.2, gib: 8 },
      ],
    },
    {
      id: 'warm',
      cores: 16,
      gib: 128,
      vms: [
        { id: 'little', cores: 1.2, gib: 8 },
        { id: 'base', cores: 5.4, gib: 8 },
      ],
    },
  ];

  it('the one of the host that suffers goes first', () => {
    const plan = planned(pair, { policy: { strategy: 'lines' } });
    expect(steps(plan)).toEqual([
      { vmId: 'large', fromHostId: 'hot', toHostId: 'warm', round: 1, forVmId: undefined },
      { vmId: 'little', fromHostId: 'warm', toHostId: 'hot', round: 2, forVmId: 'large' },
    ]);
    expect(plan.moves[0]?.reason).toContain('it changes places with a smaller one on warm');
  });

  it('not where the other host cannot hold both for a while', () => {
    const full = pair.map((host) => (host.id === 'warm' ? { ...host, gib: 22 } : host));
    expect(planned(full, { policy: { strategy: 'lines' } }).moves).toEqual([]);
  });
});
