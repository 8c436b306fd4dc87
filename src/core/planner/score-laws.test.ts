import { type Arbitrary, array, assert, boolean, constantFrom, integer, nat, option, property, record, subarray, tuple } from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { strategies } from '#core/model/policy.ts';
import type { Rule } from '#core/model/rule.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { accountOf } from './account.ts';
import { applied } from './applied-plan.ts';
import { applyMove } from './apply-move.ts';
import { clusterOf } from './cluster.ts';
import { type ExampleHost, exampleSnapshot } from './examples.ts';
import { frozenHosts } from './freeze.ts';
import { makePlan } from './make-plan.ts';
import { placementCounts, PlacementTally } from './placement-tally.ts';
import { ruleBookOf } from './rules.ts';
import { RunningTotals, scoreOf, scoreTable, totalsOf } from './score.ts';
import { whereWith } from './where.ts';

// Thousands of plans: on a busy machine the default 5 s may not do.
vi.setConfig({ testTimeout: 60_000 });

const runs = { numRuns: 300 };

const rule: Arbitrary<Rule> = record({
  kind: constantFrom('pin', 'affinity', 'anti-affinity', 'anti-affinity'),
  vms: subarray(['web-*', 'db-*', '*-1', 'web-2', '*'], { minLength: 1, maxLength: 2 }),
  hosts: subarray(['host-0', 'host-1', 'host-2', 'host-3'], { minLength: 1 }),
}).map(({ kind, vms, hosts }): Rule => {
  const base = { name: `${kind}-${vms.join('-')}`, vms };
  return kind === 'pin' ? { ...base, kind, hosts } : { ...base, kind };
});

interface Wishes {
  /** Of one VM. */
  readonly coresMax: number;
  readonly pressed: boolean;
  /** Whether a host may know its traffic and another one not. */
  readonly mixed: boolean;
  readonly rulesMax: number;
}

/**
 * Clusters whose hosts have traffic and pressure of their own, VMs under rules, and headroom or not. Amounts are whole numbers: doubles of all sizes are nearly all too small to
 * matter.
 */
function clusters({ coresMax, pressed, mixed, rulesMax }: Wishes): Arbitrary<Snapshot> {
  const mib = integer({ min: 0, max: 400 });
  const percent = integer({ min: 0, max: pressed ? 100 : 0 });
  const vm = record({
    service: constantFrom('web', 'db', 'job'),
    cores: integer({ min: 0, max: 100 * coresMax }).map((hundredths) => hundredths / 100),
    gib: integer({ min: 1, max: 8 }),
    netMib: option(mib),
    diskMib: option(mib),
  });
  const host = record({
    cores: constantFrom(8, 16),
    otherCores: constantFrom(0, 0.2, 0.5),
    /** A part of it stays on the host; the rest, where VMs do more, does not go through its cards. */
    netMib: mixed ? option(mib) : mib,
    diskMib: mixed ? option(mib) : mib,
    pressure: record({ cpuSomePercent: percent, memorySomePercent: percent, ioSomePercent: percent }),
    status: constantFrom('up' as const, 'up' as const, 'up' as const, 'up' as const, 'silent' as const),
    vms: array(vm, { maxLength: 6 }),
  });
  const wishes = record({
    rules: array(rule, { maxLength: rulesMax }),
    hostFailures: constantFrom<0 | 1>(0, 1),
    strategy: constantFrom(...strategies),
    knows: boolean(),
  });
  return tuple(array(host, { minLength: 2, maxLength: 6 }), wishes).map(([hosts, { rules, hostFailures, strategy, knows }]) => {
    let number = 0;
    const examples: readonly ExampleHost[] = hosts.map(({ vms, ...more }, index) => ({
      ...more,
      ...(knows ? {} : { diskMib: null }),
      id: `host-${index}`,
      vms: vms.map(({ service, ...each }) => ({ ...each, id: `${service}-${(number += 1)}` })),
    }));
    const unique = rules.filter((one, index) => rules.findIndex((other) => other.name === one.name) === index);
    return exampleSnapshot(examples, {
      policy: { strategy, headroom: { hostFailures }, movesPerPlanMax: 8, migrationsPerHostMax: 4 },
      rules: unique,
    });
  });
}

/** All of it, from a snapshot alone. */
function scoreOfSnapshot(snapshot: Snapshot): number {
  const { hosts, policy } = clusterOf(snapshot, frozenHosts(snapshot));
  const book = ruleBookOf(snapshot);
  return scoreOf(totalsOf(hosts, policy, placementCounts(book, book.where, hosts)));
}

const steps = array(tuple(nat(), nat()), { minLength: 1, maxLength: 12 });

