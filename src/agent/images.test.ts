/** Sealed images as an agent carries them: both ends, one process each, and what is left when a process dies. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import type { CommandArgs, ImageAnswer, ImageCall } from '#wire/agent-protocol.ts';
import { runAgent } from './agent.ts';
import { type CommandTable, commandTable } from './commands.ts';
import { runningVm, settings, signed, startArgs, ticketOf, vmId } from './examples.ts';
import { imageDigest, imageOffer } from './fake-transports.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { Remembered } from './remembered.ts';
import { type AgentRooms, openRooms } from './rooms.ts';

type Host = FakeWorld & AgentRooms & { readonly table: CommandTable };

const going = new AbortController().signal;
const stop = { now: new AbortController() };

beforeEach(() => {
  vi.useFakeTimers({ now: 10 });
  stop.now = new AbortController();
});
afterEach(async () => {
  stop.now.abort();
  await vi.advanceTimersByTimeAsync(0);
  vi.useRealTimers();
});

/** One process of an agent, with its ticket; `world` is what outlives it. */
async function newHost(world = fakeWorld(), ticket: Parameters<typeof ticketOf>[0] | null = {}): Promise<Host> {
  const rooms = openRooms(world.parts, settings, await Remembered.load(world.memory), 'boot1');
  const host = { ...world, ...rooms, table: commandTable(world.parts, rooms, settings.hostId) };
  if (ticket !== null) await host.table.run('ticket.accept', { ticket: signed(ticketOf(ticket)) }, going);
  return host;
}

const asDestination = { fromHostId: 'b', toHostId: 'a' };
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('the source of a sealed image', () => {
  const start = { ...startArgs, channelKind: 'sealed-image' } as const;

  async function sending(): Promise<Host> {
    const host = await newHost();
    await host.transfers.start(start, going);
    await wait(0);
    return host;
  }

  function askOf({ transfers }: Host) {
    const status = transfers.status('m1');
    return status.kind === 'running' ? status.ask : null;
  }

  /** Answers what is asked now, as long as `rounds` allow. */
  async function answer(host: Host, ...answers: readonly ImageAnswer[]): Promise<void> {
    for (const one of answers) {
      await host.table.run('transfer.answer', { migrationId: 'm1', askId: askOf(host)?.askId ?? 'none', answer: one }, going);
      await wait(0);
    }
  }

  const offered: ImageAnswer = { kind: 'offered', offer: imageOffer };
  const done: ImageAnswer = { kind: 'done' };

  it('asks through the status of its transfer, one thing after the other, and ends with the last answer', async () => {
    const host = await sending();
    expect(askOf(host)).toEqual({ askId: 'm1-1', call: { kind: 'offer', at: null } });
    expect(host.transports.log).toEqual([]);
    await answer(host, offered);
    expect(askOf(host)).toEqual({ askId: 'm1-2', call: { kind: 'open', sent: imageDigest } });
    await answer(host, done);
    expect(askOf(host)).toEqual({ askId: 'm1-3', call: { kind: 'restore' } });
    await answer(host, done);
    expect(host.transfers.status('m1')).toMatchObject({ kind: 'completed', outcome: { memorySentBytes: 7, cipher: 'age' } });
    expect(host.transports.log).toEqual(['save', 'send', 'give-away', 'forget']);
  });

  it('says nothing of token and recipient in its log', async () => {
    const host = await sending();
    await answer(host, offered, done, done);
    expect(host.logged.join()).not.toMatch(/abab|age1/);
  });

  it('lets go an answer to what is not asked, or not asked any more', async () => {
    const host = await sending();
    await answer(host, offered);
    await host.table.run('transfer.answer', { migrationId: 'm1', askId: 'm1-1', answer: done }, going);
    await host.table.run('transfer.answer', { migrationId: 'm2', askId: 'm1-2', answer: done }, going);
    await wait(0);
    expect(askOf(host)?.askId).toBe('m1-2');
  });

  it('does not take the answer to something else for an offer', async () => {
    const host = await sending();
    await answer(host, done);
    expect(host.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'message-invalid' } });
    expect(host.transports.log).not.toContain('save');
  });

  it('takes the VM back when nobody brings the answer for a minute, and not as long as somebody looks', async () => {
    const host = await sending();
    await answer(host, offered);
    for (let second = 0; second < 90; second += 1) {
      await wait(1000);
      expect(askOf(host)?.askId).toBe('m1-2');
    }
    await wait(80_000);
    expect(host.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'link-lost' } });
    expect(host.transports.log).toContain('take-back');
    expect(host.transports.notes.size).toBe(0);
  });

  it('keeps the image, given, when the answer to the start stays out, whatever aborts it: only both hosts can tell', async () => {
    const host = await sending();
    await answer(host, offered, done);
    host.transfers.abortAllTo('b', new PlimsollError('host-revoked', 'b was revoked'));
    await wait(90_000);
    expect(host.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'truth-unknown' } });
    expect(await host.table.run('vm.find', { vmId }, going)).toMatchObject({ image: 'given' });
    expect(host.transports.log).not.toContain('take-back');
  });

  it('takes the VM back at once on an abort before it was given away', async () => {
    const host = await sending();
    await answer(host, offered);
    await host.table.run('transfer.abort', { migrationId: 'm1', vmId }, going);
    await wait(0);
    expect(host.transports.log).toContain('take-back');
    expect(host.transports.notes.size).toBe(0);
  });

  it('says of its VM that it is moving, in every step, and nothing once that is over', async () => {
    const host = await sending();
    const image = async () => (await host.table.run('vm.find', { vmId }, going)) as { readonly image: string | null };
    for (const next of [offered, done, done]) {
      expect(await image()).toMatchObject({ image: 'moving' });
      await answer(host, next);
    }
    expect(await image()).toMatchObject({ image: null });
  });
});

