import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TransferOptions } from '#core/model/method.ts';
import { PlimsollError } from '#core/model/result.ts';
import { closeChannel } from './closing.ts';
import {
  association,
  otherPeer,
  peer,
  plan,
  profile,
  rekeyed,
  settings,
  signed,
  stalledRounds,
  startArgs,
  ticketOf,
  vmId,
} from './examples.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { Remembered } from './remembered.ts';
import { type AgentRooms, openRooms } from './rooms.ts';

type Source = FakeWorld & AgentRooms;

const going = new AbortController().signal;
const outcome = { totalMs: 1, downtimeMs: 1, memorySentBytes: 1, iterations: 1 };

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

/** A source with its ticket accepted and its channel proven: all good. */
async function readySource(): Promise<Source> {
  const world = fakeWorld();
  const rooms = openRooms(world.parts, settings, await Remembered.load(world.memory), 'boot1');
  await rooms.gate.accept(signed(ticketOf()), 10);
  await rooms.proofs.probe(peer, 'n1', going);
  return { ...world, ...rooms };
}

async function startedSource(): Promise<Source> {
  const source = await readySource();
  await source.transfers.start(startArgs, going);
  return source;
}

describe('the start of a transfer', () => {
  it('sends the VM once when all is good', async () => {
    const source = await startedSource();
    expect(source.hypervisor.migrations).toMatchObject([{ vmId, peerHostId: 'b', peerAddress: '10.1.0.2', streamSecurity: 'none' }]);
    source.hypervisor.complete(outcome);
    await vi.advanceTimersByTimeAsync(1000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'completed', outcome, channel: { sa: { spiOut: 'aa' } } });
  });

  it('asks the hypervisor first which rungs it cannot take, and does not take those', async () => {
    const source = await readySource();
    const asked: TransferOptions[] = [];
    source.hypervisor.faultOf = (options) => {
      asked.push(options);
      return options.compression === 'none' ? null : { code: 'method-unsupported', message: 'no compression here' };
    };
    const ladder = [{ kind: 'compress', compression: 'xbzrle' } as const, { kind: 'streams', streams: 2 } as const];
    await source.transfers.start({ ...startArgs, plan: { ...plan, pilot: { ...plan.pilot, ladder } } }, going);
    expect(asked.map(({ streams, compression }) => [streams, compression])).toEqual([
      [1, 'xbzrle'],
      [2, 'none'],
    ]);
    const rounds = stalledRounds();
    for (let tick = 0; tick < 480 && source.hypervisor.migrations.length < 2; tick += 1) {
      source.hypervisor.progress(rounds.next());
      await vi.advanceTimersByTimeAsync(250);
    }
    expect(source.hypervisor.migrations.map(({ options }) => options)).toMatchObject([plan.options, { streams: 2, compression: 'none' }]);
    const status = source.transfers.status('m1');
    expect(status).toMatchObject({ kind: 'running', attempts: 2 });
    expect(JSON.stringify(status)).toContain('no compression here');
  });

  it('sends nothing when the hypervisor does not answer that question', async () => {
    const source = await readySource();
    const { methodFault } = source.hypervisor;
    source.hypervisor.methodFault = () => Promise.reject(new PlimsollError('hypervisor-unavailable', 'away'));
    await expect(source.transfers.start(startArgs, going)).rejects.toMatchObject({ code: 'hypervisor-unavailable' });
    expect(source.hypervisor.migrations).toEqual([]);
    source.hypervisor.methodFault = methodFault;
    // Neither ticket nor proof was spent.
    await source.transfers.start(startArgs, going);
    expect(source.hypervisor.migrations).toHaveLength(1);
  });

  const broken: readonly (readonly [story: string, spoil: (source: Source) => unknown, code: string])[] = [
    ['the channel was closed after its proof', (source) => closeChannel(source, 'b', going), 'proof-missing'],
    ['the proof is old', () => vi.advanceTimersByTimeAsync(30_001), 'proof-missing'],
    ['the guard is gone', ({ guard }) => (guard.installed = false), 'guard-missing'],
    ['the SA is gone', ({ ipsec }) => (ipsec.sas = []), 'proof-missing'],
    ['the SA is another one than was proven', ({ ipsec }) => (ipsec.sas = [association({ spiOut: 'cc' })]), 'proof-missing'],
    ['a newer SA stands beside the proven one', ({ ipsec }) => addNewerSa(ipsec), 'proof-missing'],
    ['the SA is being deleted', ({ ipsec }) => (ipsec.sas = [association({ state: 'deleting' })]), 'proof-missing'],
    ['charon is away', ({ ipsec }) => (ipsec.fault = new PlimsollError('ipsec-unavailable', 'away')), 'ipsec-unavailable'],
  ];

  it.each(broken)('sends nothing when %s', async (_story, spoil, code) => {
    const source = await readySource();
    await spoil(source);
    await expect(source.transfers.start(startArgs, going)).rejects.toMatchObject({ code });
    expect(source.hypervisor.migrations).toEqual([]);
    expect(source.transfers.status('m1')).toEqual({ kind: 'unknown' });
  });

  const wrongArgs: readonly (readonly [story: string, changes: object, code: string])[] = [
    ['the ticket is of another migration', { migrationId: 'm2' }, 'ticket-invalid'],
    ['the ticket is for another VM', { vmId: '00000000-0000-4000-8000-000000000002' }, 'ticket-invalid'],
    ['another peer was proven', { peer: otherPeer }, 'proof-missing'],
    ['another address was proven', { peer: { ...peer, addresses: { ...peer.addresses, protected: '10.0.0.66' } } }, 'proof-missing'],
  ];

  it.each(wrongArgs)('sends nothing when %s', async (_story, changes, code) => {
    const source = await readySource();
    await expect(source.transfers.start({ ...startArgs, ...changes }, going)).rejects.toMatchObject({ code });
    expect(source.hypervisor.migrations).toEqual([]);
  });

  it('sends nothing without any proof, or after one that failed', async () => {
    const source = await readySource();
    source.parts.prober.sendProtected = () => Promise.resolve(0);
    await source.proofs.probe(peer, 'n2', going);
    await expect(source.transfers.start(startArgs, going)).rejects.toMatchObject({ code: 'proof-missing' });
    expect(source.hypervisor.migrations).toEqual([]);
  });

  it('sends once when it is asked twice, one after the other or both at once', async () => {
    const source = await startedSource();
    await source.proofs.probe(peer, 'n2', going);
    await expect(source.transfers.start(startArgs, going)).rejects.toMatchObject({ code: 'ticket-used' });
    const atOnce = await readySource();
    await atOnce.gate.accept(signed(ticketOf({ ticketId: 't2', migrationId: 'm2', vmEpoch: 4 })), 10);
    const again = { ...startArgs, migrationId: 'm2' };
    await Promise.allSettled([atOnce.transfers.start(again, going), atOnce.transfers.start(again, going)]);
    expect(source.hypervisor.migrations).toHaveLength(1);
    expect(atOnce.hypervisor.migrations).toHaveLength(1);
  });

  it('sends nothing when the order ran out of time, or the channel was closed, while the proof was looked at', async () => {
    const late = await readySource();
    const order = new AbortController();
    const start = late.transfers.start(startArgs, order.signal);
    order.abort(new PlimsollError('command-timeout', 'late'));
    await expect(start).rejects.toMatchObject({ code: 'command-timeout' });
    const closed = await readySource();
    closed.ipsec.remove = () => Promise.resolve();
    const started = closed.transfers.start(startArgs, going);
    const close = closeChannel(closed, 'b', going);
    await expect(started).rejects.toMatchObject({ code: 'proof-missing' });
    await close;
    expect([...late.hypervisor.migrations, ...closed.hypervisor.migrations]).toEqual([]);
  });
});

