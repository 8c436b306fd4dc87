/** A VM whose memory is on two hosts: whatever goes wrong, neither half is given up, and nothing leaves unprotected. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import type { CommandArgs } from '#wire/agent-protocol.ts';
import { type CommandTable, commandTable } from './commands.ts';
import { association, peer, plan, progressOf, rekeyed, runningVm, settings, signed, startArgs, ticketOf, vmId } from './examples.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { Remembered } from './remembered.ts';
import { type AgentRooms, openRooms } from './rooms.ts';

type Source = FakeWorld & AgentRooms & { readonly table: CommandTable };

const going = new AbortController().signal;
const outcome = { totalMs: 1, downtimeMs: 1, memorySentBytes: 1, iterations: 1 };
const hybrid = { ...plan, options: { ...plan.options, method: 'hybrid' as const }, pilot: { ...plan.pilot, allowPostCopy: true } };
const start = { ...startArgs, plan: hybrid };
const order: CommandArgs<'transfer.recover'> = { migrationId: 'm1', vmId, vmEpoch: 3, peer, plan: hybrid };
const broken = new PlimsollError('post-copy-broken', 'the hosts have lost each other');
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

/** One process of the source's agent, with its channel proven. */
async function newSource(world = fakeWorld()): Promise<Source> {
  const rooms = openRooms(world.parts, settings, await Remembered.load(world.memory), 'boot1');
  await rooms.proofs.probe(peer, 'n1', going);
  return { ...world, ...rooms, table: commandTable(world.parts, rooms, settings.hostId) };
}

async function inPostCopy(): Promise<Source> {
  const source = await newSource();
  await source.gate.accept(signed(ticketOf()), 10);
  await source.transfers.start(start, going);
  source.hypervisor.progress(progressOf({ stage: 'post-copy' }));
  return source;
}

/** The hosts have lost each other, and this process knows it. */
async function inPieces(): Promise<Source> {
  const source = await inPostCopy();
  source.hypervisor.fail(broken);
  await wait(0);
  return source;
}