const imageCalls: Readonly<Record<ImageCall['kind'], ImageCall>> = {
  offer: { kind: 'offer', at: null },
  open: { kind: 'open', sent: imageDigest },
  restore: { kind: 'restore' },
  discard: { kind: 'discard' },
};

describe('the destination of a sealed image', () => {
  const call = (kind: ImageCall['kind'], changes: object = {}): CommandArgs<'image.call'> => ({
    migrationId: 'm1',
    vmId,
    vmEpoch: 3,
    peerHostId: 'b',
    askId: `ask-${kind}`,
    call: imageCalls[kind],
    ...changes,
  });
  const put = (host: Host, ...args: Parameters<typeof call>) => host.table.run('image.call', call(...args), going);

  it('does what it is asked, each ask once however often it is put', async () => {
    const host = await newHost(fakeWorld(), asDestination);
    for (const kind of ['offer', 'open', 'restore'] as const) {
      const first = await put(host, kind);
      expect(await put(host, kind)).toEqual(first);
    }
    expect(host.transports.log).toEqual(['offer', 'open', 'restore']);
  });

  it('answers what takes long when it is asked again, and does not begin anew', async () => {
    const host = await newHost(fakeWorld(), asDestination);
    const { promise, resolve } = Promise.withResolvers<void>();
    host.transports.waiting.set('restore', promise);
    for (let time = 0; time < 3; time += 1) {
      const answer = put(host, 'restore');
      await wait(2000);
      expect(await answer).toEqual({ answer: null });
    }
    resolve();
    await wait(0);
    expect(await put(host, 'restore')).toEqual({ answer: { kind: 'done' } });
    expect(host.transports.log).toEqual(['restore']);
  });

  it('tells a VM that it will never run from one that it does not know about', async () => {
    const refusal = { code: 'hypervisor-failed', message: 'no such bridge' } as const;
    const host = await newHost(fakeWorld(), asDestination);
    host.transports.verdict = { kind: 'refused', refusal };
    expect(await put(host, 'restore')).toEqual({ answer: { kind: 'not-restored', refusal } });
    host.transports.failing.set('restore', new PlimsollError('truth-unknown', 'who knows'));
    expect(await put(host, 'restore', { askId: 'other' })).toMatchObject({
      answer: { kind: 'refused', refusal: { code: 'truth-unknown' } },
    });
  });

  const foreign: readonly (readonly [story: string, ticket: object | null, changes: object, code: string])[] = [
    ['without a ticket', null, {}, 'ticket-invalid'],
    ['with a ticket as the source', {}, {}, 'ticket-invalid'],
    ['for another migration', asDestination, { migrationId: 'm2' }, 'ticket-invalid'],
    ['for another VM', asDestination, { vmId: '00000000-0000-4000-8000-000000000002' }, 'ticket-invalid'],
    ['for another peer', asDestination, { peerHostId: 'c' }, 'ticket-invalid'],
    ['with a later epoch than was accepted', asDestination, { vmEpoch: 4 }, 'ticket-invalid'],
    ['with an overtaken epoch', asDestination, { vmEpoch: 2 }, 'stale-epoch'],
  ];

  it.each(foreign)('does nothing %s', async (_story, ticket, changes, code) => {
    const host = await newHost(fakeWorld(), ticket);
    for (const kind of ['offer', 'open', 'restore', 'discard'] as const)
      await expect(put(host, kind, changes)).rejects.toMatchObject({ code });
    expect(host.transports.log).toEqual([]);
  });

  it('takes nothing from a host that was revoked', async () => {
    const host = await newHost(fakeWorld(), asDestination);
    host.channels.exclude(new Set(['b']));
    for (const kind of ['offer', 'open', 'restore'] as const) await expect(put(host, kind)).rejects.toMatchObject({ code: 'host-revoked' });
    expect(await put(host, 'discard')).toEqual({ answer: { kind: 'done' } });
  });

  it('after a restart of its agent says how a start ended and throws away, for that migration alone, and takes nothing in', async () => {
    const world = fakeWorld();
    await newHost(world, asDestination);
    const next = await newHost(world, null);
    expect(await put(next, 'restore')).toMatchObject({ answer: { kind: 'done' } });
    expect(await put(next, 'discard')).toMatchObject({ answer: { kind: 'done' } });
    for (const kind of ['offer', 'open'] as const) await expect(put(next, kind)).rejects.toMatchObject({ code: 'ticket-invalid' });
    await expect(put(next, 'restore', { vmEpoch: 4 })).rejects.toMatchObject({ code: 'ticket-invalid' });
    await expect(put(next, 'restore', { vmEpoch: 2 })).rejects.toMatchObject({ code: 'stale-epoch' });
  });

  it.each(['offered', 'opened', 'restoring', 'begun'] as const)('says that it has an image, %s', async (held) => {
    const host = await newHost(fakeWorld(), asDestination);
    host.transports.held = held;
    expect(await host.table.run('vm.find', { vmId }, going)).toMatchObject({ image: held });
  });
});

