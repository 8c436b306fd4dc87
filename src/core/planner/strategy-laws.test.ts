/** Laws of packing and pulling, on clusters that are calm enough for both. */
import { array, assert, constantFrom, integer, option, property, record, tuple } from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { PlanDraft } from '#core/model/plan.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { cores } from '#core/model/units.ts';
import { applied } from './applied-plan.ts';
import { exampleSnapshot } from './examples.ts';
import { isAbove, loadOf, startLimit, stopLimit } from './line.ts';
import { makePlan } from './make-plan.ts';

vi.setConfig({ testTimeout: 30_000 });

const runs = { numRuns: 300 };

/** Most doubles are close to nothing. */
function amount(max: number): Arbitrary<number> {
  return integer({ min: 0, max: max * 100 }).map((hundredths) => hundredths / 100);
}

/** Hosts with a little load each and room for that of others; most VMs have a forecast near what they use. */
function calmClusters(policy: Partial<Policy>, coresMax = 1): Arbitrary<Snapshot> {
  const vm = record({
    cores: amount(coresMax),
    gib: integer({ min: 1, max: 12 }),
    delayCores: amount(0.2),
    forecast: option(
      tuple(amount(coresMax), amount(1), integer({ min: 0, max: 100 })).map(([mean, above, confidencePercent]) => ({
        meanCores: cores(mean),
        highCores: cores(mean + above),
        horizonMs: 1_800_000,
        confidencePercent,
      })),
      { nil: null, freq: 10 },
    ),
    vcpus: integer({ min: 1, max: 4 }),
  });
  const host = record({
    cores: constantFrom(8, 16),
    gib: constantFrom(32, 64),
    otherCores: amount(0.5),
    cordoned: constantFrom(false, false, false, false, true),
    vms: array(vm, { maxLength: 6 }),
  });
  const facts = record({
    movesPerPlanMax: integer({ min: 1, max: 12 }),
    hostFailures: constantFrom<0 | 1>(0, 1),
    hosts: array(host, { minLength: 2, maxLength: 8 }),
  });
  const clusters = facts.map(({ hosts, movesPerPlanMax, hostFailures }) => {
    const examples = hosts.map(({ vms, ...more }, index) => ({
      ...more,
      id: `host-${index}`,
      vms: vms.map((each, number) => ({ ...each, id: `vm-${index}-${number}` })),
    }));
    return exampleSnapshot(examples, { policy: { movesPerPlanMax, headroom: { hostFailures }, ...policy } });
  });
  return clusters.filter(({ hosts, policy: whole }) => hosts.every((each) => !isAbove(loadOf(each), startLimit(whole))));
}

/** Nothing but the strategy itself keeps a VM where it is. */
const restless: Partial<Policy> = { coolDownMs: 0, coolDownMsMax: 0, returnMsMin: 0 };

function inUse({ vms }: Snapshot): ReadonlySet<string> {
  return new Set(vms.map(({ hostId }) => hostId));
}

function planned(snapshot: Snapshot): PlanDraft {
  const plan = makePlan(snapshot);
  expect(checkPlan(snapshot, plan)).toEqual([]);
  return plan;
}

function comesToRest(start: Snapshot, roundsMax: number): { readonly moves: number; readonly end: Snapshot } {
  let [snapshot, moves] = [start, 0];
  for (let round = 0; round < roundsMax; round += 1) {
    const plan = planned(snapshot);
    if (plan.moves.length === 0) return { moves, end: snapshot };
    moves += plan.moves.length;
    snapshot = applied(snapshot, plan, 33_000);
  }
  throw new Error(`there are still moves after ${roundsMax} rounds`);
}

describe('packing', () => {
  it('keeps to what the linter knows, empties whole hosts, and fills no empty one', () => {
    let emptied = 0;
    assert(
      property(calmClusters({ strategy: 'pack', movesPerPlanMax: 1000 }), (snapshot) => {
        const plan = planned(snapshot);
        const before = inUse(snapshot);
        const after = inUse(applied(snapshot, plan, 33_000));
        for (const { fromHostId } of plan.moves) expect(after).not.toContain(fromHostId);
        for (const hostId of after) expect(before).toContain(hostId);
        emptied += before.size - after.size;
        for (const { fromHostId } of plan.moves) expect(plan.summary).toContain(fromHostId);
      }),
      { numRuns: 500 },
    );
    expect(emptied).toBeGreaterThan(200);
  });

  it('what was packed is left alone: the next plan is empty, and no host has to be relieved', () => {
    assert(
      property(calmClusters({ strategy: 'pack', movesPerPlanMax: 1000 }), (snapshot) => {
        const before = planned(snapshot);
        if (before.moves.length === 0) return;
        const packed = applied(snapshot, before, 33_000);
        expect(planned(packed)).toMatchObject({ moves: [], verdict: 'balanced' });
        const taken = new Set(before.moves.map(({ toHostId }) => toHostId));
        for (const host of packed.hosts) if (taken.has(host.hostId)) expect(isAbove(loadOf(host), stopLimit(packed.policy))).toBe(false);
      }),
      runs,
    );
  });

  it('comes to rest without any cool-down, a few moves at a time, and never uses more hosts than before', () => {
    assert(
      property(calmClusters({ strategy: 'pack', ...restless }), (snapshot) => {
        const { end } = comesToRest(snapshot, 60);
        for (const hostId of inUse(end)) expect(inUse(snapshot)).toContain(hostId);
      }),
      runs,
    );
  });

  it('a host that was begun is gone on with: where a plan is full, the next ones empty the same host', () => {
    let begun = 0;
    assert(
      property(calmClusters({ strategy: 'pack', movesPerPlanMax: 1 }), (start) => {
        let snapshot = start;
        const [first] = planned(snapshot).moves;
        if (first === undefined) return;
        begun += 1;
        for (let round = 0; round < 8 && inUse(snapshot).has(first.fromHostId); round += 1) {
          const plan = planned(snapshot);
          expect(plan.moves.map(({ fromHostId }) => fromHostId)).toEqual([first.fromHostId]);
          snapshot = applied(snapshot, plan, 33_000);
        }
        expect(inUse(snapshot)).not.toContain(first.fromHostId);
      }),
      runs,
    );
    expect(begun).toBeGreaterThan(100);
  });
});

describe.each(['pull', 'both'] as const)('by the direction %s', (direction) => {
  it('each move brings its two hosts closer, and comes to rest without any cool-down', () => {
    let moves = 0;
    assert(
      property(calmClusters({ direction, ...restless }, 2), (snapshot) => {
        for (const { source, destination } of planned(snapshot).moves) {
          const before = source.cpuBeforePercent - destination.cpuBeforePercent;
          expect(Math.abs(source.cpuAfterPercent - destination.cpuAfterPercent)).toBeLessThan(before);
        }
        moves += comesToRest(snapshot, 60).moves;
      }),
      runs,
    );
    expect(moves).toBeGreaterThan(100);
  });

  it('where all hosts have the same to do nothing moves', () => {
    const even = ['a', 'b', 'c'].map((id) => ({ id, vms: [1, 0.5].map((used, index) => ({ id: `${id}-${index}`, cores: used })) }));
    expect(planned(exampleSnapshot(even, { policy: { direction } }))).toMatchObject({ moves: [], verdict: 'balanced' });
  });
});
