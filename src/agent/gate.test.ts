import { describe, expect, it } from 'vitest';
import { receiptPayloadType } from '#core/access/envelope.ts';
import type { SignedTicket } from '#core/model/ticket.ts';
import { signed, ticketOf, vmId } from './examples.ts';
import { FakeMemory, fakeWorld } from './fakes.ts';
import { Gate } from './gate.ts';
import { Remembered } from './remembered.ts';

const otherVmId = '00000000-0000-4000-8000-000000000002';

/** An agent process that starts on this disk. */
async function gateOn(memory: FakeMemory): Promise<Gate> {
  return new Gate('a', await Remembered.load(memory), fakeWorld().parts.ticketVerifier, () => 'boot 1');
}

function usedBefore(): FakeMemory {
  const memory = new FakeMemory();
  memory.saved = { controllerEpoch: 2, vmEpochs: { [vmId]: 2 }, usedTickets: {}, arrivals: {} };
  return memory;
}

describe('a ticket shown to an agent', () => {
  const untouched = signed(ticketOf());

  it('is accepted when it is untouched, and lets its one transfer begin', async () => {
    const gate = await gateOn(usedBefore());
    await gate.accept(untouched, 10);
    expect(gate.spend('m1', vmId, 'b', 20)).toEqual(ticketOf());
  });

  const refused: readonly (readonly [story: string, ticket: SignedTicket, code: string])[] = [
    ['has expired', signed(ticketOf({ expiresAtMs: 10 })), 'ticket-expired'],
    ['is for two other hosts', signed(ticketOf({ fromHostId: 'c', toHostId: 'd' })), 'ticket-invalid'],
    ['is signed with another key', signed(ticketOf(), 'somebody'), 'ticket-invalid'],
    ['is signed as another kind of statement', signed(ticketOf(), undefined, receiptPayloadType), 'ticket-invalid'],
    ['was changed after it was signed', { ...untouched, payload: signed(ticketOf({ toHostId: 'c' })).payload }, 'ticket-invalid'],
    ['has no signature', { ...untouched, signature: '' }, 'ticket-invalid'],
    ['is not base64', { ...untouched, payload: '***' }, 'ticket-invalid'],
    ['has fields that nobody knows', signed({ ...ticketOf(), root: true }), 'ticket-invalid'],
    ['is no ticket, though signed', signed('a word'), 'ticket-invalid'],
    ['is from a controller that has been replaced', signed(ticketOf({ controllerEpoch: 1 })), 'stale-epoch'],
    ['is older than the newest migration of its VM', signed(ticketOf({ vmEpoch: 2 })), 'stale-epoch'],
  ];

  it.each(refused)('is refused when it %s', async (_story, ticket, code) => {
    const memory = usedBefore();
    const gate = await gateOn(memory);
    await expect(gate.accept(ticket, 10)).rejects.toMatchObject({ code });
    expect(memory.saved.usedTickets).toEqual({});
    expect(() => gate.spend('m1', vmId, 'b', 20)).toThrow(expect.objectContaining({ code: 'ticket-invalid' }));
  });

  it('is accepted once, also by the next agent process on this disk', async () => {
    const memory = new FakeMemory();
    const gate = await gateOn(memory);
    await gate.accept(untouched, 10);
    await expect(gate.accept(untouched, 11)).rejects.toMatchObject({ code: 'ticket-used' });
    await expect((await gateOn(memory)).accept(untouched, 12)).rejects.toMatchObject({ code: 'ticket-used' });
  });

  it('is not accepted while the agent cannot remember it, and is good again when it can', async () => {
    const memory = new FakeMemory();
    memory.fault = new Error('disk full');
    const gate = await gateOn(memory);
    await expect(gate.accept(untouched, 10)).rejects.toThrow('disk full');
    expect(() => gate.spend('m1', vmId, 'b', 20)).toThrow(expect.objectContaining({ code: 'ticket-invalid' }));
    memory.fault = null;
    await gate.accept(untouched, 10);
    expect(gate.spend('m1', vmId, 'b', 20).ticketId).toBe('t1');
  });

  it('is not spent twice, for another VM or destination, at the destination, or after its end', async () => {
    const code = (wanted: string): unknown => expect.objectContaining({ code: wanted });
    const gate = await gateOn(new FakeMemory());
    await gate.accept(untouched, 10);
    await gate.accept(signed(ticketOf({ ticketId: 't2', migrationId: 'm2', vmId: otherVmId, fromHostId: 'b', toHostId: 'a' })), 10);
    expect(() => gate.spend('m1', otherVmId, 'b', 20)).toThrow(code('ticket-invalid'));
    expect(() => gate.spend('m1', vmId, 'c', 20)).toThrow(code('ticket-invalid'));
    expect(() => gate.spend('m2', otherVmId, 'b', 20)).toThrow(code('ticket-invalid'));
    expect(() => gate.spend('m1', vmId, 'b', 100_000)).toThrow(code('ticket-expired'));
    gate.spend('m1', vmId, 'b', 20);
    expect(() => gate.spend('m1', vmId, 'b', 21)).toThrow(code('ticket-used'));
  });

  it('is not spent after a newer migration of its VM was permitted', async () => {
    const gate = await gateOn(new FakeMemory());
    await gate.accept(untouched, 10);
    await gate.accept(signed(ticketOf({ ticketId: 't2', migrationId: 'm2', vmEpoch: 4 })), 10);
    expect(() => gate.spend('m1', vmId, 'b', 20)).toThrow(expect.objectContaining({ code: 'stale-epoch' }));
  });

  it('finds no room beside too many that are still valid, and finds it when they have expired', async () => {
    const gate = await gateOn(new FakeMemory());
    const numbered = (index: number) => signed(ticketOf({ ticketId: `t${index}`, migrationId: `m${index}`, vmEpoch: index + 1 }));
    for (let index = 0; index < 256; index += 1) await gate.accept(numbered(index), 10);
    await expect(gate.accept(numbered(256), 10)).rejects.toMatchObject({ code: 'migration-limit' });
    await gate.accept(signed(ticketOf({ ticketId: 'late', vmEpoch: 1000, expiresAtMs: 300_000 })), 200_000);
  });
});

describe('epochs', () => {
  it('of a replaced controller are refused, also after a restart of the agent', async () => {
    const memory = new FakeMemory();
    const gate = await gateOn(memory);
    await gate.admitController(5);
    await gate.admitController(5);
    await expect(gate.admitController(4)).rejects.toMatchObject({ code: 'stale-epoch' });
    await expect((await gateOn(memory)).admitController(4)).rejects.toMatchObject({ code: 'stale-epoch' });
    await (await gateOn(memory)).admitController(6);
    expect(memory.saved.controllerEpoch).toBe(6);
  });

  it('of a controller that cannot be remembered are refused', async () => {
    const memory = new FakeMemory();
    const gate = await gateOn(memory);
    memory.fault = new Error('disk full');
    await expect(gate.admitController(7)).rejects.toThrow('disk full');
    memory.fault = null;
    await gate.admitController(1);
  });

  it('of a VM that a newer migration has overtaken are refused, also after a restart of the agent', async () => {
    const memory = new FakeMemory();
    await (await gateOn(memory)).accept(signed(ticketOf({ vmEpoch: 9 })), 10);
    const gate = await gateOn(memory);
    expect(() => gate.admitVmOrder(vmId, 8)).toThrow(expect.objectContaining({ code: 'stale-epoch' }));
    gate.admitVmOrder(vmId, 9);
  });
});