describe('a transfer in post-copy', () => {
  const lost: readonly (readonly [story: string, spoil: (source: Source) => unknown])[] = [
    ['the guard', ({ guard }) => (guard.installed = false)],
    ['the SA', ({ ipsec }) => (ipsec.sas = [])],
    ['the strong cipher', ({ ipsec }) => (ipsec.sas = [rekeyed(association(), { encryption: '3DES_CBC' })])],
    ['the proven SA, for another one', ({ ipsec }) => (ipsec.sas = [association({ spiOut: 'cc', spiIn: 'dd' })])],
    ['its way into IPsec', ({ guard }) => (guard.droppedOutPackets += 1)],
    ['charon', ({ ipsec }) => (ipsec.fault = new PlimsollError('ipsec-unavailable', 'away'))],
  ];

  it.each(lost)('is not aborted when %s is lost, and arrives when it can', async (_story, spoil) => {
    const source = await inPostCopy();
    spoil(source);
    await wait(20_000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running' });
    expect(source.hypervisor.abortsAsked).toBe(0);
    expect(source.logged.filter((line) => line.includes('channel lost'))).toHaveLength(1);
    source.hypervisor.complete(outcome);
    await wait(2000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'completed' });
  });

  it.each(lost)('control arm: before it, it is aborted when %s is lost', async (_story, spoil) => {
    const source = await newSource();
    await source.gate.accept(signed(ticketOf()), 10);
    await source.transfers.start(start, going);
    source.hypervisor.progress(progressOf());
    spoil(source);
    await wait(20_000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed' });
    expect(source.hypervisor.abortsAsked).toBe(1);
  });

  it('gets its guard back at once, and again and again', async () => {
    const source = await inPostCopy();
    source.guard.installed = false;
    await wait(500);
    expect(source.guard.installed).toBe(true);
    source.guard.isFoughtOver = true;
    source.guard.installed = false;
    await wait(5000);
    expect(source.guard.installs).toBeGreaterThan(5);
  });

  it('stands still behind the guard when its SA is not the proven one any more: that SA is taken down', async () => {
    const source = await inPostCopy();
    source.ipsec.sas = [association({ spiOut: 'cc', spiIn: 'dd' })];
    await wait(500);
    expect([source.ipsec.removed, source.ipsec.sas]).toEqual([['b'], []]);
    const rekeyedOnly = await inPostCopy();
    await rekeyedOnly.ipsec.rekey();
    await wait(5000);
    expect(rekeyedOnly.ipsec.removed).toEqual([]);
  });

  it('is not closed by a look that failed, and is closed when it could not be at first', async () => {
    const source = await inPostCopy();
    await wait(1000);
    const { listSas } = source.ipsec;
    source.ipsec.listSas = () => Promise.reject(new PlimsollError('ipsec-unavailable', 'away'));
    await wait(10_000);
    expect([source.ipsec.removed, source.logged.join()]).toEqual([[], expect.stringContaining('channel lost')]);
    source.ipsec.listSas = listSas;
    source.ipsec.sas = [association({ spiOut: 'cc', spiIn: 'dd' })];
    const { remove } = source.ipsec;
    source.ipsec.remove = () => Promise.reject(new PlimsollError('ipsec-failed', 'not now'));
    await wait(2000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running' });
    source.ipsec.remove = remove;
    await wait(500);
    expect(source.ipsec.removed).toEqual(['b']);
  });

  it('is not aborted on request, nor when its peer is revoked', async () => {
    const source = await inPostCopy();
    await expect(source.table.run('transfer.abort', { migrationId: 'm1', vmId }, going)).rejects.toMatchObject({ code: 'vm-busy' });
    source.transfers.abortAllTo('b', new PlimsollError('host-revoked', 'b was revoked'));
    await wait(1000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running' });
    expect([source.hypervisor.abortsAsked, source.logged.join()]).toEqual([0, expect.stringContaining('would lose the VM')]);
  });

  it('that began while it was being aborted is told by where the VM is, not by why it was aborted', async () => {
    const source = await newSource();
    await source.gate.accept(signed(ticketOf()), 10);
    const { migrate } = source.hypervisor;
    // The hypervisor refuses an abort that comes too late.
    source.hypervisor.migrate = (request, onProgress) => migrate(request, onProgress, going);
    await source.transfers.start(start, going);
    source.hypervisor.progress(progressOf());
    await source.transfers.abort('m1', vmId, going);
    source.hypervisor.progress(progressOf({ stage: 'post-copy' }));
    source.guard.installed = false;
    await wait(1000);
    expect(source.guard.installed).toBe(true);
    source.hypervisor.fail(new PlimsollError('hypervisor-unavailable', 'libvirtd died'));
    await wait(1000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'hypervisor-unavailable' } });
  });

  it('that breaks says so, whatever else was wrong', async () => {
    const source = await newSource();
    await source.gate.accept(signed(ticketOf()), 10);
    const { migrate } = source.hypervisor;
    source.hypervisor.migrate = (request, onProgress) => migrate(request, onProgress, going);
    await source.transfers.start(start, going);
    await source.transfers.abort('m1', vmId, going);
    source.hypervisor.fail(broken);
    await wait(1000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'post-copy-broken' } });
  });
});

