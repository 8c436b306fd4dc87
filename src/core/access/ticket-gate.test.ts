import { describe, expect, it } from 'vitest';
import type { Ticket } from '#core/model/ticket.ts';
import type { AgentMemoryState } from '#core/ports.ts';
import { acceptTicket, checkControllerEpoch, checkVmEpoch, emptyMemory, mayHaveRun, withEnded } from './ticket-gate.ts';

const ticket: Ticket = {
  ticketId: 't1',
  migrationId: 'm1',
  vmId: 'v1',
  fromHostId: 'a',
  toHostId: 'b',
  vmEpoch: 3,
  controllerEpoch: 2,
  issuedAtMs: 0,
  expiresAtMs: 1000,
};
const now = { nowMs: 10, bootId: 'boot 1' };
const code = (given: Ticket, host = 'a', memory: AgentMemoryState = emptyMemory, nowMs = 10) => {
  const verdict = acceptTicket(given, host, memory, { nowMs, bootId: 'boot 1' });
  return verdict.ok ? verdict.role : verdict.refusal.code;
};

describe('a ticket', () => {
  it('is accepted by its source and its destination and by nobody else', () => {
    expect(code(ticket, 'a')).toBe('source');
    expect(code(ticket, 'b')).toBe('destination');
    expect(code(ticket, 'c')).toBe('ticket-invalid');
  });

  it('is accepted once', () => {
    const first = acceptTicket(ticket, 'a', emptyMemory, now);
    expect(first.ok && code(ticket, 'a', first.memory)).toBe('ticket-used');
  });

  it('expires', () => {
    expect(code(ticket, 'a', emptyMemory, 999)).toBe('source');
    expect(code(ticket, 'a', emptyMemory, 1000)).toBe('ticket-expired');
  });

  it('is refused when a newer migration of the VM or a newer controller has been seen', () => {
    expect(code(ticket, 'a', { ...emptyMemory, vmEpochs: { v1: 3 } })).toBe('stale-epoch');
    expect(code(ticket, 'a', { ...emptyMemory, vmEpochs: { v1: 2 } })).toBe('source');
    expect(code(ticket, 'a', { ...emptyMemory, controllerEpoch: 3 })).toBe('stale-epoch');
  });

  it('with one host as both ends is refused', () => {
    expect(code({ ...ticket, toHostId: 'a' })).toBe('ticket-invalid');
  });

  it('raises what the host remembers, and forgets only expired tickets', () => {
    const memory = { ...emptyMemory, usedTickets: { old: 5, young: 500 } };
    const verdict = acceptTicket(ticket, 'a', memory, now);
    expect(verdict.ok && verdict.memory).toEqual({
      controllerEpoch: 2,
      vmEpochs: { v1: 3 },
      usedTickets: { young: 500, t1: 1000 },
      arrivals: {},
    });
  });
});

describe('epochs', () => {
  it('of a replaced controller are refused', () => {
    expect(checkControllerEpoch(1, { ...emptyMemory, controllerEpoch: 2 })?.code).toBe('stale-epoch');
    expect(checkControllerEpoch(2, { ...emptyMemory, controllerEpoch: 2 })).toBeNull();
  });

  it('of an overtaken migration are refused', () => {
    expect(checkVmEpoch('v1', 1, { ...emptyMemory, vmEpochs: { v1: 2 } })?.code).toBe('stale-epoch');
    expect(checkVmEpoch('v1', 2, { ...emptyMemory, vmEpochs: { v1: 2 } })).toBeNull();
    expect(checkVmEpoch('v2', 0, emptyMemory)).toBeNull();
  });
});

describe('a VM that was to come to a host', () => {
  const memoryOf = (given: Ticket, hostId: string, before: AgentMemoryState = emptyMemory): AgentMemoryState => {
    const verdict = acceptTicket(given, hostId, before, now);
    if (!verdict.ok) throw new Error(verdict.refusal.message);
    return verdict.memory;
  };

  it('may have run there once the machine was restarted, and not before', () => {
    const memory = memoryOf(ticket, 'b');
    expect([mayHaveRun('v1', 'boot 1', memory), mayHaveRun('v1', 'boot 2', memory)]).toEqual([false, true]);
    expect(mayHaveRun('v2', 'boot 2', memory)).toBe(false);
    expect(mayHaveRun('v1', 'boot 2', memoryOf(ticket, 'a'))).toBe(false);
  });

  it('may have run there once its agent has ended it, until it comes again', () => {
    const ended = withEnded('v1', memoryOf(ticket, 'b'));
    if (ended === null) throw new Error('nothing was remembered');
    expect(mayHaveRun('v1', 'boot 1', ended)).toBe(true);
    expect([withEnded('v1', ended), withEnded('v2', ended)]).toEqual([null, null]);
    expect(mayHaveRun('v1', 'boot 1', memoryOf({ ...ticket, ticketId: 't2', vmEpoch: 4 }, 'b', ended))).toBe(false);
  });

  it('is its own again when it is sent on from there', () => {
    const back: Ticket = { ...ticket, ticketId: 't2', fromHostId: 'b', toHostId: 'a', vmEpoch: 4 };
    expect(mayHaveRun('v1', 'boot 2', memoryOf(back, 'b', memoryOf(ticket, 'b')))).toBe(false);
  });
});
