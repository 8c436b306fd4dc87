import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { association, peer, runningVm, settings, signed, startArgs, ticketOf } from './examples.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { Remembered } from './remembered.ts';
import { type AgentRooms, openRooms } from './rooms.ts';

const going = new AbortController().signal;
const moving = runningVm({ jobActive: true });
let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 10 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

async function restarted(spoil: (world: FakeWorld) => unknown = () => undefined): Promise<FakeWorld & AgentRooms> {
  const world = fakeWorld();
  world.hypervisor.vm = moving;
  spoil(world);
  const rooms = openRooms(world.parts, settings, await Remembered.load(world.memory), 'boot1');
  void rooms.inherited.keep(stop.signal);
  await vi.advanceTimersByTimeAsync(3000);
  return { ...world, ...rooms };
}

describe('a migration that an earlier process of the agent began', () => {
  it('goes on as long as its channel holds, however long it takes', async () => {
    const { hypervisor, ipsec, logged } = await restarted();
    await vi.advanceTimersByTimeAsync(30_000);
    await ipsec.rekey();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(hypervisor.done).toEqual([]);
    expect(logged).toHaveLength(1);
  });

  const lost: readonly (readonly [story: string, spoil: (world: FakeWorld) => unknown])[] = [
    ['the guard goes', ({ guard }) => (guard.installed = false)],
    ['the only SA goes', ({ ipsec }) => (ipsec.sas = [])],
    ['it tries to leave in plain text', ({ guard }) => (guard.droppedOutPackets += 1)],
  ];

  it.each(lost)('is aborted when %s', async (_story, spoil) => {
    const world = await restarted();
    spoil(world);
    await vi.advanceTimersByTimeAsync(500);
    expect(world.hypervisor.done).toEqual(['abort-job']);
  });

  it.each(lost)('that has ended is not aborted when %s afterwards', async (_story, spoil) => {
    const world = await restarted();
    world.hypervisor.vm = runningVm();
    await vi.advanceTimersByTimeAsync(500);
    spoil(world);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(world.hypervisor.done).toEqual([]);
  });

  it('is aborted again until it ends, and complained about once', async () => {
    const { hypervisor, guard, logged } = await restarted();
    guard.droppedOutPackets += 1;
    await vi.advanceTimersByTimeAsync(1500);
    expect(hypervisor.done).toEqual(['abort-job', 'abort-job', 'abort-job']);
    expect(logged.filter((line) => line.includes('channel lost'))).toHaveLength(1);
  });

  it('goes on when one of several channels is closed, and while charon is away with its SAs in the kernel', async () => {
    const { hypervisor, ipsec } = await restarted(({ ipsec: one }) => (one.sas = [association(), association({ peerHostId: 'c' })]));
    ipsec.sas = [association({ peerHostId: 'c' })];
    await vi.advanceTimersByTimeAsync(2000);
    ipsec.fault = new PlimsollError('ipsec-unavailable', 'away');
    await vi.advanceTimersByTimeAsync(20_000);
    expect(hypervisor.done).toEqual([]);
  });

  it('is found although libvirtd was away at first, or the controller asked for it late', async () => {
    const late = await restarted(({ hypervisor }) => (hypervisor.fault = new PlimsollError('hypervisor-unavailable', 'away')));
    await vi.advanceTimersByTimeAsync(30_000);
    late.hypervisor.fault = null;
    await vi.advanceTimersByTimeAsync(500);
    expect(late.logged.join()).toContain('is watched');
    const asked = await restarted(({ hypervisor }) => (hypervisor.vm = runningVm()));
    await vi.advanceTimersByTimeAsync(30_000);
    asked.hypervisor.vm = moving;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(asked.logged).toEqual([]);
    asked.inherited.look();
    await vi.advanceTimersByTimeAsync(500);
    expect(asked.logged.join()).toContain('is watched');
  });
});

describe('a job of the hypervisor', () => {
  it('that comes in, or that this process began, is nobody else’s', async () => {
    const incoming = await restarted(({ hypervisor }) => (hypervisor.vm = runningVm({ state: 'incoming', jobActive: true })));
    const own = await restarted(({ hypervisor }) => (hypervisor.vm = runningVm()));
    await own.gate.accept(signed(ticketOf()), 10);
    await own.proofs.probe(peer, 'n1', going);
    await own.transfers.start(startArgs, going);
    own.hypervisor.vm = moving;
    for (const world of [incoming, own]) {
      world.guard.droppedOutPackets += 1;
      await vi.advanceTimersByTimeAsync(400);
      expect(world.hypervisor.done).toEqual([]);
    }
  });
});
