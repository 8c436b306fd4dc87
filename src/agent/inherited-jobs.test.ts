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

describe('a switch-over that an earlier process of the agent began', () => {
  const halted = runningVm({ state: 'paused', jobActive: true });

  it('and that stands still for ten seconds is cancelled, so that the VM runs on here', async () => {
    const { hypervisor, logged } = await restarted();
    await vi.advanceTimersByTimeAsync(60_000);
    hypervisor.vm = halted;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(hypervisor.done).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(hypervisor.done[0]).toBe('abort-job');
    hypervisor.vm = runningVm();
    const asked = hypervisor.done.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(hypervisor.done).toHaveLength(asked);
    expect(logged.filter((line) => line.includes('has stalled'))).toHaveLength(1);
  });

  it('is cancelled also when it stood still already as the agent came, and is asked to again until it ends', async () => {
    const { hypervisor } = await restarted((world) => (world.hypervisor.vm = halted));
    await vi.advanceTimersByTimeAsync(9000);
    expect(hypervisor.done.length).toBeGreaterThan(1);
  });

  it('is left alone when its VM runs in between, or it arrives in time', async () => {
    const { hypervisor } = await restarted();
    for (let time = 0; time < 5; time += 1) {
      hypervisor.vm = halted;
      await vi.advanceTimersByTimeAsync(8000);
      hypervisor.vm = moving;
      await vi.advanceTimersByTimeAsync(1000);
    }
    hypervisor.vm = halted;
    await vi.advanceTimersByTimeAsync(8000);
    hypervisor.vm = null;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(hypervisor.done).toEqual([]);
  });

  it('is cancelled although neither guard nor charon answers', async () => {
    const { hypervisor, guard } = await restarted(({ hypervisor: one }) => (one.vm = halted));
    guard.inspect = () => new Promise(() => undefined);
    await vi.advanceTimersByTimeAsync(12_000);
    expect(hypervisor.done).toContain('abort-job');
  });

  it.each(['kept', 'given'] as const)('is not seen in a VM that is an image here, %s', async (note) => {
    const { hypervisor } = await restarted((world) => {
      world.hypervisor.vm = halted;
      world.transports.notes.set(halted.vmId, note);
    });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(hypervisor.done).toEqual([]);
  });

  it.each(['incoming', 'paused'] as const)('is not seen in a VM that comes in, or is halted without a job (%s)', async (state) => {
    const { hypervisor } = await restarted(({ hypervisor: one }) => (one.vm = runningVm({ state, jobActive: state === 'incoming' })));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(hypervisor.done).toEqual([]);
  });
});

describe('a post-copy that an earlier process of the agent began', () => {
  const halves = [
    ['on its source', runningVm({ state: 'paused', jobActive: true, postCopy: 'active' })],
    ['on its source, failed', runningVm({ state: 'paused', jobActive: true, postCopy: 'failed' })],
    ['on its destination', runningVm({ state: 'running', jobActive: true, postCopy: 'active' })],
  ] as const;

  it.each(halves)('is never aborted %s, however long it stands still and whatever is lost', async (_story, half) => {
    const { hypervisor, ipsec, guard, logged } = await restarted((world) => (world.hypervisor.vm = half));
    await vi.advanceTimersByTimeAsync(60_000);
    ipsec.sas = [];
    guard.droppedOutPackets += 1;
    await vi.advanceTimersByTimeAsync(10_000);
    guard.installed = false;
    await vi.advanceTimersByTimeAsync(500);
    expect(guard.installed).toBe(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(hypervisor.done).toEqual([]);
    expect(logged.filter((line) => line.includes('nothing is aborted'))).toHaveLength(1);
  });

  it('is not aborted when its job went into post-copy only after its channel was lost', async () => {
    const { hypervisor, guard } = await restarted();
    guard.droppedOutPackets += 1;
    await vi.advanceTimersByTimeAsync(500);
    expect(hypervisor.done).toEqual(['abort-job']);
    hypervisor.vm = halves[0][1];
    await vi.advanceTimersByTimeAsync(60_000);
    expect(hypervisor.done).toEqual(['abort-job']);
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
