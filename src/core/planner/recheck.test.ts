import { array, assert, boolean, constantFrom, double, integer, property, record, subarray, tuple } from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { Move, PlanAccount, PlanDraft } from '#core/model/plan.ts';
import type { Rule } from '#core/model/rule.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { cores } from '#core/model/units.ts';
import { accountOf, begunRelief } from './account.ts';
import { applyMove } from './apply-move.ts';
import { clusterOf, findHost } from './cluster.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot } from './examples.ts';
import { frozenHosts } from './freeze.ts';
import { makePlan } from './make-plan.ts';
import { recheck } from './recheck.ts';

vi.setConfig({ testTimeout: 30_000 });

type Planned = PlanDraft & { readonly account: PlanAccount };

function planned(snapshot: Snapshot): Planned {
  const plan = makePlan(snapshot);
  return { ...plan, account: accountOf(snapshot, plan.moves) };
}

/** Of the move at `index`, on this snapshot, after those before it were started. */
function judged(snapshot: Snapshot, plan: Planned, index = 0, by: 'planner' | 'person' = 'planner') {
  const move = plan.moves[index];
  if (move === undefined) throw new Error(`the plan has no move ${index}`);
  const started = new Set(plan.moves.slice(0, index).map(({ vmId }) => vmId));
  return recheck(snapshot, { move, aim: plan.account.aims[index] ?? null, begun: begunRelief(plan, move, started), by });
}

/** The cluster as a move leaves it, seen by new samples. */
function afterMove(snapshot: Snapshot, move: Move): Snapshot {
  const applied = applyMove(clusterOf(snapshot, frozenHosts(snapshot)), move);
  if (!applied.ok) throw new Error(applied.reason);
  const hosts = snapshot.hosts.map((host) => {
    const then = findHost(applied.cluster, host.hostId);
    return then === undefined ? host : { ...host, cpuUsedCores: then.cpuUsedCores, memoryUsedBytes: then.memoryUsedBytes };
  });
  return { ...snapshot, hosts, vms: snapshot.vms.map((vm) => (vm.vmId === move.vmId ? { ...vm, hostId: move.toHostId } : vm)) };
}

const hostIds = ['host-0', 'host-1', 'host-2', 'host-3', 'host-4'];

const rule: Arbitrary<Rule> = record({
  kind: constantFrom('pin' as const, 'affinity' as const, 'anti-affinity' as const, 'anti-affinity' as const),
  vms: subarray(['web-*', 'db-*', '*-1', 'web-0'], { minLength: 1, maxLength: 2 }),
  hosts: subarray(hostIds, { minLength: 2 }),
}).map(({ kind, vms, hosts }): Rule => {
  const base = { name: `${kind}-${vms.join('-')}`, vms };
  return kind === 'pin' ? { ...base, kind, hosts } : { ...base, kind };
});

function snapshots(): Arbitrary<Snapshot> {
  const vm = record({
    service: constantFrom('web', 'db', 'job'),
    cores: double({ min: 0, max: 2.5, noNaN: true }),
    gib: integer({ min: 1, max: 14 }),
    delayCores: double({ min: 0, max: 0.5, noNaN: true }),
  });
  const host = record({
    cores: constantFrom(4, 8, 16),
    otherCores: double({ min: 0, max: 1, noNaN: true }),
    roundsOverLine: integer({ min: 0, max: 5 }),
    relieving: record({ cpu: boolean(), memory: boolean() }),
    cordoned: constantFrom(false, false, false, true),
    vms: array(vm, { maxLength: 6 }),
  });
  const facts = record({
    rules: array(rule, { maxLength: 3 }),
    strategy: constantFrom('lines' as const, 'balance' as const),
    movesPerPlanMax: integer({ min: 1, max: 8 }),
  });
  return tuple(array(host, { minLength: 2, maxLength: 5 }), facts).map(([hosts, { rules, ...policy }]) => {
    const examples = hosts.map(({ vms, ...more }, index) => ({
      ...more,
      id: `host-${index}`,
      vms: vms.map(({ service, ...each }, number) => ({ ...each, id: `${service}-${index}${number}` })),
    }));
    const unique = rules.filter((one, index) => rules.findIndex(({ name }) => name === one.name) === index);
    return exampleSnapshot(examples, { policy: { ...policy, migrationsPerHostMax: 8, migrationsPerClusterMax: 8 }, rules: unique });
  });
}