describe('an order about an image', () => {
  it('is refused with an overtaken epoch, and while the transfer is under way', async () => {
    const host = await newHost();
    for (const name of ['image.take-back', 'image.forget', 'image.discard'])
      await expect(host.table.run(name, { vmId, vmEpoch: 2 }, going)).rejects.toMatchObject({ code: 'stale-epoch' });
    await host.transfers.start({ ...startArgs, channelKind: 'sealed-image' }, going);
    for (const name of ['image.take-back', 'image.forget'])
      await expect(host.table.run(name, { vmId, vmEpoch: 3 }, going)).rejects.toMatchObject({ code: 'vm-busy' });
    expect(host.transports.log).toEqual([]);
  });

  it('to take a large VM back is not waited for to its end, and begun once; until it is there the VM is moving', async () => {
    const host = await newHost();
    const { promise, resolve } = Promise.withResolvers<void>();
    host.transports.notes.set(vmId, 'given');
    host.transports.waiting.set('take-back', promise);
    const both = Promise.all([1, 2].map(() => host.table.run('image.take-back', { vmId, vmEpoch: 3 }, going)));
    await wait(5000);
    expect(await both).toEqual([{}, {}]);
    expect(await host.table.run('vm.find', { vmId }, going)).toMatchObject({ image: 'moving' });
    resolve();
    await wait(0);
    expect(await host.table.run('vm.find', { vmId }, going)).toMatchObject({ image: null });
    expect(host.transports.log).toEqual(['take-back']);
  });
});

