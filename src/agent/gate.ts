import { preAuthenticationEncoding, ticketPayloadType } from '#core/access/envelope.ts';
import { decodeBase64 } from '#core/access/base64.ts';
import {
  acceptTicket,
  checkControllerEpoch,
  checkVmEpoch,
  mayHaveRun,
  raiseVmEpoch,
  type TicketRole,
  withEnded,
} from '#core/access/ticket-gate.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { SignedTicket, Ticket } from '#core/model/ticket.ts';
import type { Verifier } from '#core/ports.ts';
import { TicketSchema } from '#wire/resources.ts';
import { parse } from '#wire/validate.ts';
import type { Remembered } from './remembered.ts';

interface Held {
  readonly ticket: Ticket;
  readonly role: TicketRole;
  spent: boolean;
}

const heldMax = 256;

/** Decides whether this host may obey: controller epochs, VM epochs and single-use tickets. */
export class Gate {
  readonly #hostId: string;
  readonly #remembered: Remembered;
  readonly #verifier: Verifier;
  readonly #bootId: () => string;
  readonly #held = new Map<string, Held>();

  constructor(hostId: string, remembered: Remembered, verifier: Verifier, bootId: () => string) {
    this.#hostId = hostId;
    this.#remembered = remembered;
    this.#verifier = verifier;
    this.#bootId = bootId;
  }

  /** Whether this VM was to come here before the machine was restarted, or has ended here, and so may have run here. */
  mayHaveRun(vmId: string): boolean {
    return mayHaveRun(vmId, this.#bootId(), this.#remembered.state);
  }

  /** It is about to be ended here, and if it has arrived at all it may have run; durable from here on. */
  async noteEnd(vmId: string): Promise<void> {
    await this.#remembered.update((state) => ({ state: withEnded(vmId, state), outcome: null }));
  }

  /** Throws `stale-epoch` for a controller that has been replaced; remembers a newer one. */
  async admitController(epoch: number): Promise<void> {
    throwIfRefused(
      await this.#remembered.update((state) => {
        const refusal = checkControllerEpoch(epoch, state);
        const newer = refusal === null && epoch > state.controllerEpoch;
        return { state: newer ? { ...state, controllerEpoch: epoch } : null, outcome: refusal };
      }),
    );
  }

  /** Throws `stale-epoch` for an order about a VM that a newer migration has overtaken. */
  admitVmOrder(vmId: string, epoch: number): void {
    throwIfRefused(checkVmEpoch(vmId, epoch, this.#remembered.state));
  }

  /** Throws `stale-epoch` unless the VM is to be started under a new epoch; from here on it is used up, durably. */
  async admitStart(vmId: string, epoch: number): Promise<void> {
    throwIfRefused(
      await this.#remembered.update((state) => {
        const { refusal, memory } = raiseVmEpoch(vmId, epoch, state);
        return { state: refusal === null ? memory : null, outcome: refusal };
      }),
    );
  }

  /** Checks signature, expiry, single use and epochs; from here on the ticket is used up, durably. */
  async accept(signed: SignedTicket, nowMs: number): Promise<Ticket> {
    const ticket = this.#open(signed);
    if (this.#held.size >= heldMax) this.#forgetExpired(nowMs);
    if (this.#held.size >= heldMax)
      throw new PlimsollError('migration-limit', 'this host holds too many tickets: try again in two minutes');
    const verdict = await this.#remembered.update((state) => {
      const judged = acceptTicket(ticket, this.#hostId, state, { nowMs, bootId: this.#bootId() });
      return { state: judged.ok ? judged.memory : null, outcome: judged };
    });
    if (!verdict.ok) throw new PlimsollError(verdict.refusal.code, verdict.refusal.message);
    this.#held.set(ticket.migrationId, { ticket, role: verdict.role, spent: false });
    return ticket;
  }

  /**
   * An ask of a sealed image's source to this host as its destination: by the accepted ticket of this migration. An agent that has
   * restarted holds none; it still may say how a start ended, or throw away, for the newest epoch it has accepted (`isEnding`).
   */
  admitImageCall(
    call: { readonly migrationId: string; readonly vmId: string; readonly vmEpoch: number; readonly peerHostId: string },
    isEnding: boolean,
  ): void {
    const { migrationId, vmId, vmEpoch, peerHostId } = call;
    this.admitVmOrder(vmId, vmEpoch);
    const held = this.#held.get(migrationId);
    const isForgotten = ![...this.#held.values()].some(({ ticket }) => ticket.vmId === vmId && ticket.vmEpoch === vmEpoch);
    if (isEnding && isForgotten && this.#remembered.state.vmEpochs[vmId] === vmEpoch) return;
    const { ticket, role } = held ?? { ticket: null, role: null };
    if (role === 'destination' && ticket.vmId === vmId && ticket.vmEpoch === vmEpoch && ticket.fromHostId === peerHostId) return;
    throw new PlimsollError('ticket-invalid', `no ticket to take VM ${vmId} in from ${peerHostId}: start the migration again`);
  }

  /** The accepted ticket of a migration that starts here now; a second start is refused. */
  spend(migrationId: string, vmId: string, peerHostId: string, nowMs: number): Ticket {
    const held = this.#held.get(migrationId);
    if (!held || held.role !== 'source')
      throw new PlimsollError('ticket-invalid', `no ticket to send VM ${vmId} from here: start the migration again`);
    if (held.ticket.vmId !== vmId || held.ticket.toHostId !== peerHostId) {
      throw new PlimsollError('ticket-invalid', `the ticket of migration ${migrationId} is for another VM or destination`);
    }
    if (held.spent) throw new PlimsollError('ticket-used', `migration ${migrationId} was started before`);
    if (nowMs >= held.ticket.expiresAtMs)
      throw new PlimsollError('ticket-expired', `the ticket of migration ${migrationId} has expired: start it again`);
    this.admitVmOrder(vmId, held.ticket.vmEpoch);
    held.spent = true;
    return held.ticket;
  }

  #open(signed: SignedTicket): Ticket {
    const payload = decodeBase64(signed.payload);
    const signature = decodeBase64(signed.signature);
    if (payload === null || signature === null) throw new PlimsollError('ticket-invalid', 'the ticket is not base64');
    if (!this.#verifier.verify(preAuthenticationEncoding(ticketPayloadType, payload), signature)) {
      throw new PlimsollError('ticket-invalid', "the ticket's signature is not the controller's");
    }
    return parse(TicketSchema, parseJson(payload), 'the ticket', 'ticket-invalid');
  }

  #forgetExpired(nowMs: number): void {
    for (const [id, held] of this.#held) if (held.ticket.expiresAtMs <= nowMs) this.#held.delete(id);
  }
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch (error) {
    throw new PlimsollError('ticket-invalid', 'the ticket is not JSON', { cause: error });
  }
}

function throwIfRefused(refusal: Refusal | null): void {
  if (refusal !== null) throw new PlimsollError(refusal.code, refusal.message);
}