describe('a post-copy that failed', () => {
  it('is taken up again through a channel that was proven anew, and then told of as after its start', async () => {
    const source = await inPieces();
    await source.proofs.probe(peer, 'n2', going);
    expect(await source.table.run('transfer.recover', order, going)).toEqual({});
    expect(source.hypervisor.recoveries).toMatchObject([{ vmId, peerHostId: 'b', peerAddress: '10.1.0.2', options: { method: 'hybrid' } }]);
    expect(source.hypervisor.migrations).toHaveLength(1);
    const progress = progressOf({ stage: 'post-copy', memoryRemainingBytes: 7 });
    source.hypervisor.progress(progress);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running', progress, ask: null, attempts: 1 });
    expect([source.transfers.owns(vmId), source.transfers.peers()]).toEqual([true, ['b']]);
    source.hypervisor.complete(outcome);
    await wait(0);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'completed', outcome, channel: { sa: { spiOut: 'aa' } } });
  });

  it('keeps what was decided before', async () => {
    const source = await inPostCopy();
    await wait(20_000);
    source.hypervisor.fail(broken);
    await wait(0);
    const before = source.transfers.status('m1');
    const decisions = before.kind === 'failed' ? before.decisions : [];
    expect(decisions.map(({ action }) => action)).toEqual(['wait for the link']);
    await source.proofs.probe(peer, 'n2', going);
    await source.transfers.recover(order, going);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running', decisions, attempts: 1 });
  });

  it('is taken up by an agent that has restarted since', async () => {
    const world = fakeWorld();
    const first = await newSource(world);
    await first.gate.accept(signed(ticketOf()), 10);
    const next = await newSource(world);
    await next.table.run('transfer.recover', order, going);
    expect(world.hypervisor.recoveries).toHaveLength(1);
    expect(next.transfers.status('m1')).toMatchObject({ kind: 'running', attempts: 1, decisions: [] });
    await expect(next.table.run('transfer.recover', { ...order, vmEpoch: 2 }, going)).rejects.toMatchObject({ code: 'stale-epoch' });
  });

  const refused: readonly (readonly [story: string, spoil: (source: Source) => unknown, code: string])[] = [
    ['without a new proof', () => undefined, 'proof-missing'],
    ['with one of another SA', (source) => provenOtherwise(source), 'proof-missing'],
    ['without a guard', (source) => provenWithoutGuard(source), 'guard-missing'],
    ['with a revoked peer', (source) => provenAndRevoked(source), 'host-revoked'],
  ];

  it.each(refused)('is not taken up %s', async (_story, spoil, code) => {
    const source = await inPieces();
    await spoil(source);
    await expect(source.transfers.recover(order, going)).rejects.toMatchObject({ code });
    expect(source.hypervisor.recoveries).toEqual([]);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'post-copy-broken' } });
  });

  it('is parted from its peer on the destination: the connection from the address inside the channel is ended', async () => {
    const destination = await inPieces();
    const part = { vmId, vmEpoch: 3, peer };
    expect(await destination.table.run('transfer.part', part, going)).toEqual({ ended: 1 });
    expect(destination.hypervisor.done).toEqual(['part from 10.1.0.2']);
    await expect(destination.table.run('transfer.part', { ...part, vmEpoch: 2 }, going)).rejects.toMatchObject({ code: 'stale-epoch' });
  });

  it('is taken up once at a time', async () => {
    const source = await inPieces();
    await source.proofs.probe(peer, 'n2', going);
    await Promise.allSettled([source.transfers.recover(order, going), source.transfers.recover(order, going)]);
    expect(source.hypervisor.recoveries).toHaveLength(1);
    await source.proofs.probe(peer, 'n3', going);
    await expect(source.transfers.recover(order, going)).rejects.toMatchObject({ code: 'vm-busy' });
    source.hypervisor.fail(broken);
    await wait(0);
    // The proof was not spent by the refusal.
    await source.transfers.recover(order, going);
    expect(source.hypervisor.recoveries).toHaveLength(2);
  });

  it('and is being taken up is not aborted, by nobody and nothing, and breaks as it did before', async () => {
    const source = await inPieces();
    await source.proofs.probe(peer, 'n2', going);
    await source.transfers.recover(order, going);
    await expect(source.transfers.abort('m1', vmId, going)).rejects.toMatchObject({ code: 'vm-busy' });
    source.ipsec.sas = [];
    await wait(5000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running' });
    expect(source.hypervisor.abortsAsked).toBe(0);
    source.hypervisor.fail(broken);
    await wait(0);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'post-copy-broken' } });
  });

  it('is not aborted by its job either, when another process of the agent had begun it', async () => {
    const source = await newSource();
    for (const postCopy of ['active', 'failed'] as const) {
      source.hypervisor.vm = runningVm({ state: 'paused', jobActive: true, postCopy });
      await expect(source.transfers.abort('m0', vmId, going)).rejects.toMatchObject({ code: 'vm-busy' });
    }
    expect(source.hypervisor.done).toEqual([]);
  });
});

async function provenOtherwise(source: Source): Promise<void> {
  await source.proofs.probe(peer, 'n2', going);
  source.ipsec.sas = [association({ spiOut: 'cc' })];
}

async function provenWithoutGuard(source: Source): Promise<void> {
  await source.proofs.probe(peer, 'n2', going);
  source.guard.installed = false;
}

async function provenAndRevoked(source: Source): Promise<void> {
  await source.proofs.probe(peer, 'n2', going);
  source.channels.exclude(new Set(['b']));
}