describe('laws of the second look', () => {
  it('nothing is held against a move on the snapshot that its plan was made from, nor against the next ones after those before', () => {
    let moves = 0;
    const check = property(snapshots(), (snapshot) => {
      const plan = planned(snapshot);
      let now = snapshot;
      for (const [index, move] of plan.moves.entries()) {
        expect(judged(now, plan, index)).toBeNull();
        now = afterMove(now, move);
        moves += 1;
      }
    });
    assert(check, { numRuns: 1_000 });
    expect(moves).toBeGreaterThan(300);
  });

  it('the account adds up to the scores of the plan, and each move has an aim', () => {
    assert(
      property(snapshots(), (snapshot) => {
        const { account, moves, scoreBefore, scoreAfter } = planned(snapshot);
        const sum = (step: number) => account.terms.reduce((total, { weight, values }) => total + weight * (values[step] ?? Number.NaN), 0);
        expect(sum(0)).toBeCloseTo(scoreBefore, 6);
        expect(sum(moves.length)).toBeCloseTo(scoreAfter, 6);
        for (const [index, move] of moves.entries()) expect(sum(index + 1)).toBeCloseTo(move.scoreAfter, 6);
        expect(account.aims.every(({ cpu, memory, rule: mends }) => cpu || memory || mends)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('a move that was made is not made again', () => {
    assert(
      property(snapshots(), (snapshot) => {
        const plan = planned(snapshot);
        const [first] = plan.moves;
        if (first === undefined) return;
        expect(judged(afterMove(snapshot, first), plan)?.code).toBe('vm-elsewhere');
      }),
      { numRuns: 300 },
    );
  });
});

describe('a move that was planned', () => {
  /** web leaves hot for cool. */
  const snapshot = exampleSnapshot([
    {
      id: 'hot',
      vms: [
        { id: 'web', cores: 3 },
        { id: 'shop', cores: 4 },
      ],
    },
    { id: 'cool', vms: [{ id: 'db', cores: 1 }] },
  ]);
  const plan = planned(snapshot);
  const changed = (change: Partial<Snapshot>): Snapshot => ({ ...snapshot, ...change });
  const withHost = (hostId: string, change: Partial<SnapshotHost>): Snapshot =>
    changed({ hosts: snapshot.hosts.map((host) => (host.hostId === hostId ? { ...host, ...change } : host)) });
  const withVm = (vmId: string, change: Partial<SnapshotVm>): Snapshot =>
    changed({ vms: snapshot.vms.map((vm) => (vm.vmId === vmId ? { ...vm, ...change } : vm)) });
  const [move] = plan.moves;
  const moved = move?.vmId ?? '';
  const other = moved === 'web' ? 'shop' : 'web';
  const refusal = { vmId: moved, hostId: 'cool', reason: 'anna rejected it', untilMs: exampleNowMs + 60_000 };

  it('is the one that this story is about', () => {
    expect(plan.moves).toMatchObject([{ fromHostId: 'hot', toHostId: 'cool' }]);
    expect(judged(snapshot, plan)).toBeNull();
  });

  it.each<readonly [string, boolean, Snapshot, string]>([
    ['vm-gone', false, changed({ vms: snapshot.vms.filter(({ vmId }) => vmId !== moved) }), 'no host runs'],
    ['vm-elsewhere', false, withVm(moved, { hostId: 'cool' }), 'it is on cool already'],
    ['not-running', false, withVm(moved, { state: 'paused' }), 'is paused'],
    ['in-flight', true, changed({ inFlight: [{ vmId: moved, fromHostId: 'hot', toHostId: 'cool' }] }), 'being migrated'],
    ['host-gone', false, changed({ hosts: snapshot.hosts.filter(({ hostId }) => hostId !== 'cool') }), 'no host any more'],
    ['stale-sample', true, withHost('cool', { status: 'silent' }), 'it is silent'],
    ['stale-sample', true, withHost('hot', { sampledAtMs: exampleNowMs - 60_000 }), 'newest sample is 60 s old'],
    [
      'stale-sample',
      true,
      changed({ ledger: [exampleEntry(other, 1000, { fromHostId: 'cool', toHostId: 'else' })] }),
      'does not show yet that a VM left',
    ],
    [
      'quarantined',
      false,
      withHost('cool', { quarantine: { code: 'implausible', message: 'no', sinceMs: 1, cleanSamplesLeft: 5 } }),
      'cannot be true',
    ],
    ['cordoned', false, withHost('cool', { cordoned: true }), 'takes no new VMs'],
    ['unfit', false, withHost('cool', { unfit: 'its certificate has ended' }), 'its certificate has ended'],
    ['rule-pin', false, changed({ rules: [{ kind: 'pin', name: 'p', vms: [moved], hosts: ['hot'] }] }), 'rule p keeps'],
    ['rule-anti-affinity', false, changed({ rules: [{ kind: 'anti-affinity', name: 'a', vms: [moved, 'db'] }] }), 'rule a keeps'],
    ['rule-ignore', false, changed({ rules: [{ kind: 'ignore', name: 'i', vms: [moved] }] }), 'rule i keeps'],
    ['refused', false, changed({ refusals: [{ ...refusal, code: 'no-memory' }] }), 'refused'],
    ['rejected', false, changed({ refusals: [{ ...refusal, code: 'plan-rejected' }] }), 'anna rejected it'],
    ['no-target-cpu', false, withHost('cool', { cpuUsedCores: cores(5) }), 'over its start line of 80 %'],
    ['no-target-cpu', false, withHost('cool', { cpuUsedCores: cores(8) }), 'cool has'],
    ['no-target-memory', false, withVm('db', { memoryBytes: (62 * 2 ** 30) as SnapshotVm['memoryBytes'] }), 'cool has 2 GiB free'],
    ['trouble-over', false, withHost('hot', { cpuUsedCores: cores(5) }), 'hot is at 62.5 % CPU'],
    ['cool-down', false, changed({ ledger: [exampleEntry(moved, 60_000)] }), 'cool-down'],
    ['returned', false, changed({ ledger: [exampleEntry(moved, 45 * 60_000, { fromHostId: 'cool' })] }), 'is not sent back'],
  ])('is held (%s, passing: %s) when the world has changed', (code, passing, now, words) => {
    expect(judged(now, plan)).toEqual({ code, passing, reason: expect.stringContaining(words) });
  });

  it.each<readonly [string, Snapshot]>([
    ['cool-down', changed({ ledger: [exampleEntry(moved, 60_000)] })],
    ['returned', changed({ ledger: [exampleEntry(moved, 45 * 60_000, { fromHostId: 'cool' })] })],
  ])('is not held by %s when a person has approved it', (_code, now) => {
    expect(judged(now, plan, 0, 'person')).toBeNull();
  });

  it('goes on to the stop line once its plan has begun to relieve the host', () => {
    const easier = withHost('hot', { cpuUsedCores: cores(5) });
    const asked = {
      move: plan.moves[0] ?? { vmId: '', vmName: '', fromHostId: '', toHostId: '' },
      aim: plan.account.aims[0] ?? null,
      by: 'planner',
    } as const;
    expect(recheck(easier, { ...asked, begun: { cpu: true, memory: false } })).toBeNull();
    const easy = withHost('hot', { cpuUsedCores: cores(4.5) });
    expect(recheck(easy, { ...asked, begun: { cpu: true, memory: false } })?.code).toBe('trouble-over');
  });

  it('is not said to be needless when it was for something that is not known here', () => {
    const asked = {
      move: plan.moves[0] ?? { vmId: '', vmName: '', fromHostId: '', toHostId: '' },
      begun: { cpu: false, memory: false },
      by: 'planner',
    } as const;
    const calm = withHost('hot', { cpuUsedCores: cores(3) });
    expect(recheck(calm, { ...asked, aim: { cpu: false, memory: false, rule: false } })).toBeNull();
    expect(recheck(calm, { ...asked, aim: null })).toBeNull();
  });

  it('that mends a rule is made as long as the rule is broken', () => {
    const apart: Rule = { kind: 'anti-affinity', name: 'apart', vms: ['web', 'shop'] };
    const calm = exampleSnapshot(
      [
        {
          id: 'one',
          vms: [
            { id: 'web', cores: 1 },
            { id: 'shop', cores: 1 },
          ],
        },
        { id: 'two', vms: [{ id: 'db', cores: 1 }] },
      ],
      { rules: [apart] },
    );
    const mending = planned(calm);
    expect(mending.account.aims).toEqual([{ cpu: false, memory: false, rule: true }]);
    expect(judged(calm, mending)).toBeNull();
    expect(judged({ ...calm, rules: [] }, mending)?.code).toBe('trouble-over');
  });
});