function addNewerSa(ipsec: FakeWorld['ipsec']): void {
  ipsec.sas = [...ipsec.sas, association({ childUniqueId: '2', spiOut: 'cc', spiIn: 'dd' })];
}

describe('a transfer by another channel', () => {
  const weaker = { ...startArgs, channelKind: 'none' } as const;

  it.each([
    ['none', 'none'],
    ['qemu-tls', 'qemu-tls'],
  ] as const)('of kind %s goes to the underlay address when the guard was told to let it through', async (channelKind, streamSecurity) => {
    const source = await readySource();
    await source.guard.exempt('10.0.0.2');
    source.ipsec.fault = new PlimsollError('ipsec-unavailable', 'not needed');
    expect(await source.transfers.start({ ...weaker, channelKind }, going)).toMatchObject({ sa: null, errors: null });
    expect(source.hypervisor.migrations).toMatchObject([{ peerAddress: '10.0.0.2', streamSecurity }]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running' });
  });

  const refused: readonly (readonly [story: string, spoil: (source: Source) => unknown, changes: object, code: string])[] = [
    ['nobody was let through', () => undefined, {}, 'grant-missing'],
    ['another host was let through', ({ guard }) => guard.exempt('10.0.0.3'), {}, 'grant-missing'],
    ['the guard is gone', ({ guard }) => letThroughAndRemove(guard), {}, 'guard-missing'],
    ['ssh is not configured', ({ transports }) => transports.withoutSsh(), { channelKind: 'ssh' }, 'profile-unsupported'],
    ['the guard is gone, by ssh', ({ guard }) => letThroughAndRemove(guard), { channelKind: 'ssh' }, 'guard-missing'],
    ['the guard is gone, as an image', ({ guard }) => letThroughAndRemove(guard), { channelKind: 'sealed-image' }, 'guard-missing'],
    ['its peer was revoked, by ssh', (source) => source.channels.exclude(new Set(['b'])), { channelKind: 'ssh' }, 'host-revoked'],
    ['its peer was revoked', (source) => letThroughAndRevoke(source), {}, 'host-revoked'],
  ];

  it.each(refused)('sends nothing when %s', async (_story, spoil, changes, code) => {
    const source = await readySource();
    await spoil(source);
    await expect(source.transfers.start({ ...weaker, ...changes }, going)).rejects.toMatchObject({ code });
    expect([source.hypervisor.migrations, source.transports.log]).toEqual([[], []]);
  });

  it.each(['ssh', 'sealed-image'] as const)('of kind %s goes past the guard, which is not opened for it', async (channelKind) => {
    const source = await readySource();
    await source.transfers.start({ ...weaker, channelKind }, going);
    await vi.advanceTimersByTimeAsync(1000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running' });
    source.guard.installed = false;
    source.guard.exemptPeers.push('10.0.0.2');
    await vi.advanceTimersByTimeAsync(600);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'guard-missing' } });
  });

  it('is aborted when the exemption ends', async () => {
    const source = await readySource();
    await source.guard.exempt('10.0.0.2');
    await source.transfers.start(weaker, going);
    source.guard.exemptPeers.pop();
    await vi.advanceTimersByTimeAsync(600);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'grant-invalid' } });
  });
});

