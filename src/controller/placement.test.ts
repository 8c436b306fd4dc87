import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Controller, startController } from './controller.ts';
import { FakeAgent, fakeParts, type FakeParts, MemoryStore, runningVm, sampleOf, settings, tokens, vmId, vmSample } from './fakes.ts';

let stop: AbortController;
let controller: Controller;
let parts: FakeParts;
let store: MemoryStore;

const refusal = (code: string) => expect.objectContaining({ code, message: expect.stringMatching(/.{10,}/) });

async function begin(): Promise<void> {
  stop = new AbortController();
  parts = fakeParts(store);
  controller = await startController(parts, settings, tokens, stop.signal);
  const agents = [new FakeAgent(parts, 'a', runningVm()), new FakeAgent(parts, 'b'), new FakeAgent(parts, 'c')];
  for (const [index, hostId] of ['a', 'b', 'c'].entries())
    agents[index]?.line.deliver({ type: 'sample', sample: sampleOf(hostId, 1, hostId === 'a' ? [vmSample()] : []) });
}

async function end(): Promise<void> {
  stop.abort();
  await controller.stopped;
}

beforeEach(async () => {
  vi.useFakeTimers({ now: 1_000_000 });
  store = new MemoryStore();
  for (const hostId of ['a', 'b', 'c'])
    store.hostRecords.push({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
  await begin();
});
afterEach(async () => {
  await end();
  vi.useRealTimers();
});

const pinned = { kind: 'pin', name: 'home', vms: ['web1'], hosts: ['b'] } as const;

describe('rules', () => {
  it('are kept over a restart, listed by name, and removed', async () => {
    await controller.placement.addRule({ kind: 'ignore', name: 'z', vms: ['nobody'] }, 'anna');
    await controller.placement.addRule(pinned, 'anna');
    await end();
    await begin();
    expect((await controller.placement.rules()).map(({ rule, warnings }) => [rule.name, warnings.length])).toEqual([
      ['home', 0],
      ['z', 1],
    ]);
    await controller.placement.removeRule('z', 'bob');
    expect(await controller.placement.rules()).toHaveLength(1);
    expect(store.audited.map(({ who, verb, subject }) => `${who} ${verb} ${subject}`)).toEqual([
      'anna rule.add z',
      'anna rule.add home',
      'bob rule.remove z',
    ]);
  });

  it('that cannot be are refused, and nothing is kept', async () => {
    await controller.placement.addRule(pinned, 'anna');
    await expect(controller.placement.addRule(pinned, 'anna')).rejects.toEqual(refusal('rule-exists'));
    await expect(controller.placement.addRule({ ...pinned, name: 'x', hosts: ['b', 'nowhere'] }, 'anna')).rejects.toEqual(
      refusal('host-unknown'),
    );
    await expect(controller.placement.removeRule('x', 'anna')).rejects.toEqual(refusal('rule-unknown'));
    expect(store.ruled.size).toBe(1);
  });

  it('mean VMs by their labels, also by those that they get later, and after a restart', async () => {
    await expect(controller.placement.addRule({ ...pinned, vms: ['label:Tier=*'] }, 'anna')).rejects.toEqual(refusal('input-invalid'));
    await controller.placement.addRule({ ...pinned, vms: ['label:tier=web'], hosts: ['c'] }, 'anna');
    const warnings = async () => (await controller.placement.rules())[0]?.warnings;
    const target = async () => (await controller.checkMigrate({ vm: 'web1' })).toHostId;
    expect([await warnings(), await target()]).toEqual([['home means no VM that is known now (label:tier=web)'], 'b']);
    await controller.setVm('web1', { labels: { tier: 'web' } }, 'bob');
    expect([await warnings(), await target()]).toEqual([[], 'c']);
    expect(await controller.vm('web1')).toMatchObject({ labels: { tier: 'web' } });
    expect((await controller.snapshot()).vmFacts).toMatchObject([{ vmId, labels: { tier: 'web' } }]);
    await end();
    await begin();
    expect(await target()).toBe('c');
    await controller.setVm('web1', { labels: { tier: null } }, 'bob');
    expect([(await controller.vm('web1')).labels, await target()]).toEqual([{}, 'b']);
    expect(store.audited.map(({ who, verb, detail }) => `${who} ${verb} ${detail}`)).toContain('bob vm.set {"labels":{"tier":null}}');
  });

  it('choose the target when nobody names one, and refuse one that is named against them', async () => {
    const target = async () => (await controller.checkMigrate({ vm: 'web1' })).toHostId;
    expect(await target()).toBe('b');
    await controller.placement.addRule({ ...pinned, hosts: ['c'] }, 'anna');
    expect(await target()).toBe('c');
    const { rows } = await controller.checkVm('web1', null);
    const forbidden = rows.filter((row) => row.findings.some(({ check, verdict }) => check === 'rules' && verdict === 'refuse'));
    expect(forbidden.map(({ hostId }) => hostId)).toEqual(['b']);
    expect(await controller.checkMigrate({ vm: 'web1', toHostId: 'b' })).toMatchObject({ refusal: { code: 'rule-forbids' } });
  });
});

describe('a cordoned host', () => {
  it('is no target, shows its cordon, and is open again when it is taken off', async () => {
    await controller.placement.cordon('b', 'new disk', 'anna');
    expect((await controller.host('b')).cordon).toEqual({ hostId: 'b', reason: 'new disk', by: 'anna', atMs: 1_000_000 });
    expect((await controller.snapshot()).hosts.map(({ cordoned }) => cordoned)).toEqual([false, true, false]);
    expect((await controller.checkMigrate({ vm: 'web1' })).toHostId).toBe('c');
    expect(await controller.checkMigrate({ vm: 'web1', toHostId: 'b' })).toMatchObject({ refusal: { code: 'rule-forbids' } });
    await controller.placement.uncordon('b', 'bob');
    expect((await controller.checkMigrate({ vm: 'web1' })).toHostId).toBe('b');
    await expect(controller.placement.cordon('nowhere', '', 'anna')).rejects.toEqual(refusal('host-unknown'));
  });
});

describe('a drain', () => {
  it('is shown before it begins, is durable, cordons the host, and is cancelled', async () => {
    const preview = await controller.placement.previewDrain('a');
    expect(preview.steps).toMatchObject([{ vmId, toHostId: 'b' }]);
    await controller.placement.startDrain('a', 'new disk', 'anna');
    expect(store.drained.get('a')).toMatchObject({ phase: 'draining', by: 'anna' });
    expect((await controller.host('a')).cordon).toMatchObject({ reason: 'new disk' });
    expect(await controller.placement.cancelDrain('a', 'bob')).toMatchObject({ phase: 'cancelled', stays: [], settled: true });
    expect((await controller.host('a')).cordon).not.toBeNull();
    await expect(controller.placement.drain('b')).rejects.toEqual(refusal('drain-unknown'));
    await expect(controller.placement.restore('b', 'anna')).rejects.toEqual(refusal('drain-unknown'));
  });

  it('ends when its host is uncordoned: nobody empties what others fill', async () => {
    await controller.placement.startDrain('a', '', 'anna');
    await controller.placement.uncordon('a', 'anna');
    expect(await controller.placement.drain('a')).toMatchObject({ phase: 'cancelled' });
  });
});