describe('a new ticket', () => {
  const next = () => ({ ticket: signed(ticketOf({ ticketId: 't2', migrationId: 'm2', vmEpoch: 4 })) });

  it('makes an image of an earlier migration void: it must never be started again', async () => {
    const host = await newHost();
    host.transports.notes.set(vmId, 'given');
    await host.table.run('ticket.accept', next(), going);
    expect(host.transports.notes.size).toBe(0);
    expect(host.transports.log).toEqual(['forget']);
  });

  it('is refused while the VM itself is an image here', async () => {
    const host = await newHost();
    host.transports.notes.set(vmId, 'kept');
    await expect(host.table.run('ticket.accept', next(), going)).rejects.toMatchObject({ code: 'vm-busy' });
    expect(host.transports.notes.get(vmId)).toBe('kept');
  });

  it('that is forged touches no image', async () => {
    const host = await newHost();
    host.transports.notes.set(vmId, 'given');
    const forged = { ticket: signed(ticketOf({ ticketId: 't2', vmEpoch: 4 }), 'somebody') };
    await expect(host.table.run('ticket.accept', forged, going)).rejects.toMatchObject({ code: 'ticket-invalid' });
    expect(host.transports.notes.get(vmId)).toBe('given');
  });
});

describe('an agent that starts', () => {
  async function started(world: FakeWorld): Promise<void> {
    void runAgent(world.parts, settings, stop.now.signal);
    await wait(0);
  }

  it('brings back what was saved and not given away before it dials, and leaves alone what was given away', async () => {
    const world = fakeWorld();
    const other = '00000000-0000-4000-8000-000000000002';
    world.transports.held = 'opened';
    world.transports.notes.set(vmId, 'kept').set(other, 'given');
    const { promise, resolve } = Promise.withResolvers<void>();
    world.transports.waiting.set('take-back', promise);
    await started(world);
    expect(world.lines).toEqual([]);
    resolve();
    await wait(0);
    expect(world.lines).toHaveLength(1);
    expect([...world.transports.notes]).toEqual([[other, 'given']]);
    expect(world.transports.held).toBeNull();
  });

  it('ends a save that an earlier process began and nobody wants any more, so that the VM runs on', async () => {
    const world = fakeWorld();
    world.hypervisor.vm = runningVm({ state: 'paused', jobActive: true });
    world.transports.notes.set(vmId, 'kept');
    world.transports.failing.set('take-back', new PlimsollError('vm-busy', 'libvirt still works on it'));
    await started(world);
    expect(world.hypervisor.done).toEqual(['abort-job']);
    world.hypervisor.vm = runningVm();
    world.transports.failing.clear();
    await wait(6000);
    expect([world.transports.notes.size, world.hypervisor.done]).toEqual([0, ['abort-job']]);
  });

  it('waits for a save that does not end, and complains of it once', async () => {
    const world = fakeWorld();
    world.hypervisor.vm = runningVm({ state: 'paused', jobActive: true });
    world.transports.notes.set(vmId, 'kept');
    world.transports.failing.set('take-back', new PlimsollError('vm-busy', 'libvirt still works on it'));
    world.hypervisor.abortJob = () => Promise.reject(new PlimsollError('hypervisor-failed', 'cannot abort'));
    await started(world);
    await wait(60_000);
    expect(world.logged.filter((line) => line.includes('cannot be ended'))).toHaveLength(1);
    expect(world.transports.notes.get(vmId)).toBe('kept');
  });

  it('dials after ten seconds when that takes longer, and tries again what has failed until it is done', async () => {
    const world = fakeWorld();
    world.hypervisor.vm = runningVm({ state: 'shut-off' });
    world.transports.notes.set(vmId, 'kept');
    world.transports.failing.set('take-back', new PlimsollError('hypervisor-unavailable', 'libvirtd is away'));
    await started(world);
    expect(world.lines).toHaveLength(1);
    await wait(12_000);
    expect(world.transports.log.length).toBeGreaterThan(1);
    expect(world.logged.filter((line) => line.includes('cannot be started again'))).toHaveLength(1);
    world.transports.failing.clear();
    await wait(6000);
    expect(world.transports.notes.size).toBe(0);
    const hung = fakeWorld();
    hung.transports.notes.set(vmId, 'kept');
    hung.transports.waiting.set('take-back', new Promise(() => undefined));
    await started(hung);
    await wait(9999);
    expect(hung.lines).toEqual([]);
    await wait(1);
    expect(hung.lines).toHaveLength(1);
  });
});
