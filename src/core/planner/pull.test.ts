import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { Direction, Policy } from '#core/model/policy.ts';
import { cores } from '#core/model/units.ts';
import { type ExampleHost, exampleSnapshot } from './examples.ts';
import { makePlan } from './make-plan.ts';

function planned(direction: Direction, hosts: readonly ExampleHost[], policy: Partial<Policy> = {}) {
  const snapshot = exampleSnapshot(hosts, { policy: { direction, ...policy } });
  const plan = makePlan(snapshot);
  expect(checkPlan(snapshot, plan)).toEqual([]);
  return plan;
}

const asNow = (mean: number) => ({ meanCores: cores(mean), highCores: cores(mean), horizonMs: 1_800_000, confidencePercent: 100 });
const host = (id: string, ...used: readonly number[]): ExampleHost => ({
  id,
  vms: used.map((each, index) => ({ id: `${id}-${index}`, cores: each, forecast: asNow(each) })),
});

describe('by the direction pull', () => {
  const busy = host('busy', 2.5, 2, 1);
  const idle = host('idle', 0.5);

  it('a host with little to do takes from the most loaded one, though nobody is over a line', () => {
    const { moves, summary } = planned('pull', [busy, host('fair', 2.5), idle]);
    expect(moves).toMatchObject([{ vmName: 'busy-0', fromHostId: 'busy', toHostId: 'idle' }]);
    expect(moves[0]?.reason).toMatch(/^idle is at 6.3 % CPU, below 30 %, and busy at 68.8 %, the mean is 35.4 %;/);
    expect(summary).toMatch(/^1 VM for hosts with little to do: 1 move/);
    expect(planned('push', [busy, host('fair', 2.5), idle]).moves).toEqual([]);
  });

  it('nothing moves where no host is below the line, or none is far enough above the mean', () => {
    expect(planned('pull', [busy, host('fair', 2.5)]).moves).toEqual([]);
    expect(planned('pull', [host('a', 1, 1.2), idle]).moves).toEqual([]);
    expect(planned('pull', [host('a', 1, 1.2), idle], { pull: { belowPercent: 30, marginPercent: 5 } }).moves).toHaveLength(1);
  });

  it('nothing moves that would only swap the two', () => {
    expect(planned('pull', [host('a', 4), host('b', 0.1), host('c', 0.2)]).moves).toEqual([]);
  });

  it('whoever is expected to have more to do soon takes nothing, and whoever less gives nothing', () => {
    const soon: ExampleHost = { id: 'idle', vms: [{ id: 'later', cores: 0.5, forecast: asNow(4) }] };
    expect(planned('pull', [busy, host('fair', 2.5), soon]).moves).toEqual([]);
    const ends: ExampleHost = { id: 'busy', vms: ['x', 'y'].map((id) => ({ id, cores: 2.7, forecast: asNow(0.2) })) };
    expect(planned('pull', [ends, host('fair', 2.5), idle]).moves).toEqual([]);
  });

  it('a VM without a forecast may be in a burst: it waits, unless its host is over its line', () => {
    const unwatched = (id: string, ...used: readonly number[]): ExampleHost => ({
      id,
      vms: used.map((each, index) => ({ id: `${id}-${index}`, cores: each })),
    });
    expect(planned('pull', [unwatched('busy', 2.5, 2, 1), host('fair', 2.5), idle]).moves).toEqual([]);
    expect(planned('pull', [unwatched('hot', 2.5, 2, 2), host('fair', 2.5), idle]).moves).toHaveLength(1);
  });

  it('a host over its line is not relieved unless one with little to do takes from it, and the plan says so', () => {
    const hot = host('hot', 4, 3.5);
    const plan = planned('pull', [hot, host('fair', 2.6)]);
    expect([plan.moves, plan.verdict]).toEqual([[], 'no-beneficial-move']);
    expect(plan.skipped).toMatchObject([
      { hostId: 'hot', vmId: null, code: 'not-pulled', reason: expect.stringContaining('below 30 % CPU') },
    ]);
    expect(planned('pull', [hot, host('fair', 2.6), idle]).moves).toMatchObject([{ fromHostId: 'hot', toHostId: 'idle' }]);
  });

  it('both: first the host over its line gives, then the one with little to do takes', () => {
    const hot = host('hot', 3.5, 3.5);
    const { moves } = planned('both', [hot, host('a-idle', 0.1), busy, host('b-idle', 0.2)]);
    expect(moves.map(({ fromHostId, toHostId }) => [fromHostId, toHostId])).toEqual([
      ['hot', 'a-idle'],
      ['busy', 'b-idle'],
    ]);
  });
});