function letThroughAndRemove(guard: FakeWorld['guard']): void {
  guard.exemptPeers.push('10.0.0.2');
  guard.installed = false;
}

function letThroughAndRevoke({ guard, channels }: Source): void {
  guard.exemptPeers.push('10.0.0.2');
  channels.exclude(new Set(['b']));
}

describe('the protection of a transfer by IPsec', () => {
  it('in transport mode is of the way to the underlay address', async () => {
    const source = await readySource();
    const transport = { ...peer, profile: { ...profile, name: 'esp-transport' as const } };
    source.ipsec.sas = [association({ mode: 'transport', udpEncapsulated: false })];
    await source.proofs.probe(transport, 'n2', going);
    await source.transfers.start({ ...startArgs, peer: transport }, going);
    expect(source.hypervisor.migrations).toMatchObject([{ peerAddress: '10.0.0.2' }]);
  });

  it('is refused where it encrypts nothing, proven or not', async () => {
    const source = await readySource();
    const ah = { ...peer, profile: { ...profile, name: 'ah' as const } };
    const sa = association({
      mode: 'transport',
      protocol: 'ah',
      udpEncapsulated: false,
      encryption: 'none',
      integrity: 'HMAC_SHA2_384_192',
    });
    source.ipsec.sas = [sa];
    await source.proofs.probe(ah, 'n2', going);
    await expect(source.transfers.start({ ...startArgs, peer: ah }, going)).rejects.toMatchObject({ code: 'profile-refused' });
    expect(source.hypervisor.migrations).toEqual([]);
  });
});

