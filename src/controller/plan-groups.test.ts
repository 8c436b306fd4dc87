import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { cores } from '#core/model/units.ts';
import { type FakePlanning, openPlanning } from './fake-planning.ts';
import { otherVmId, vmId, vmSample } from './fakes.ts';

let stop: AbortController;
let world: FakePlanning;

/** Only web1 and web2 may leave a, and they have to run together. */
beforeEach(async () => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
  world = await openPlanning({ mode: 'approve', signal: stop.signal });
  const third = { vmId: '00000000-0000-4000-8000-000000000003', name: 'web3' };
  const vms = [
    { cpuUsedCores: cores(1.1) },
    { vmId: otherVmId, name: 'web2', cpuUsedCores: cores(1) },
    { ...third, cpuUsedCores: cores(1.5) },
  ];
  world.vms.a = vms.map((vm) => vmSample(vm));
  world.sample();
  await world.rulings.add({ kind: 'affinity', name: 'pair', vms: ['web1', 'web2'] }, 'anna');
  await world.rulings.add({ kind: 'pin', name: 'home', vms: ['web3'], hosts: ['a'] }, 'anna');
});
afterEach(async () => {
  stop.abort();
  await world.ended();
  vi.useRealTimers();
});

it('VMs that belong together are planned together, and kept with the plan', async () => {
  const { planId } = await world.plan();
  const kept = await world.parts.store.plan(planId);
  expect(kept?.moves.map(({ vmName, toHostId, together }) => ({ vmName, toHostId, together }))).toEqual(
    ['web1', 'web2'].map((vmName) => ({ vmName, toHostId: 'b', together: { rules: ['pair'], vmIds: [vmId, otherVmId] } })),
  );
});

it('a part of them cannot be chosen', async () => {
  const { planId } = await world.plan();
  const refusal = {
    code: 'input-invalid',
    message: `plan ${planId} moves web1 together with web2, because of rule pair: choose all of them, or none`,
  };
  await expect(world.plans.apply(planId, ['web1'], 'anna')).rejects.toMatchObject(refusal);
  await expect(world.plans.rehearse(planId, ['web1'], 'anna')).rejects.toMatchObject(refusal);
  expect(world.parts.store.records.size).toBe(0);
});

it('the first of them starts although it breaks the rule for a while, and the others wait for their turn', async () => {
  const { planId } = await world.plan();
  const { started, waiting, notStarted } = await world.plans.apply(planId, ['web2', 'web1'], 'anna');
  expect(started.map(({ request }) => request.vmName)).toEqual(['web1']);
  expect(waiting).toMatchObject([{ vmName: 'web2', code: 'migration-limit' }]);
  expect(notStarted).toEqual([]);
  const [migration] = world.parts.store.records.values();
  expect(world.surveys.rulesAgainst({ vmId, vmName: 'web1', toHostId: 'b', cause: 'operator', planId: null })).toMatchObject([
    { code: 'rule-forbids' },
  ]);
  expect(migration === undefined ? null : world.surveys.rulesAgainst(migration.request)).toEqual([]);
});
