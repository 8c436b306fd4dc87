/**
 * Whether a host may obey: the fencing half of a ticket. The signature is checked by the caller (it needs a
 * key); everything here is a comparison of what the ticket says with what this host remembers.
 */
import type { HostId } from '#core/model/host.ts';
import type { Refusal } from '#core/model/result.ts';
import type { Ticket } from '#core/model/ticket.ts';
import type { VmId } from '#core/model/vm.ts';
import type { AgentMemoryState } from '#core/ports.ts';

export type TicketRole = 'source' | 'destination';

export type TicketVerdict =
  | { readonly ok: true; readonly role: TicketRole; readonly memory: AgentMemoryState }
  | { readonly ok: false; readonly refusal: Refusal };

export const emptyMemory: AgentMemoryState = { controllerEpoch: 0, vmEpochs: {}, usedTickets: {}, arrivals: {} };

/** When and where a ticket is looked at: `nowMs` since the Unix epoch, `bootId` of the machine. */
export interface Moment {
  readonly nowMs: number;
  readonly bootId: string;
}

/** Accepts a ticket once. On success `memory` is what must be durable before anything is done with it. */
export function acceptTicket(ticket: Ticket, hostId: HostId, memory: AgentMemoryState, { nowMs, bootId }: Moment): TicketVerdict {
  const role = ticket.fromHostId === hostId ? 'source' : ticket.toHostId === hostId ? 'destination' : null;
  if (role === null)
    return refuse('ticket-invalid', `ticket ${ticket.ticketId} is for ${ticket.fromHostId} and ${ticket.toHostId}, not for ${hostId}`);
  if (ticket.fromHostId === ticket.toHostId) return refuse('ticket-invalid', `ticket ${ticket.ticketId} names one host as both ends`);
  if (nowMs >= ticket.expiresAtMs)
    return refuse('ticket-expired', `ticket ${ticket.ticketId} has expired: start the migration again; check the hosts' clocks`);
  if (Object.hasOwn(memory.usedTickets, ticket.ticketId))
    return refuse('ticket-used', `ticket ${ticket.ticketId} was used before: start the migration again`);
  const stale = staleEpoch(ticket, memory);
  if (stale) return { ok: false, refusal: stale };
  const arrivals = arrivalsWith(memory.arrivals, ticket.vmId, role === 'destination' ? bootId : null);
  return { ok: true, role, memory: { ...remember(ticket, memory, nowMs), arrivals } };
}

/** Of an arrival that has ended here: no boot of any machine. */
const endedBoot = '';

/**
 * Whether a VM was to come to this machine, and the machine was restarted since, or has ended the VM itself. If it is not here it may have
 * run here all the same, and have written to its disk: what is left of it elsewhere is older then.
 */
export function mayHaveRun(vmId: VmId, bootId: string, { arrivals }: AgentMemoryState): boolean {
  const before = Object.hasOwn(arrivals, vmId) ? arrivals[vmId] : undefined;
  return before !== undefined && before !== bootId;
}

/** To be durable before a VM is ended here: it may have run. Null when it was not to come here, or that is known. */
export function withEnded(vmId: VmId, memory: AgentMemoryState): AgentMemoryState | null {
  const arrived = Object.hasOwn(memory.arrivals, vmId) && memory.arrivals[vmId] !== endedBoot;
  return arrived ? { ...memory, arrivals: { ...memory.arrivals, [vmId]: endedBoot } } : null;
}

/** A controller with a lower epoch than one seen before has been replaced; its commands are refused. */
export function checkControllerEpoch(epoch: number, memory: AgentMemoryState): Refusal | null {
  if (epoch >= memory.controllerEpoch) return null;
  return {
    code: 'stale-epoch',
    message: `controller epoch ${epoch} is older than ${memory.controllerEpoch}: a newer controller has taken over`,
  };
}

/** An order about a VM must carry the newest epoch this host knows for it. */
export function checkVmEpoch(vmId: string, epoch: number, memory: AgentMemoryState): Refusal | null {
  const known = memory.vmEpochs[vmId] ?? 0;
  if (epoch >= known) return null;
  return { code: 'stale-epoch', message: `epoch ${epoch} of VM ${vmId} is older than ${known}: a newer migration has begun` };
}

/** A VM is started anew under an epoch that no other order has had: the same order, or an older one, is refused from then on. */
export function raiseVmEpoch(
  vmId: string,
  epoch: number,
  memory: AgentMemoryState,
): { readonly refusal: Refusal | null; readonly memory: AgentMemoryState } {
  const known = memory.vmEpochs[vmId] ?? 0;
  if (epoch > known) return { refusal: null, memory: { ...memory, vmEpochs: { ...memory.vmEpochs, [vmId]: epoch } } };
  const message = `VM ${vmId} is not started: epoch ${epoch} was used before, ${known} is the newest here`;
  return { refusal: { code: 'stale-epoch', message }, memory };
}

function staleEpoch(ticket: Ticket, memory: AgentMemoryState): Refusal | null {
  const controller = checkControllerEpoch(ticket.controllerEpoch, memory);
  if (controller) return controller;
  const known = memory.vmEpochs[ticket.vmId] ?? 0;
  if (ticket.vmEpoch > known) return null;
  return {
    code: 'stale-epoch',
    message: `ticket ${ticket.ticketId} has epoch ${ticket.vmEpoch} of VM ${ticket.vmId}, but ${known} was seen already`,
  };
}

function arrivalsWith(arrivals: AgentMemoryState['arrivals'], vmId: VmId, bootId: string | null): AgentMemoryState['arrivals'] {
  const others = Object.entries(arrivals).filter(([other]) => other !== vmId);
  return Object.fromEntries(bootId === null ? others : [...others, [vmId, bootId]]);
}

function remember(ticket: Ticket, memory: AgentMemoryState, nowMs: number): Omit<AgentMemoryState, 'arrivals'> {
  const stillValid = Object.entries(memory.usedTickets).filter(([, expiresAtMs]) => expiresAtMs > nowMs);
  return {
    controllerEpoch: Math.max(memory.controllerEpoch, ticket.controllerEpoch),
    vmEpochs: { ...memory.vmEpochs, [ticket.vmId]: ticket.vmEpoch },
    usedTickets: { ...Object.fromEntries(stillValid), [ticket.ticketId]: ticket.expiresAtMs },
  };
}

function refuse(code: Refusal['code'], message: string): TicketVerdict {
  return { ok: false, refusal: { code, message } };
}
