import { describe, expect, it } from 'vitest';
import type { DrainPhase } from '#core/model/drain.ts';
import type { Maintenance, MaintenancePhase } from '#core/model/maintenance.ts';
import type { Rule } from '#core/model/rule.ts';
import type { ExampleFacts, ExampleHost } from './examples.ts';
import { exampleSnapshot } from './examples.ts';
import { advanceMaintenance, maintenanceFault, type MaintenanceFacts, withReady } from './maintenance.ts';

function maintenanceOf(phases: Readonly<Record<string, MaintenancePhase>>, changed: Partial<Maintenance> = {}): Maintenance {
  const hosts = Object.entries(phases).map(([hostId, phase]) => ({ hostId, phase, phaseSinceMs: 100, bootId: 'boot-1', drainSinceMs: 50 }));
  const asked = { maintenanceId: 'm', parallel: 1, until: 'ready', by: 'anna', reason: '', startedAtMs: 1 } as const;
  return { ...asked, hosts, endedAtMs: null, outcome: null, ...changed };
}

const quiet: MaintenanceFacts = {
  nowMs: 200,
  drainOf: () => null,
  stuckAt: () => null,
  bootOf: () => 'boot-1',
  faultOf: () => null,
};

const drainedOf = () => ({ phase: 'drained', phaseSinceMs: 150 }) as const;

/** `drains`: the newest of each host, all of this maintenance. */
function advance(maintenance: Maintenance, drains: Readonly<Record<string, DrainPhase>> = {}, facts: Partial<MaintenanceFacts> = {}) {
  const drainOf = (hostId: string) => (drains[hostId] === undefined ? null : { phase: drains[hostId], phaseSinceMs: 150 });
  const next = advanceMaintenance(maintenance, { ...quiet, drainOf, ...facts });
  return {
    phases: next.maintenance.hosts.map(({ hostId, phase }) => `${hostId} ${phase}`).join(', '),
    orders: next.orders.map(({ kind, hostId }) => `${kind} ${hostId}`),
    held: [...next.held].map(([hostId, why]) => `${hostId}: ${why}`),
    maintenance: next.maintenance,
  };
}

describe('a maintenance', () => {
  it('begins with the first host, and stays with it until it is filled again', () => {
    expect(advance(maintenanceOf({ a: 'waiting', b: 'waiting' }))).toMatchObject({ phases: 'a draining, b waiting', orders: ['drain a'] });
    const draining = maintenanceOf({ a: 'draining', b: 'waiting' });
    expect(advance(draining, { a: 'draining' })).toMatchObject({ maintenance: draining, orders: [], held: [] });
    expect(advance(draining, { a: 'drained' })).toMatchObject({ phases: 'a empty, b waiting', orders: [] });
    const empty = maintenanceOf({ a: 'empty', b: 'waiting' });
    expect(advance(empty, { a: 'drained' })).toMatchObject({ maintenance: empty, orders: [] });
    expect(advance(withReady(empty, 'a', { nowMs: 200, drainOf: drainedOf }), { a: 'drained' }).orders).toEqual(['restore a']);
    const restoring = maintenanceOf({ a: 'restoring', b: 'waiting' });
    expect(advance(restoring, { a: 'restoring' })).toMatchObject({ phases: 'a restoring, b waiting', orders: [] });
    expect(advance(restoring, { a: 'restored' })).toMatchObject({ phases: 'a done, b draining', orders: ['drain b'] });
  });

  it('is over with its last host, and does nothing then', () => {
    const { maintenance } = advance(maintenanceOf({ a: 'done', b: 'restoring' }), { b: 'restored' });
    expect(maintenance).toMatchObject({ endedAtMs: 200, outcome: 'done' });
    expect(advance(maintenance)).toMatchObject({ maintenance, orders: [], held: [] });
    const cancelled = maintenanceOf({ a: 'draining', b: 'waiting' }, { endedAtMs: 5, outcome: 'cancelled' });
    expect(advance(cancelled, { a: 'drained' })).toMatchObject({ maintenance: cancelled, orders: [] });
  });

  it('says again what was not carried out, and takes no drain from before for its own', () => {
    const draining = maintenanceOf({ a: 'draining' });
    expect(advance(draining).orders).toEqual(['drain a']);
    const former = { drainOf: () => ({ phase: 'restored', phaseSinceMs: 50 }) as const };
    expect(advance(draining, {}, former)).toMatchObject({ phases: 'a draining', orders: ['drain a'] });
    const restoring = withReady(maintenanceOf({ a: 'empty' }), 'a', { nowMs: 200, drainOf: drainedOf });
    expect(advance(restoring, { a: 'drained' })).toMatchObject({ phases: 'a restoring', orders: ['restore a'] });
  });

  it('begins no host that a dry run does not empty, and goes past none', () => {
    const waiting = maintenanceOf({ a: 'waiting', b: 'waiting' }, { parallel: 2 });
    const facts = { faultOf: (hostId: string) => (hostId === 'a' ? 'db cannot leave it' : null) };
    expect(advance(waiting, {}, facts)).toMatchObject({ maintenance: waiting, orders: [], held: ['a: db cannot leave it'] });
  });

  it('begins no other host while one is held up', () => {
    const two = maintenanceOf({ a: 'draining', b: 'waiting' }, { parallel: 2 });
    expect(advance(two, { a: 'draining' }).phases).toBe('a draining, b draining');
    const stuckAt = () => 'db is paused';
    expect(advance(two, { a: 'draining' }, { stuckAt })).toMatchObject({ maintenance: two, held: ['a: db is paused'] });
    expect(advance(two, { a: 'cancelled' })).toMatchObject({ maintenance: two, held: [expect.stringContaining('plimsoll host drain a')] });
  });

  it('never has more hosts on their way than it may', () => {
    const three = maintenanceOf({ a: 'empty', b: 'restoring', c: 'waiting' }, { parallel: 2 });
    expect(advance(three, { a: 'drained', b: 'restoring' })).toMatchObject({ maintenance: three, orders: [] });
    expect(advance({ ...three, parallel: 3 }, { a: 'drained', b: 'restoring' }).orders).toEqual(['drain c']);
  });

  it('takes a host back by itself when it has rebooted since it was empty, where that was asked for', () => {
    const empty = maintenanceOf({ a: 'empty' }, { until: 'reboot' });
    const rebooted = { bootOf: () => 'boot-2' };
    expect(advance(empty, { a: 'drained' }).orders).toEqual([]);
    expect(advance(empty, { a: 'drained' }, { bootOf: () => null }).orders).toEqual([]);
    expect(advance(empty, { a: 'drained' }, rebooted)).toMatchObject({ phases: 'a restoring', orders: ['restore a'] });
    expect(advance({ ...empty, until: 'ready' }, { a: 'drained' }, rebooted).orders).toEqual([]);
    // One that it has made while it was emptied does not count.
    const during = advance(maintenanceOf({ a: 'draining' }, { until: 'reboot' }), { a: 'drained' }, rebooted);
    expect(during.maintenance.hosts).toMatchObject([{ phase: 'empty', bootId: 'boot-2' }]);
  });

  it('follows what a person does by hand', () => {
    expect(advance(maintenanceOf({ a: 'draining' }), { a: 'restoring' }).phases).toBe('a restoring');
    expect(advance(maintenanceOf({ a: 'empty' }), { a: 'restored' }).phases).toBe('a restoring');
    // Somebody empties it for another reason: that is not undone.
    expect(advance(maintenanceOf({ a: 'restoring' }), { a: 'draining' })).toMatchObject({ phases: 'a done', orders: [] });
    expect(advance(maintenanceOf({ a: 'restoring' }), { a: 'drained' })).toMatchObject({ phases: 'a done', orders: [] });
    expect(advance(maintenanceOf({ a: 'restoring' }), { a: 'cancelled' }).held).toEqual([
      expect.stringContaining('plimsoll host restore a'),
    ]);
  });
});

