import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { BudgetPolicy, Policy, Strategy } from '#core/model/policy.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { SkipCode } from '#core/model/plan.ts';
import { type ExampleFacts, type ExampleHost, exampleEntry, exampleSnapshot, gibibyte } from './examples.ts';
import { makePlan } from './make-plan.ts';

const none: BudgetPolicy = { vmMovesPerDay: 0, tenantMovesPerHour: 0, clusterMovesPerHour: 0, gibPerHour: 0 };
const minuteMs = 60_000;
const hot = (id: string, names: readonly string[]): ExampleHost => ({ id, vms: names.map((name) => ({ id: name, cores: 2.5, gib: 4 })) });
const idle = (id: string): ExampleHost => ({ id, vms: [] });
const pair = [hot('hot', ['a', 'b', 'c']), idle('cool')];
/** Cool-downs are shorter than what is counted. */
const quick: Partial<Policy> = { coolDownMs: minuteMs, coolDownMsMax: minuteMs };

describe.each(['lines', 'balance'] as const satisfies readonly Strategy[])('budgets, by %s', (strategy) => {
  function planned(budgets: Partial<BudgetPolicy>, more: ExampleFacts = {}, hosts: readonly ExampleHost[] = pair) {
    const snapshot = exampleSnapshot(hosts, { ...more, policy: { ...quick, strategy, budgets: { ...none, ...budgets }, ...more.policy } });
    const plan = makePlan(snapshot);
    expect(checkPlan(snapshot, plan)).toEqual([]);
    const why = (code: SkipCode) => plan.skipped.find((skip) => skip.code === code)?.reason ?? null;
    return { moved: plan.moves.map(({ vmName }) => vmName), why };
  }

  const moved = (vmId: string, agoMinutes: number, more: Partial<LedgerEntry> = {}) => exampleEntry(vmId, agoMinutes * minuteMs, more);
  const all = (agoMinutes: number) => ['a', 'b', 'c'].map((vmId) => moved(vmId, agoMinutes));

  it('a VM is moved so often in a day, and it is said when it may again', () => {
    const ledger = [...all(200), ...all(1410)];
    expect(planned({ vmMovesPerDay: 3 }, { ledger }).moved).toHaveLength(1);
    const { moved: held, why } = planned({ vmMovesPerDay: 2 }, { ledger });
    expect(held).toEqual([]);
    expect(why('budget-vm')).toBe('a has moved 2 times within this day, policy.budgets.vmMovesPerDay allows 2: free again in 30 min');
    expect(planned({ vmMovesPerDay: 2 }, { ledger: [...all(200), ...all(1441)] }).moved).toHaveLength(1);
  });

  it("so are a tenant's VMs in an hour, with those that the plan moves before; others' go on", () => {
    const ledger = [moved('gone', 20), moved('other', 20)];
    const vmFacts = ['a', 'b', 'c', 'gone'].map((vmId) => ({ vmId, slaClass: null, tenant: 'acme', activity: null }));
    const { moved: held, why } = planned({ tenantMovesPerHour: 1 }, { ledger, vmFacts });
    expect(held).toEqual([]);
    expect(why('budget-tenant')).toBe(
      'VMs of tenant acme, of which a is one, have moved once within this hour, policy.budgets.tenantMovesPerHour allows 1: free again in 40 min',
    );
    const others = vmFacts.filter(({ vmId }) => vmId !== 'b');
    expect(planned({ tenantMovesPerHour: 1 }, { ledger, vmFacts: others }).moved).toEqual(['b']);
    const twice = [hot('hot', ['a', 'b', 'c']), hot('hotter', ['d', 'e', 'f']), idle('cool'), idle('cooler')];
    const every = ['a', 'b', 'c', 'd', 'e', 'f'].map((vmId) => ({ vmId, slaClass: null, tenant: 'acme', activity: null }));
    expect(planned({}, { vmFacts: every }, twice).moved).toHaveLength(2);
    const within = planned({ tenantMovesPerHour: 1 }, { vmFacts: every }, twice);
    expect(within.moved).toHaveLength(1);
    expect(within.why('budget-tenant')).toContain('free again in 60 min at the earliest');
  });

  it('so is the cluster, with what is under way', () => {
    const ledger = [moved('x', 50), moved('y', 10), moved('z', 61)];
    expect(planned({ clusterMovesPerHour: 3 }, { ledger }).moved).toHaveLength(1);
    const { moved: held, why } = planned({ clusterMovesPerHour: 2 }, { ledger });
    expect(held).toEqual([]);
    expect(why('budget-cluster')).toBe(
      'VMs have moved 2 times within this hour, policy.budgets.clusterMovesPerHour allows 2: free again in 10 min',
    );
    const hosts = [...pair, hot('busy', ['q']), idle('taking')];
    const inFlight = [{ vmId: 'q', fromHostId: 'busy', toHostId: 'taking' }];
    expect(planned({ clusterMovesPerHour: 3 }, { ledger, inFlight }, hosts).moved).toEqual([]);
  });

  it('so many GiB are sent in an hour: by what was sent, else by the memory of a VM that moved, and by nothing of a try that failed', () => {
    const sent = [moved('x', 50, { sentBytes: 7 * gibibyte }), moved('y', 10, { sentBytes: 3 * gibibyte, outcome: 'stayed' })];
    expect(planned({ gibPerHour: 14 }, { ledger: sent }).moved).toHaveLength(1);
    const { moved: held, why } = planned({ gibPerHour: 13 }, { ledger: sent });
    expect(held).toEqual([]);
    expect(why('budget-bytes')).toBe(
      'moving a would send 4 GiB after 10 GiB within this hour, of 13 GiB that policy.budgets.gibPerHour allows: free again in 10 min',
    );
    const unsaid = [moved('b', 50), moved('c', 50, { outcome: 'stayed' })];
    expect(planned({ gibPerHour: 8 }, { ledger: unsaid }).moved).toHaveLength(1);
    expect(planned({ gibPerHour: 7.9 }, { ledger: unsaid }).moved).toEqual([]);
    expect(planned({ gibPerHour: 3 }).why('budget-bytes')).toBe(
      'moving a would send 4 GiB, and policy.budgets.gibPerHour allows 3 GiB in an hour',
    );
  });

  it("a person's moves and drains count, tries that failed do not, and 0 limits nothing", () => {
    const persons = [moved('x', 5, { cause: 'operator' }), moved('y', 5, { cause: 'drain' })];
    expect(planned({ clusterMovesPerHour: 2 }, { ledger: persons }).moved).toEqual([]);
    const failed = persons.map((entry) => ({ ...entry, outcome: 'stayed' as const }));
    expect(planned({ clusterMovesPerHour: 2 }, { ledger: failed }).moved).toHaveLength(1);
    expect(planned({}, { ledger: [...persons, ...all(100)] }).moved).toHaveLength(1);
  });

  it('a move that mends a rule is held up as any other', () => {
    const rules = [{ kind: 'pin' as const, name: 'licence', vms: ['a'], hosts: ['cool'] }];
    const calm = [{ id: 'calm', vms: [{ id: 'a', cores: 1, gib: 4 }] }, idle('cool')];
    const ledger = [moved('x', 50)];
    expect(planned({ clusterMovesPerHour: 2 }, { rules, ledger }, calm).moved).toEqual(['a']);
    const { moved: held, why } = planned({ clusterMovesPerHour: 1 }, { rules, ledger }, calm);
    expect([held, why('budget-cluster')]).toEqual([[], expect.stringContaining('free again in 10 min')]);
  });
});
