import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { Policy } from '#core/model/policy.ts';
import type { VmForecast } from '#core/model/snapshot.ts';
import { cores } from '#core/model/units.ts';
import { applied } from './applied-plan.ts';
import { exampleEntry, type ExampleHost, exampleSnapshot, type ExampleVm } from './examples.ts';
import { makePlan } from './make-plan.ts';

type Facts = Parameters<typeof exampleSnapshot>[1];

function snapshotOf(hosts: readonly ExampleHost[], policy: Partial<Policy> = {}, facts: Facts = {}) {
  return exampleSnapshot(hosts, { ...facts, policy: { strategy: 'pack', movesPerPlanMax: 100, ...policy } });
}

function planned(hosts: readonly ExampleHost[], policy: Partial<Policy> = {}, facts: Facts = {}) {
  const snapshot = snapshotOf(hosts, policy, facts);
  const plan = makePlan(snapshot);
  expect(checkPlan(snapshot, plan)).toEqual([]);
  return plan;
}

function wants(meanCores: number, highCores = meanCores): VmForecast {
  return { meanCores: cores(meanCores), highCores: cores(highCores), horizonMs: 1_800_000, confidencePercent: 100 };
}

/** It goes on as it is. */
function vm(id: string, used: number, more: Partial<ExampleVm> = {}): ExampleVm {
  return { id, cores: used, forecast: wants(used), ...more };
}

function host(id: string, used: number, gib: number, more: Partial<ExampleHost> = {}): ExampleHost {
  return { id, vms: [vm(`vm-${id}`, used, { gib })], ...more };
}