describe('the dry run before a host', () => {
  const fault = (hosts: readonly ExampleHost[], facts: ExampleFacts = {}, emptying: readonly string[] = []) =>
    maintenanceFault(exampleSnapshot(hosts, facts), 'a', emptying);
  const a: ExampleHost = { id: 'a', vms: [{ id: 'web', cores: 1, gib: 16 }] };

  it('finds nothing where every VM has a place', () => {
    expect(fault([a, { id: 'b' }])).toBeNull();
  });

  it('names the first VM that has none and how many others, and a host that is not heard of', () => {
    const rules: Rule[] = [{ kind: 'pin', name: 'home', vms: ['web'], hosts: ['a'] }];
    expect(fault([a, { id: 'b' }], { rules })).toBe('web cannot leave it (rule-pin): rule home keeps web on a: not on b');
    const paused = { ...a, vms: [...(a.vms ?? []), { id: 'db', cores: 0, state: 'paused' as const }] };
    expect(fault([paused], { rules })).toMatch(/cannot leave it .*; and 1 other VM: 'plimsoll host drain a --dry-run'/);
    expect(fault([{ ...a, status: 'silent' }, { id: 'b' }])).toMatch(/what runs there is not known: a is silent/);
  });

  it('waits for a VM that is on its way there', () => {
    const inFlight = [{ vmId: 'web', fromHostId: 'b', toHostId: 'a' }];
    expect(fault([{ id: 'a' }, { id: 'b', vms: [{ id: 'web', cores: 1 }] }], { inFlight })).toBe('1 VM is on its way there');
  });

  it('leaves their places to the VMs of hosts that are emptied already', () => {
    const busy: ExampleHost = { id: 'b', cordoned: true, vms: [{ id: 'db', cores: 1, gib: 40 }] };
    const hosts: ExampleHost[] = [a, busy, { id: 'c', gib: 60 }];
    expect(fault(hosts)).toBeNull();
    expect(fault(hosts, {}, ['b'])).toMatch(/^web cannot leave it/);
  });

  it('keeps the headroom beside hosts that are emptied already, and asks for none for the first', () => {
    const hosts: ExampleHost[] = [
      { id: 'a', vms: [{ id: 'web', cores: 0.1, gib: 2 }] },
      { id: 'b', cordoned: true },
      { id: 'c', vms: [{ id: 'db', cores: 1, gib: 40 }] },
      { id: 'd', gib: 32 },
    ];
    const facts: ExampleFacts = { policy: { headroom: { hostFailures: 1 } } };
    expect(fault(hosts, {}, ['b'])).toBeNull();
    expect(fault(hosts, facts)).toBeNull();
    expect(fault(hosts, facts, ['b'])).toMatch(/with b and a empty the cluster could not lose another host: .* would find no room/);
  });
});