describe('laws of the score', () => {
  it('what is kept from move to move equals what is computed anew, whatever is moved where', () => {
    let changed = 0;
    const check = property(clusters({ coresMax: 2, pressed: true, mixed: true, rulesMax: 4 }), steps, (snapshot, wanted) => {
      const book = ruleBookOf(snapshot);
      let cluster = clusterOf(snapshot, frozenHosts(snapshot));
      const { policy } = cluster;
      const tally = new PlacementTally(book, cluster.hosts);
      const totals = new RunningTotals(cluster.hosts, policy, tally.counts);
      const moved = new Map<string, string>();
      for (const [vmIndex, hostIndex] of wanted) {
        const [source, vm] = cluster.hosts.flatMap((host) => host.vms.map((one) => [host, one] as const))[vmIndex % 7] ?? [];
        const target = cluster.hosts[hostIndex % Math.max(1, cluster.hosts.length)];
        if (source === undefined || vm === undefined || target === undefined) continue;
        const after = applyMove(cluster, { vmId: vm.vmId, fromHostId: source.hostId, toHostId: target.hostId });
        if (!after.ok) continue;
        ({ cluster } = after);
        const before = tally.counts;
        for (const [position, host] of cluster.hosts.entries())
          if (host.hostId === source.hostId || host.hostId === target.hostId) totals.change(position, host);
        const foretold = tally.scoreChange(vm, target.hostId);
        tally.move(vm, target.hostId);
        totals.count(tally.counts);
        moved.set(vm.vmId, target.hostId);
        const counts = placementCounts(book, whereWith(book.where, moved), cluster.hosts);
        expect(tally.counts.brokenRules).toBe(counts.brokenRules);
        expect(tally.counts.headroomShortPercent).toBeCloseTo(counts.headroomShortPercent, 6);
        expect(scoreOf(totals.total)).toBeCloseTo(scoreOf(totalsOf(cluster.hosts, policy, counts)), 6);
        const weighed = (one: typeof counts) => 200 * one.brokenRules + one.headroomShortPercent;
        expect(foretold).toBeCloseTo(weighed(counts) - weighed(before), 6);
        if (Math.abs(foretold) > 1) changed += 1;
      }
    });
    assert(check, runs);
    expect(changed).toBeGreaterThan(100);
  });

  it('the score of each step of a plan is that of a snapshot taken after it', () => {
    let [taken, traffic] = [0, 0];
    const check = property(clusters({ coresMax: 4, pressed: false, mixed: false, rulesMax: 3 }), (snapshot) => {
      const plan = makePlan(snapshot);
      expect(plan.scoreBefore).toBeCloseTo(scoreOfSnapshot(snapshot), 5);
      for (const [index, move] of plan.moves.entries()) {
        // Without the ledger, which would freeze the hosts until their load is seen.
        const later = { ...applied(snapshot, { ...plan, moves: plan.moves.slice(0, index + 1) }, 0), ledger: [] };
        expect(move.scoreAfter).toBeCloseTo(scoreOfSnapshot(later), 5);
        taken += 1;
      }
      const network = accountOf(snapshot, plan.moves).terms.find(({ name }) => name === 'spread of network')?.values ?? [];
      if (Math.abs((network[0] ?? 0) - (network.at(-1) ?? 0)) > 1) traffic += 1;
    });
    assert(check, runs);
    expect(taken).toBeGreaterThan(100);
    expect(traffic).toBeGreaterThan(30);
  });

  it('a move that mends a rule lowers the score, whatever it does to the loads', () => {
    let mended = 0;
    const check = property(clusters({ coresMax: 2, pressed: true, mixed: true, rulesMax: 4 }), (snapshot) => {
      const { moves } = makePlan(snapshot);
      const { aims } = accountOf(snapshot, moves);
      for (const [index, move] of moves.entries()) {
        if (aims[index]?.rule !== true) continue;
        mended += 1;
        // VMs that are gathered mend their rule together.
        const ids = move.together?.vmIds ?? [move.vmId];
        const together = moves.filter(({ vmId }) => ids.includes(vmId));
        expect(together.at(-1)?.scoreAfter).toBeLessThan(together[0]?.scoreBefore ?? Number.NaN);
      }
    });
    assert(check, { numRuns: 1000 });
    expect(mended).toBeGreaterThan(100);
  });

  it('no term is below 0, and what is spread of traffic is 100 at most', () => {
    const check = property(clusters({ coresMax: 4, pressed: true, mixed: true, rulesMax: 4 }), (snapshot) => {
      for (const { name, values } of accountOf(snapshot, makePlan(snapshot).moves).terms) {
        for (const value of values) expect(value).toBeGreaterThanOrEqual(0);
        if (name === 'spread of network' || name === 'spread of disk') for (const value of values) expect(value).toBeLessThan(100.001);
      }
    });
    assert(check, runs);
  });

  it('nothing moves for traffic or pressure: where no host is over a line and no rule broken, the plan is empty', () => {
    const check = property(clusters({ coresMax: 0.5, pressed: true, mixed: true, rulesMax: 0 }), (snapshot) => {
      const policy = { ...snapshot.policy, strategy: snapshot.policy.strategy === 'pack' ? ('lines' as const) : snapshot.policy.strategy };
      expect(makePlan({ ...snapshot, policy }).moves).toEqual([]);
    });
    assert(check, runs);
  });

  it('what was relieved stays so: with the same traffic and pressure the next plan is empty or goes on with hosts over their line', () => {
    const check = property(clusters({ coresMax: 3, pressed: true, mixed: true, rulesMax: 0 }), (snapshot) => {
      const policy = { ...snapshot.policy, strategy: 'lines' as const, movesPerPlanMax: 100 };
      const first = makePlan({ ...snapshot, policy });
      const second = makePlan(applied({ ...snapshot, policy }, first, 20_000));
      const back = second.moves.filter(({ vmId }) => first.moves.some((move) => move.vmId === vmId));
      expect(back).toEqual([]);
    });
    assert(check, runs);
  });
});

describe('the table of the score', () => {
  it('has a name of its own for each term, and all weights above 0', () => {
    expect(new Set(scoreTable.map(({ name }) => name)).size).toBe(scoreTable.length);
    expect(scoreTable.every(({ weight }) => weight > 0)).toBe(true);
  });
});