describe('a transfer under way', () => {
  const lost: readonly (readonly [story: string, spoil: (source: Source) => unknown, code: string])[] = [
    ['the guard', ({ guard }) => (guard.installed = false), 'guard-missing'],
    ['the SA', ({ ipsec }) => (ipsec.sas = []), 'channel-failed'],
    ['the strong cipher', ({ ipsec }) => (ipsec.sas = [rekeyed(association(), { encryption: '3DES_CBC' })]), 'channel-failed'],
    ['the proven SA, for another one', ({ ipsec }) => (ipsec.sas = [association({ spiOut: 'cc', spiIn: 'dd' })]), 'channel-failed'],
    ['its way into IPsec', ({ guard }) => (guard.droppedOutPackets += 1), 'plain-text-seen'],
  ];

  it.each(lost)('is aborted when %s is lost; the VM stays', async (_story, spoil, code) => {
    const source = await startedSource();
    await vi.advanceTimersByTimeAsync(2000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running' });
    spoil(source);
    await vi.advanceTimersByTimeAsync(600);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code } });
  });

  it('goes on when its SA is rekeyed', async () => {
    const source = await startedSource();
    await source.ipsec.rekey();
    await vi.advanceTimersByTimeAsync(5000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running' });
  });

  it('goes on when a daemon cannot be read for a moment, however often that happens', async () => {
    const source = await startedSource();
    for (let time = 0; time < 5; time += 1) {
      source.ipsec.fault = new PlimsollError('ipsec-unavailable', 'restarting');
      await vi.advanceTimersByTimeAsync(2000);
      source.ipsec.fault = null;
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running' });
  });

  it('is aborted when charon stays away, and when it hangs without a word', async () => {
    const away = await startedSource();
    away.ipsec.fault = new PlimsollError('ipsec-unavailable', 'away');
    await vi.advanceTimersByTimeAsync(4000);
    expect(away.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'channel-failed' } });
    const hung = await startedSource();
    hung.ipsec.hangs = true;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(hung.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'channel-failed' } });
  });

  it('is aborted on request; one that another agent process began, by the job of the hypervisor', async () => {
    const source = await startedSource();
    await source.transfers.abort('m1', vmId, going);
    await vi.advanceTimersByTimeAsync(0);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'aborted' } });
    await source.transfers.abort('m0', vmId, going);
    expect(source.hypervisor.done).toEqual(['abort-job']);
  });

  it('says at its end how the channel stood, or that nobody knows', async () => {
    const known = await startedSource();
    await known.ipsec.rekey();
    known.hypervisor.complete(outcome);
    await vi.advanceTimersByTimeAsync(0);
    expect(known.transfers.status('m1')).toMatchObject({ channel: { sa: { replaced: [{ spiOut: 'aa' }] } } });
    const unknown = await startedSource();
    unknown.ipsec.hangs = true;
    unknown.hypervisor.complete(outcome);
    await vi.advanceTimersByTimeAsync(1999);
    expect(unknown.transfers.status('m1')).toMatchObject({ kind: 'running' });
    await vi.advanceTimersByTimeAsync(1);
    expect(unknown.transfers.status('m1')).toMatchObject({ kind: 'completed', outcome, channel: null });
  });

  it('tells at its end what it cost, how often it began and what was decided', async () => {
    const source = await startedSource();
    source.hypervisor.complete(outcome);
    await vi.advanceTimersByTimeAsync(0);
    const sourceCost = { hypervisorCpuSeconds: 1, ipsecCpuSeconds: null, agentCpuSeconds: 0.5 };
    expect(source.transfers.status('m1')).toMatchObject({
      attempts: 1,
      decisions: [],
      outcome: { ...outcome, attempts: 1, sourceCost },
    });
  });

  it('is not held up by a meter that hangs for longer than one reading may take', async () => {
    const source = await readySource();
    source.costMeter.hangs = true;
    await source.transfers.start(startArgs, going);
    source.hypervisor.complete(outcome);
    await vi.advanceTimersByTimeAsync(2000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'completed', outcome: { sourceCost: null } });
  });

  it('keeps another one of the same VM away', async () => {
    const source = await startedSource();
    await source.gate.accept(signed(ticketOf({ ticketId: 't2', migrationId: 'm2', vmEpoch: 4 })), 10);
    await source.proofs.probe(peer, 'n2', going);
    await expect(source.transfers.start({ ...startArgs, migrationId: 'm2' }, going)).rejects.toMatchObject({ code: 'vm-busy' });
    expect(source.hypervisor.migrations).toHaveLength(1);
  });

  it('ends with a sentence that fits the wire, however long the hypervisor complains', async () => {
    const source = await readySource();
    source.hypervisor.migrate = () => Promise.reject(new Error('x'.repeat(10_000)));
    await source.transfers.start(startArgs, going);
    await vi.advanceTimersByTimeAsync(0);
    const status = source.transfers.status('m1');
    expect(status).toMatchObject({ kind: 'failed', refusal: { code: 'hypervisor-failed' } });
    expect(status.kind === 'failed' && status.refusal.message.length).toBe(4096);
  });
});
