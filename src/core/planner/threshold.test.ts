import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { Policy } from '#core/model/policy.ts';
import { exampleEntry, type ExampleHost, exampleSnapshot } from './examples.ts';
import { makePlan } from './make-plan.ts';

function planned(hosts: readonly ExampleHost[], policy: Partial<Policy> = {}, facts: Parameters<typeof exampleSnapshot>[1] = {}) {
  const snapshot = exampleSnapshot(hosts, { ...facts, policy: { strategy: 'threshold', ...policy } });
  const plan = makePlan(snapshot);
  expect(checkPlan(snapshot, plan)).toEqual([]);
  return plan;
}

const hot: ExampleHost = {
  id: 'hot',
  roundsOverLine: 1,
  vms: [
    { id: 'small', cores: 1 },
    { id: 'large', cores: 3.5 },
    { id: 'middle', cores: 2.5 },
  ],
};
const host = (id: string, cores: number, more: Partial<ExampleHost> = {}): ExampleHost => ({
  id,
  vms: [{ id: `of-${id}`, cores }],
  ...more,
});

describe('the published threshold rule', () => {
  it('acts at once: the overloaded host gives its busiest VM to the least loaded host', () => {
    const { moves } = planned([hot, host('busy', 3), host('calm', 1), host('fair', 2)]);
    expect(moves.map(({ vmName, toHostId }) => [vmName, toHostId])).toEqual([['large', 'calm']]);
    expect(moves[0]?.reason).toContain('calm is the least loaded host with room');
  });

  it('goes down to the threshold, not to a second line', () => {
    const many = Array.from({ length: 14 }, (_, index) => ({ id: `vm-${index}`, cores: 0.5 }));
    expect(planned([{ id: 'hot', vms: many }, host('calm', 0)]).moves).toHaveLength(2);
    const relieving = { id: 'hot', vms: many.slice(0, 12), relieving: { cpu: true, memory: false } };
    expect(planned([relieving, host('calm', 0)]).moves).toEqual([]);
  });

  it('gives the next smaller VM where there is no room for the busiest, and none where there is none at all', () => {
    const { moves } = planned([hot, host('a', 3), host('b', 3.1)]);
    expect(moves.map(({ vmName, toHostId }) => [vmName, toHostId])).toEqual([['middle', 'a']]);
    const full = planned([hot, host('a', 5.5), host('b', 5.5)]);
    expect([full.moves, full.verdict]).toEqual([[], 'no-beneficial-move']);
    expect(new Set(full.skipped.map(({ code }) => code))).toEqual(new Set(['no-target-cpu']));
  });

  it('sorts by memory what is short of memory', () => {
    const vms = [
      { id: 'lean', cores: 3, gib: 4 },
      { id: 'fat', cores: 0.1, gib: 56 },
    ];
    const { moves } = planned([{ id: 'hot', vms }, host('few-cores', 4, { gib: 128 }), host('little-memory', 1)]);
    expect(moves).toMatchObject([{ vmName: 'fat', toHostId: 'few-cores' }]);
  });

  it('is bound by what binds the others: rules, cool-downs and ways that are closed', () => {
    const hosts = [hot, host('calm', 0.5), host('fair', 2)];
    const apart = { kind: 'anti-affinity', name: 'apart', vms: ['large', 'of-calm'] } as const;
    expect(planned(hosts, {}, { rules: [apart] }).moves).toMatchObject([{ vmName: 'large', toHostId: 'fair' }]);
    expect(planned(hosts, {}, { ledger: [exampleEntry('large', 60_000)] }).moves).toMatchObject([{ vmName: 'middle', toHostId: 'calm' }]);
    const came = exampleEntry('large', 50 * 60_000, { fromHostId: 'calm', toHostId: 'hot' });
    expect(planned(hosts, {}, { ledger: [came] }).moves).toMatchObject([{ vmName: 'large', toHostId: 'fair' }]);
  });

  it('never makes the cluster worse: a VM that frees next to nothing and fills a host stays', () => {
    const vms = [
      { id: 'fat', cores: 0.01, gib: 24 },
      { id: 'whale', cores: 6.6, gib: 4 },
    ];
    const plan = planned([
      { id: 'hot', vms },
      { id: 'calm', gib: 32, vms: [] },
    ]);
    expect(plan.moves).toEqual([]);
    expect(plan.skipped).toMatchObject([
      { vmName: 'fat', code: 'gain-too-small', reason: expect.stringContaining('score') },
      { vmName: 'whale', code: 'no-target-cpu' },
    ]);
  });
});
