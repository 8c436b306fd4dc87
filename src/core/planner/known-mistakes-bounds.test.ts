/**
 * Mistakes that were found in other balancers, or that their users complain of: what a move costs, what it may not break, and what has to be
 * remembered. Each under all strategies and directions, and each beside a case in which the move is made.
 */
import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import { conflictsOf } from '#core/checks/rule-conflicts.ts';
import { moveCauses } from '#core/model/ledger.ts';
import { defaultPolicy, type Policy } from '#core/model/policy.ts';
import type { Rule } from '#core/model/rule.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { drainSteps } from './drain.ts';
import { exampleEntry, type ExampleFacts, type ExampleHost, exampleNowMs, exampleSnapshot } from './examples.ts';
import { makePlan } from './make-plan.ts';
import { hot, idle, ways } from './mistake-examples.ts';
import { recheck } from './recheck.ts';

describe.each(ways)('by %s, %s', (strategy, direction) => {
  const snapshotOf = (hosts: readonly ExampleHost[], policy: Partial<Policy> = {}, facts: ExampleFacts = {}): Snapshot =>
    exampleSnapshot(hosts, { ...facts, policy: { strategy, direction, ...policy } });
  const planOf = (snapshot: Snapshot) => {
    const plan = makePlan(snapshot);
    expect(checkPlan(snapshot, plan)).toEqual([]);
    return plan;
  };
  const steps = (snapshot: Snapshot) => planOf(snapshot).moves.map(({ vmName, toHostId }) => `${vmName} > ${toHostId}`);
  const one = [expect.stringMatching(/^[abc] > cool$/)];
  const pushes = direction !== 'pull';

  it('the memory guard looks at a field that is there: a target without memory takes nothing (Xen Orchestra)', () => {
    expect(steps(snapshotOf([hot, { ...idle('cool'), gib: 6, otherGib: 3 }]))).toEqual([]);
    expect(steps(snapshotOf([hot, { ...idle('cool'), gib: 16, otherGib: 3 }]))).toEqual(one);
  });

  it('memory that was promised to a VM on its way is taken, whatever the target reports as free', () => {
    const other: ExampleHost = { id: 'other', vms: [{ id: 'big', cores: 0.1, gib: 12 }], cordoned: true };
    const inFlight = [{ vmId: 'big', fromHostId: 'other', toHostId: 'cool' }];
    const hosts = (gib: number) => [hot, other, { ...idle('cool'), gib }];
    const most = { migrationsPerHostMax: 2 };
    expect(steps(snapshotOf(hosts(15), most, { inFlight }))).toEqual([]);
    expect(steps(snapshotOf(hosts(32), most, { inFlight }))).toEqual(one);
  });

  it('the load after the move decides: a target is not filled over its own line', () => {
    expect(steps(snapshotOf([hot, { ...idle('cool'), otherCores: 4.5 }]))).toEqual([]);
    expect(steps(snapshotOf([hot, { ...idle('cool'), otherCores: 0.5 }]))).toEqual(one);
  });

  it.runIf(pushes)('where nobody suffers nothing moves, however uneven it looks (Proxmox VE, ProxLB, OpenStack Watcher, Incus)', () => {
    const busy = (cores: number) => ({ id: 'busy', vms: ['a', 'b', 'c'].map((id) => ({ id, cores, gib: 4 })) });
    const still = { strategy, direction: 'push' as const };
    for (const cores of [0.1, 2]) {
      expect(planOf(snapshotOf([busy(cores), idle('cool')], still))).toMatchObject({ verdict: 'balanced', moves: [] });
    }
    expect(steps(snapshotOf([busy(2.5), idle('cool')], still))).toEqual(one);
  });

  it.runIf(pushes)('one metric is not all: a host that is short of memory alone is relieved (ProxLB)', () => {
    const full = { id: 'full', vms: ['a', 'b', 'c'].map((id) => ({ id, cores: 0.5, gib: 20 })) };
    expect(steps(snapshotOf([full, idle('cool')]))).toEqual(one);
    expect(steps(snapshotOf([{ ...full, gib: 128 }, idle('cool')], { direction: 'push' }))).toEqual([]);
  });

  it.runIf(pushes)('one plan relieves every hot host: a second one does not wait for the next run (Incus, Proxmox VE)', () => {
    const second = { id: 'warm', vms: ['d', 'e', 'f'].map((id) => ({ id, cores: 2.5, gib: 4 })) };
    const from = planOf(snapshotOf([hot, second, idle('x'), idle('y')])).moves.map(({ fromHostId }) => fromHostId);
    expect([...new Set(from)].toSorted()).toEqual(['hot', 'warm']);
  });

  it('a move is never free: each says what it sends, and by balance what it saves has to be worth it (CloudStack)', () => {
    const { moves } = planOf(snapshotOf([hot, idle('cool')]));
    expect(moves.map(({ cost }) => cost?.bytes)).toEqual([4 * 2 ** 30]);
    const dear = snapshotOf([hot, idle('cool')], { balance: { ...defaultPolicy.balance, coreSecondsPerGib: 1e6 }, direction: 'push' });
    expect(planOf(dear).moves).toHaveLength(strategy === 'balance' ? 0 : 1);
  });

  it('a plan is not carried out against a cluster that has changed since (OpenStack Watcher)', () => {
    const snapshot = snapshotOf([hot, idle('cool')]);
    const [move] = planOf(snapshot).moves;
    if (move === undefined) throw new Error('a move was planned');
    const again = (now: Snapshot) =>
      recheck(now, { move, aim: { cpu: true, memory: false, rule: false }, begun: { cpu: false, memory: false }, by: 'planner' });
    expect(again(snapshot)).toBeNull();
    expect(again(snapshotOf([hot, { ...idle('cool'), otherCores: 6 }]))).toMatchObject({ code: 'no-target-cpu' });
    expect(again(snapshotOf([hot, { ...idle('cool'), cordoned: true }]))).toMatchObject({ code: 'cordoned' });
    expect(again(snapshotOf([{ id: 'hot', vms: ['a', 'b', 'c'].map((id) => ({ id, cores: 0.5, gib: 4 })) }, idle('cool')]))).toMatchObject({
      code: 'trouble-over',
    });
    const elsewhere = snapshot.vms.map((vm) => (vm.vmId === move.vmId ? { ...vm, hostId: 'cool' } : vm));
    expect(again({ ...snapshot, vms: elsewhere })).toMatchObject({ code: 'vm-elsewhere' });
  });

  it('a cool-down counts on every path, also of moves by hand, and is there after a restart (PegaProx, Xen Orchestra)', () => {
    for (const cause of moveCauses) {
      const ledger = ['a', 'b', 'c'].map((vmId) => exampleEntry(vmId, 60_000, { cause }));
      const snapshot = snapshotOf([hot, idle('cool')], {}, { ledger });
      const restarted: Snapshot = structuredClone(snapshot);
      expect([cause, steps(snapshot), steps(restarted)]).toEqual([cause, [], []]);
      expect(planOf(snapshot).skipped.map(({ code }) => code)).toContain(pushes ? 'cool-down' : 'not-pulled');
    }
    const old = ['a', 'b', 'c'].map((vmId) => exampleEntry(vmId, 7 * 3_600_000));
    expect(steps(snapshotOf([hot, idle('cool')], {}, { ledger: old }))).toEqual(one);
  });

  it('a move that was only tried spends no budget (ProxBalance); one that was made does, and a restart gives none back', () => {
    const budgets = { ...defaultPolicy.budgets, clusterMovesPerHour: 1 };
    const spent = (outcome: 'moved' | 'stayed') => ({ ledger: [exampleEntry('another', 600_000, { outcome })] });
    expect(steps(snapshotOf([hot, idle('cool')], { budgets }, spent('stayed')))).toEqual(one);
    expect(steps(snapshotOf([hot, idle('cool')], { budgets }, spent('moved')))).toEqual([]);
  });

  it('load that swings takes no VM back to where it has just come from', () => {
    const policy = { coolDownMs: 60_000, coolDownMsMax: 60_000 };
    const left = (agoMs: number) =>
      ['a', 'b', 'c'].map((vmId) => exampleEntry(vmId, agoMs, { fromHostId: 'cool', toHostId: 'hot', cause: 'balance' }));
    expect(steps(snapshotOf([hot, idle('cool')], policy, { ledger: left(10 * 60_000) }))).toEqual([]);
    expect(steps(snapshotOf([hot, idle('cool')], policy, { ledger: left(61 * 60_000) }))).toEqual(one);
  });

  it('what a VM bears is asked: one of a class that is never moved stays, and so does what a person has to approve', () => {
    const classes = { ...defaultPolicy.classes, fixed: { downtimeMsMax: 0, costFactor: 1, moves: 'never' as const } };
    const asked = { ...classes, fixed: { ...classes.fixed, moves: 'approve-only' as const } };
    const vmFacts = ['a', 'b', 'c'].map((vmId) => ({ vmId, slaClass: 'fixed', tenant: null, activity: null }));
    expect(steps(snapshotOf([hot, idle('cool')], { classes }, { vmFacts }))).toEqual([]);
    expect(steps(snapshotOf([hot, idle('cool')], { classes: asked }, { vmFacts }))).toEqual([]);
    expect(steps(snapshotOf([hot, idle('cool')], { classes: asked }, { vmFacts, automatic: false }))).toEqual(one);
  });

  it('the cluster can still lose a host afterwards, where it could before: the guard is hard, as that of Ganeti', () => {
    const hosts = (gib: number): ExampleHost[] => [
      { ...hot, gib: 34, vms: (hot.vms ?? []).map((vm) => ({ ...vm, gib: 8 })) },
      { id: 'cool', gib, vms: [{ id: 'x', cores: 0.1, gib: 20 }] },
      // When it is lost, its VM finds room on `cool` alone.
      { id: 'large', otherCores: 6.2, vms: [{ id: 'y', cores: 0.1, gib: 40 }] },
    ];
    const stepsWith = (gib: number, hostFailures: 0 | 1) => steps(snapshotOf(hosts(gib), { headroom: { hostFailures } }));
    expect(stepsWith(64, 1)).toEqual([]);
    expect(stepsWith(64, 0)).toEqual(one);
    expect(stepsWith(128, 1)).toEqual(one);
  });

  it('replicas are not put on one host, and what belongs together is not torn apart, to relieve a host', () => {
    const rules = (kind: 'affinity' | 'anti-affinity', ...vms: readonly string[]): Rule[] => [{ kind, name: 'r', vms }];
    const cool: ExampleHost = { id: 'cool', vms: [{ id: 'replica', cores: 0.1, gib: 1 }] };
    expect(steps(snapshotOf([hot, cool], {}, { rules: rules('anti-affinity', 'a', 'b', 'replica') })).join()).not.toMatch(/^[ab] >/);
    expect(steps(snapshotOf([hot, cool], {}, { rules: rules('anti-affinity', '*') }))).not.toEqual([]);
    expect(steps(snapshotOf([hot, cool], {}, { rules: rules('affinity', 'a', 'b', 'c') }))).toEqual([]);
    expect(steps(snapshotOf([hot, cool]))).toEqual(one);
  });

  it('a label or name that nobody has keeps nothing in silence: it moves what it would move, and the operator is warned', () => {
    const rule: Rule = { kind: 'ignore', name: 'r', vms: ['label:teir=web', 'wbe-*'] };
    const snapshot = snapshotOf([hot, idle('cool')], {}, { rules: [rule] });
    expect(steps(snapshot)).toEqual(one);
    const facts = { vms: snapshot.vms, hostIds: ['hot', 'cool'], labelsOf: () => undefined };
    expect(conflictsOf(rule, [], facts)).toEqual(['r means no VM that is known now (label:teir=web, wbe-*)']);
  });
});

describe('maintenance', () => {
  const away: ExampleHost = { id: 'away', cordoned: true, vms: [{ id: 'a', cores: 3, gib: 8 }] };
  const gone = (hosts: readonly ExampleHost[]) => drainSteps(exampleSnapshot([away, ...hosts]), 'away', exampleNowMs).steps;

  it('overloads no other host, and sends nothing to a host that is in maintenance as well', () => {
    expect(gone([{ id: 'x', otherCores: 5 }])).toEqual([]);
    expect(gone([{ id: 'x', cordoned: true }])).toEqual([]);
    expect(gone([{ id: 'x', gib: 8, otherGib: 1 }])).toEqual([]);
    expect(gone([{ id: 'x' }])).toMatchObject([{ vmId: 'a', toHostId: 'x' }]);
  });

  it('is no reason for the balancer to bring VMs back to the host', () => {
    const busy: ExampleHost = { id: 'busy', vms: ['d', 'e', 'f'].map((id) => ({ id, cores: 2.5, gib: 4 })) };
    const toward = (cordoned: boolean) => makePlan(exampleSnapshot([busy, { id: 'away', cordoned }])).moves.length;
    expect([toward(true), toward(false)]).toEqual([0, 1]);
  });
});
