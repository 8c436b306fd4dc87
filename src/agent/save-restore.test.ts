/** A VM that is saved, sent and restored inside IPsec: an image that is sealed, and a channel that is proven and watched. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CommandTable, commandTable } from './commands.ts';
import { association, peer, plan, profile, settings, signed, startArgs, ticketOf, vmId } from './examples.ts';
import { imageDigest, imageOffer } from './fake-transports.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { Remembered } from './remembered.ts';
import { type AgentRooms, openRooms } from './rooms.ts';

type Source = FakeWorld & AgentRooms & { readonly table: CommandTable };

const going = new AbortController().signal;
const saved = { ...plan, options: { ...plan.options, method: 'save-restore' as const } };
const start = { ...startArgs, plan: saved };
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

async function readySource(): Promise<Source> {
  const world = fakeWorld();
  const rooms = openRooms(world.parts, settings, await Remembered.load(world.memory), 'boot1');
  await rooms.gate.accept(signed(ticketOf()), 10);
  await rooms.proofs.probe(peer, 'n1', going);
  return { ...world, ...rooms, table: commandTable(world.parts, rooms, settings.hostId) };
}

async function sending(): Promise<Source> {
  const source = await readySource();
  await source.transfers.start(start, going);
  await wait(0);
  return source;
}

function askOf({ transfers }: Source) {
  const status = transfers.status('m1');
  return status.kind === 'running' ? status.ask : null;
}

async function answer(source: Source, ...answers: readonly ('offered' | 'done')[]): Promise<void> {
  for (const kind of answers) {
    const one = kind === 'offered' ? { kind, offer: imageOffer } : { kind };
    source.transfers.answer('m1', askOf(source)?.askId ?? 'none', one);
    await wait(0);
  }
}

const standing = async ({ table }: Source) => (await table.run('vm.find', { vmId }, going)) as { readonly image: string | null };

describe('a VM that goes as a file inside IPsec', () => {
  it('is offered a place at the destination’s address in the channel', async () => {
    const source = await sending();
    expect(askOf(source)).toEqual({ askId: 'm1-1', call: { kind: 'offer', at: '10.1.0.2' } });
    const transport = { ...peer, profile: { ...profile, name: 'esp-transport' as const } };
    const other = await readySource();
    other.ipsec.sas = [association({ mode: 'transport', udpEncapsulated: false })];
    await other.proofs.probe(transport, 'n2', going);
    await other.transfers.start({ ...start, peer: transport }, going);
    expect(askOf(other)).toMatchObject({ call: { kind: 'offer', at: '10.0.0.2' } });
  });

  it('is saved, sent, given away and forgotten, by no migration of the hypervisor, and not steered', async () => {
    const source = await sending();
    await answer(source, 'offered', 'done', 'done');
    expect(source.transports.log).toEqual(['save', 'send', 'give-away', 'forget']);
    expect([source.hypervisor.migrations, source.hypervisor.changes]).toEqual([[], []]);
    expect(source.transfers.status('m1')).toMatchObject({
      kind: 'completed',
      outcome: { memorySentBytes: imageDigest.bytes, attempts: 1 },
      channel: { sa: { spiOut: 'aa' } },
      attempts: 1,
      decisions: [],
    });
  });

  it('is not given up by the autopilot while the destination takes its time', async () => {
    const source = await sending();
    await answer(source, 'offered');
    for (let second = 0; second < 400; second += 1) {
      expect(askOf(source)).toMatchObject({ call: { kind: 'open' } });
      await wait(1000);
    }
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'running', decisions: [] });
  });

  it('asks the hypervisor for no rung, as there is no ladder', async () => {
    const source = await readySource();
    const asked = vi.fn<FakeWorld['hypervisor']['faultOf']>(() => null);
    source.hypervisor.faultOf = asked;
    await source.transfers.start(start, going);
    expect(asked).not.toHaveBeenCalled();
  });

  it('needs a fresh proof, which is spent', async () => {
    const source = await sending();
    await source.gate.accept(signed(ticketOf({ ticketId: 't2', migrationId: 'm2', vmEpoch: 4 })), 10);
    await expect(source.transfers.start({ ...start, migrationId: 'm2' }, going)).rejects.toMatchObject({ code: 'proof-missing' });
    const unproven = await readySource();
    unproven.ipsec.sas = [association({ spiOut: 'cc' })];
    await expect(unproven.transfers.start(start, going)).rejects.toMatchObject({ code: 'proof-missing' });
    expect(unproven.transports.log).toEqual([]);
  });

  const faults: readonly (readonly [story: string, spoil: (source: Source) => unknown, code: string])[] = [
    ['the guard goes', ({ guard }) => (guard.installed = false), 'guard-missing'],
    ['the SA goes', ({ ipsec }) => (ipsec.sas = []), 'channel-failed'],
    ['it tries to leave in plain text', ({ guard }) => (guard.droppedOutPackets += 1), 'plain-text-seen'],
  ];

  it.each(faults)('is taken back when %s, and was not before', async (_story, spoil, code) => {
    const source = await sending();
    await answer(source, 'offered');
    await wait(5000);
    expect(source.transports.log).toEqual(['save', 'send']);
    spoil(source);
    await wait(600);
    // The destination is told to throw away what it has; it need not answer.
    expect(source.transports.log).toEqual(['save', 'send', 'take-back']);
    await wait(20_000);
    expect(source.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code } });
    expect(source.transports.notes.size).toBe(0);
  });

  it('stands as any sealed image does: moving, then nowhere; given when the end of its start is not known', async () => {
    const source = await sending();
    for (const next of ['offered', 'done', 'done'] as const) {
      expect([await standing(source), source.transfers.ownsImage(vmId)]).toMatchObject([{ image: 'moving' }, true]);
      await answer(source, next);
    }
    expect(await standing(source)).toMatchObject({ image: null });
    const lost = await sending();
    await answer(lost, 'offered', 'done');
    lost.ipsec.sas = [];
    await wait(90_000);
    expect(lost.transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'truth-unknown' } });
    expect(await standing(lost)).toMatchObject({ image: 'given' });
  });
});