describe('by the strategy pack', () => {
  it('the host that costs least to empty is emptied, into the one that would cost most, and the plan says so', () => {
    const plan = planned([host('a', 1, 8), host('b', 1, 4), host('c', 1, 16)], { movesPerPlanMax: 1 });
    expect(plan.moves).toMatchObject([{ vmName: 'vm-b', fromHostId: 'b', toHostId: 'c' }]);
    expect(plan.moves[0]?.reason).toMatch(
      /^b is the cheapest that can be emptied: 1 VM, 4 GiB; .* c is the fullest host with room: .*expected\.$/,
    );
    expect(plan.summary).toMatch(/^b would be empty for 1 VM and 4 GiB copied: 1 move/);
  });

  it('as many hosts as can be are emptied, and the next plan has nothing to do', () => {
    const snapshot = snapshotOf([host('a', 1, 8), host('b', 1, 4), host('c', 1, 16)]);
    const plan = makePlan(snapshot);
    expect(plan.summary).toMatch(/^b, a would be empty for 2 VMs and 12 GiB copied/);
    const after = applied(snapshot, plan, 33_000);
    expect(makePlan(after)).toMatchObject({ moves: [], verdict: 'balanced' });
    expect(makePlan(after).summary).toBe('No host is over its line and none can be emptied, nothing to do.');
  });

  it('a host that cannot be emptied entirely is not begun, and the plan says what stays', () => {
    const stuck: ExampleHost = { id: 'stuck', vms: [vm('goes', 0.1, { gib: 1 }), vm('paused', 0, { gib: 1, state: 'paused' })] };
    const plan = planned([stuck, host('full', 4.8, 16)]);
    expect(plan).toMatchObject({ moves: [], verdict: 'balanced' });
    expect(plan.skipped).toMatchObject([
      { hostId: 'stuck', vmName: 'paused', code: 'not-running' },
      { hostId: 'full', vmName: 'vm-full', code: 'no-target-cpu' },
    ]);
  });

  it('no host is filled above its stop line, nor above what its VMs are expected to want', () => {
    expect(planned([host('a', 1, 4), host('b', 4, 8)]).moves).toEqual([]);
    const calm = host('b', 3, 8);
    expect(planned([host('a', 1, 4), calm]).moves).toHaveLength(1);
    const soon: ExampleHost = { id: 'a', vms: [vm('burst', 1, { forecast: wants(1, 5) })] };
    const plan = planned([soon, calm]);
    expect(plan.moves).toEqual([]);
    expect(plan.skipped[0]).toMatchObject({
      vmName: 'burst',
      code: 'no-target-cpu',
      reason: expect.stringContaining('expected to want up to'),
    });
    const waiting: ExampleHost = { id: 'a', vms: [vm('waits', 1, { delayCores: 2 })] };
    expect(planned([waiting, calm]).moves).toEqual([]);
  });

  it('a VM without a forecast may want all of its virtual CPUs', () => {
    const unknown = (vcpus: number): ExampleHost => ({ id: 'a', vms: [{ id: 'new', cores: 0.1, vcpus }] });
    expect(planned([unknown(2), host('b', 3, 8)]).moves).toHaveLength(1);
    const plan = planned([unknown(4), host('b', 3, 8)]);
    expect(plan.moves).toEqual([]);
    expect(plan.skipped[0]?.reason).toContain('new has no forecast yet');
  });

  it('a host that is empty already is not filled, neither to empty another one nor to relieve one while another has room', () => {
    expect(planned([host('a', 1, 4), { id: 'empty', vms: [] }]).moves).toEqual([]);
    const hot: ExampleHost = { id: 'hot', vms: [vm('x', 3.5), vm('y', 3.5)] };
    const relieved = (used: number) =>
      planned([hot, host('used', used, 4), { id: 'empty', vms: [] }]).moves.map(({ toHostId }) => toHostId);
    expect(relieved(1)).toEqual(['used']);
    expect(relieved(5)).toEqual(['empty']);
  });

  it('nothing is packed while a host is over its line, a migration is under way, or a host with VMs is not known', () => {
    const hosts = [host('a', 0.5, 4), host('b', 0.5, 8)];
    const over: ExampleHost = { id: 'over', vms: [vm('whale', 7.9)] };
    expect(planned([...hosts, over])).toMatchObject({ moves: [], verdict: 'no-beneficial-move' });
    const inFlight = [{ vmId: 'vm-b', fromHostId: 'b', toHostId: 'c' }];
    expect(planned([...hosts, host('c', 1, 4)], { migrationsPerHostMax: 4 }, { inFlight }).summary).toContain(
      'nothing is packed while 1 migration is under way',
    );
    const silent = host('silent', 1, 4, { status: 'silent' });
    expect(planned([...hosts, silent])).toMatchObject({ moves: [] });
    // Switched off, after it was emptied.
    expect(planned([...hosts, { id: 'off', status: 'silent', vms: [] }]).moves).toHaveLength(1);
  });

  it('where the cluster must be able to lose a host, those that stay in use can do it by themselves', () => {
    const three = [host('a', 0.2, 20, { gib: 64 }), host('b', 0.2, 21, { gib: 64 }), host('c', 0.2, 22, { gib: 64 })];
    expect(planned(three).moves.map(({ fromHostId }) => fromHostId)).toEqual(['a']);
    const small = three.map((each, index) => host(each.id, 0.2, 10 + index));
    expect(planned(small).moves.map(({ fromHostId }) => fromHostId)).toEqual(['a', 'b']);
    const kept = planned(small, { headroom: { hostFailures: 1 } });
    expect(kept.moves.map(({ fromHostId }) => fromHostId)).toEqual(['a']);
    const two = planned(small.slice(1), { headroom: { hostFailures: 1 } });
    expect(two.moves).toEqual([]);
    expect(two.skipped[0]).toMatchObject({ hostId: 'b', code: 'headroom', reason: expect.stringContaining('could not lose') });
  });

  it('rules and cool-downs bind it', () => {
    const hosts = [host('a', 0.5, 4), host('b', 0.5, 8)];
    const apart = { kind: 'anti-affinity', name: 'apart', vms: ['vm-a', 'vm-b'] } as const;
    expect(planned(hosts, {}, { rules: [apart] }).skipped[0]).toMatchObject({ code: 'rule-anti-affinity' });
    const both = ['vm-a', 'vm-b'].map((vmId) => exampleEntry(vmId, 60_000));
    expect(planned(hosts, {}, { ledger: both }).skipped.map(({ code }) => code)).toEqual(['cool-down', 'cool-down']);
  });

  it('a host that was relieved is not filled up again within the hour', () => {
    const hosts = [host('a', 0.5, 4), host('relieved', 3, 8)];
    const left = exampleEntry('gone', 10 * 60_000, { fromHostId: 'relieved', toHostId: 'elsewhere' });
    const plan = planned(hosts, {}, { ledger: [left] });
    expect(plan.moves.map(({ toHostId }) => toHostId)).not.toContain('relieved');
  });

  it('a host with more VMs than a plan may have moves is begun by one plan and ended by the next ones', () => {
    const many: ExampleHost = { id: 'many', vms: Array.from({ length: 5 }, (_, index) => vm(`vm-${index}`, 0.2, { gib: 1 })) };
    const plan = planned([many, host('b', 1, 32)], { movesPerPlanMax: 2 });
    expect(plan.moves).toHaveLength(2);
    expect(plan.summary).toContain('many would be empty for 5 VMs and 5 GiB copied of which this plan has the first 2');
  });
});
