import { defaultPolicy } from '#core/model/policy.ts';
import { describe, expect, it } from 'vitest';
import { fakeParts, MemoryStore, otherVmId, vmId } from './fakes.ts';
import { VmSettings } from './vm-settings.ts';

const { clock } = fakeParts();
const none = { restartable: false, address: null, definitionText: null, slaClass: null, tenant: null, labels: {}, updatedAtMs: 0 };

describe('what operators want for a VM', () => {
  it('is nothing until somebody says so', async () => {
    const settings = await VmSettings.load(new MemoryStore(), clock, defaultPolicy);
    expect(settings.of(vmId)).toEqual({ vmId, ...none });
    expect(settings.isKept(vmId)).toBe(false);
  });

  it('changes in what is given and nothing else, and is known to the next controller', async () => {
    const store = new MemoryStore();
    const settings = await VmSettings.load(store, clock, defaultPolicy);
    expect(await settings.set(vmId, { address: '192.0.2.7' })).toMatchObject({ address: '192.0.2.7', restartable: false });
    expect(await settings.set(vmId, { restartable: true })).toMatchObject({ address: '192.0.2.7', restartable: true });
    await settings.set(otherVmId, { address: '2001:db8::7' });
    const next = await VmSettings.load(store, clock, defaultPolicy);
    expect([next.of(vmId).address, next.of(otherVmId).address]).toEqual(['192.0.2.7', '2001:db8::7']);
    expect(await next.set(vmId, { address: null })).toMatchObject({ address: null, restartable: true });
    expect(next.of(vmId).updatedAtMs).toBeGreaterThan(0);
  });

  it('keeps the definition that was seen last', async () => {
    const store = new MemoryStore();
    store.settings.set(vmId, { vmId, ...none, definitionText: '<domain/>' });
    const settings = await VmSettings.load(store, clock, defaultPolicy);
    expect(await settings.set(vmId, { restartable: true })).toMatchObject({ definitionText: '<domain/>' });
  });

  it.each(['10.0.0', '10.0.0.256', 'dead', '10.0.0.0/24', 'fe80::1%eth0', '', 'host.example', '1'.repeat(9999)])(
    'refuses %j as an address',
    async (address) => {
      const store = new MemoryStore();
      const settings = await VmSettings.load(store, clock, defaultPolicy);
      await expect(settings.set(vmId, { address })).rejects.toMatchObject({ code: 'input-invalid' });
      expect([settings.isKept(vmId), store.settings.size]).toEqual([false, 0]);
    },
  );

  it('has a class of the policy, and a tenant; what the policy does not have is refused with what it has', async () => {
    const store = new MemoryStore();
    const settings = await VmSettings.load(store, clock, defaultPolicy);
    expect(await settings.set(vmId, { slaClass: 'critical', tenant: 'acme' })).toMatchObject({
      slaClass: 'critical',
      effectiveClass: 'critical',
    });
    expect(settings.facts()).toMatchObject([{ vmId, slaClass: 'critical', tenant: 'acme' }]);
    for (const slaClass of ['gold', 'constructor', '', 'Critical'])
      await expect(settings.set(vmId, { slaClass })).rejects.toMatchObject({
        code: 'input-invalid',
        message: `there is no class ${slaClass}: policy.classes in controller.yaml has batch, critical, standard; add it there, or give one of these`,
      });
    await expect(settings.set(vmId, { tenant: 'a b' })).rejects.toMatchObject({ code: 'input-invalid' });
    expect(await settings.set(vmId, { slaClass: null, tenant: null })).toMatchObject({ slaClass: null, effectiveClass: 'standard' });
    expect(settings.facts()).toEqual([]);
  });

  it('has labels, which are added and taken back one by one, and are known to the planner', async () => {
    const store = new MemoryStore();
    const settings = await VmSettings.load(store, clock, defaultPolicy);
    await settings.set(vmId, { labels: { tier: 'web', rack: 'a7' } });
    expect(await settings.set(vmId, { labels: { tier: 'db' } })).toMatchObject({ labels: { rack: 'a7', tier: 'db' } });
    expect(settings.facts()).toEqual([{ vmId, slaClass: null, tenant: null, labels: { rack: 'a7', tier: 'db' } }]);
    expect((await settings.set(vmId, { tenant: 'acme', labels: { rack: null, unknown: null } })).labels).toEqual({ tier: 'db' });
    expect((await VmSettings.load(store, clock, defaultPolicy)).of(vmId).labels).toEqual({ tier: 'db' });
    await expect(settings.set(vmId, { labels: { 'a b': 'c' } })).rejects.toMatchObject({ code: 'input-invalid' });
    const many = Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`key${index}`, 'a']));
    await expect(settings.set(vmId, { labels: many })).rejects.toMatchObject({
      code: 'input-invalid',
      message: 'it would have 33 labels, 32 are the most: take others back first, with --label key-',
    });
    expect((await settings.set(vmId, { tenant: null, labels: { tier: null } })).labels).toEqual({});
    expect(settings.facts()).toEqual([]);
  });

  it('counts as standard when its class is gone from the policy, and the log says so', async () => {
    const store = new MemoryStore();
    for (const id of [vmId, otherVmId]) store.settings.set(id, { vmId: id, ...none, slaClass: 'gold' });
    const gold = { ...defaultPolicy.classes, gold: { downtimeMsMax: 0, costFactor: 2, moves: 'automatic' as const } };
    const warned: unknown[] = [];
    const log = { info: () => undefined, error: () => undefined, warn: (...what: readonly unknown[]) => void warned.push(what) };
    (await VmSettings.load(store, clock, { classes: gold })).warnOfLostClasses(log);
    expect(warned).toEqual([]);
    const settings = await VmSettings.load(store, clock, defaultPolicy);
    settings.warnOfLostClasses(log);
    expect(warned).toEqual([['a class of VMs is not in policy.classes, they count as standard', { slaClass: 'gold', vms: 2 }]]);
    expect(settings.shown(vmId)).toMatchObject({ slaClass: 'gold', effectiveClass: 'standard' });
  });

  it('of two changes at once both hold', async () => {
    const settings = await VmSettings.load(new MemoryStore(), clock, defaultPolicy);
    await Promise.all([settings.set(vmId, { address: '192.0.2.7' }), settings.set(vmId, { restartable: true })]);
    expect(settings.of(vmId)).toMatchObject({ address: '192.0.2.7', restartable: true });
  });

  it('does not count before it is durable, and one that failed is no obstacle for the next', async () => {
    const store = new MemoryStore();
    const settings = await VmSettings.load(store, clock, defaultPolicy);
    store.failing.add('saveVmSettings');
    await expect(settings.set(vmId, { restartable: true })).rejects.toThrow('disk full');
    expect(settings.of(vmId).restartable).toBe(false);
    store.failing.clear();
    expect(await settings.set(vmId, { address: '192.0.2.7' })).toMatchObject({ restartable: false, address: '192.0.2.7' });
  });
});
