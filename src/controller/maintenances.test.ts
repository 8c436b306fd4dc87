import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Controller, startController } from './controller.ts';
import { FakeAgent, fakeParts, MemoryStore, runningVm, sampleOf, settings, tokens, vmSample } from './fakes.ts';

let stop: AbortController;
let controller: Controller;
let store: MemoryStore;
let agents: readonly FakeAgent[];
let samples = 0;

const refusal = (code: string) => expect.objectContaining({ code, message: expect.stringMatching(/.{10,}/) });
const wish = { hostIds: ['b', 'c'], parallel: 1, until: 'ready' as const, reason: 'new kernel' };

/** Host a has a VM, b and c have none. */
async function begin(): Promise<void> {
  stop = new AbortController();
  const parts = fakeParts(store);
  controller = await startController(parts, settings, tokens, stop.signal);
  agents = [new FakeAgent(parts, 'a', runningVm()), new FakeAgent(parts, 'b'), new FakeAgent(parts, 'c')];
  sample();
}

function sample(): void {
  samples += 1;
  for (const [index, hostId] of ['a', 'b', 'c'].entries())
    agents[index]?.line.deliver({ type: 'sample', sample: sampleOf(hostId, samples, hostId === 'a' ? [vmSample()] : []) });
}

/** With a sample of each host every second. */
async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    await vi.advanceTimersByTimeAsync(1000);
    sample();
  }
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

const phases = async () => (await controller.placement.maintenance()).hosts.map(({ hostId, phase }) => `${hostId} ${phase}`).join(', ');
const audited = () => store.audited.map(({ who, verb, subject }) => `${who} ${verb} ${subject}`);

describe('a maintenance', () => {
  it('takes hosts one after another, each until a person says that it is ready', async () => {
    await controller.placement.startMaintenance(wish, 'anna');
    await pass(3);
    expect(await phases()).toBe('b empty, c waiting');
    expect((await controller.host('b')).cordon).toMatchObject({ reason: 'new kernel', by: 'anna' });
    await controller.placement.readyHost('b', 'ben');
    await pass(4);
    expect(await phases()).toBe('b done, c empty');
    expect((await controller.host('b')).cordon).toBeNull();
    await controller.placement.readyHost('c', 'ben');
    await pass(4);
    expect(await controller.placement.maintenance()).toMatchObject({ outcome: 'done', endedAtMs: expect.any(Number) as number });
    const id = [...store.maintained.keys()][0] ?? '';
    expect(audited().filter((line) => line.includes('maintenance'))).toEqual([
      `anna maintenance.start ${id}`,
      'ben maintenance.ready b',
      'ben maintenance.ready c',
    ]);
  });

  it('goes on after a restart of the controller', async () => {
    await controller.placement.startMaintenance(wish, 'anna');
    await pass(3);
    await end();
    await begin();
    await controller.placement.readyHost('b', 'ben');
    await pass(4);
    expect(await phases()).toBe('b done, c empty');
  });

  it('is refused beside another one, and beside a drain of one of its hosts', async () => {
    const ours = { ...wish, hostIds: ['b', 'a'] };
    await controller.placement.startDrain('a', '', 'ben');
    await expect(controller.placement.startMaintenance(ours, 'anna')).rejects.toEqual(refusal('host-draining'));
    expect(await controller.placement.previewMaintenance(ours)).toMatchObject({
      refusal: expect.stringContaining('host restore a') as string,
    });
    await controller.placement.cancelDrain('a', 'ben');
    await controller.placement.startMaintenance(ours, 'anna');
    await expect(controller.placement.startMaintenance({ ...wish, hostIds: ['c'] }, 'ben')).rejects.toEqual(refusal('maintenance-active'));
    expect(store.maintained.size).toBe(1);
  });

  it('refuses hosts that are not there, twice there, or not in it, and words that come too early', async () => {
    const start = (hostIds: readonly string[]) => controller.placement.startMaintenance({ ...wish, hostIds: [...hostIds] }, 'anna');
    await expect(controller.placement.maintenance()).rejects.toEqual(refusal('maintenance-unknown'));
    await expect(controller.placement.cancelMaintenance('anna')).rejects.toEqual(refusal('maintenance-unknown'));
    await expect(start(['a', 'nowhere'])).rejects.toEqual(refusal('host-unknown'));
    await expect(start(['a', 'b', 'a'])).rejects.toEqual(refusal('input-invalid'));
    expect(store.maintained.size).toBe(0);
    await expect(controller.placement.readyHost('a', 'anna')).rejects.toEqual(refusal('not-in-maintenance'));
    await start(['a', 'b']);
    await expect(controller.placement.readyHost('b', 'anna')).rejects.toEqual(refusal('not-in-maintenance'));
    await vi.advanceTimersByTimeAsync(10);
    await expect(controller.placement.readyHost('a', 'anna')).rejects.toEqual(refusal('host-draining'));
    await expect(controller.placement.readyHost('nowhere', 'anna')).rejects.toEqual(refusal('host-unknown'));
  });

  it('takes no word for a host that is not heard of', async () => {
    await controller.placement.startMaintenance(wish, 'anna');
    await pass(3);
    await vi.advanceTimersByTimeAsync(60_000);
    await expect(controller.placement.readyHost('b', 'anna')).rejects.toEqual(refusal('host-down'));
    expect(await phases()).toBe('b empty, c waiting');
  });

  it('that is cancelled begins no other host, stops the drain, and leaves the host closed', async () => {
    await controller.placement.startMaintenance({ ...wish, hostIds: ['a', 'b'] }, 'anna');
    await vi.advanceTimersByTimeAsync(100);
    const cancelled = await controller.placement.cancelMaintenance('ben');
    expect(cancelled).toMatchObject({ outcome: 'cancelled', hosts: [{ phase: 'draining', held: null }, { phase: 'waiting' }] });
    expect(store.drained.get('a')).toMatchObject({ phase: 'cancelled' });
    expect((await controller.host('a')).cordon).not.toBeNull();
    await pass(5);
    expect(store.drained.has('b')).toBe(false);
    expect(audited().slice(-2)).toEqual([`ben maintenance.cancel ${cancelled.maintenanceId}`, 'ben host.drain-cancel a']);
  });

  it('waits with a host untouched that could not be emptied, says why, and shows it beforehand', async () => {
    await controller.placement.addRule({ kind: 'pin', name: 'home', vms: ['web1'], hosts: ['a'] }, 'anna');
    const preview = await controller.placement.previewMaintenance({ ...wish, hostIds: null });
    expect(preview.hosts.map(({ drain, fault }) => [drain.hostId, fault === null])).toEqual([
      ['a', false],
      ['b', true],
      ['c', true],
    ]);
    await controller.placement.startMaintenance({ ...wish, hostIds: null }, 'anna');
    await pass(3);
    const [first] = (await controller.placement.maintenance()).hosts;
    expect(first).toMatchObject({ hostId: 'a', phase: 'waiting', held: expect.stringContaining('rule home keeps web1 on a') as string });
    expect((await controller.host('a')).cordon).toBeNull();
    expect(store.drained.size).toBe(0);
  });

  it('that cannot be made durable is not begun', async () => {
    store.failing.add('saveMaintenance');
    await expect(controller.placement.startMaintenance(wish, 'anna')).rejects.toBeInstanceOf(Error);
    store.failing.clear();
    await expect(controller.placement.maintenance()).rejects.toEqual(refusal('maintenance-unknown'));
  });
});
