import { encodeBase64 } from '#core/access/base64.ts';
import { preAuthenticationEncoding, ticketPayloadType } from '#core/access/envelope.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import type { SignedTicket, Ticket } from '#core/model/ticket.ts';
import type { ControllerParts } from './parts.ts';

/** Time enough for checks, IKE and the proof; the transfer itself may take longer than the ticket lives. */
export const ticketLifetimeMs = 120_000;

/** A fresh single-use permission for one migration, signed. */
export function issueTicket(parts: ControllerParts, request: MigrationRequest, controllerEpoch: number): SignedTicket {
  const nowMs = parts.clock.nowMs();
  const ticket: Ticket = {
    ticketId: parts.random.id(),
    migrationId: request.migrationId,
    vmId: request.vmId,
    fromHostId: request.fromHostId,
    toHostId: request.toHostId,
    vmEpoch: request.vmEpoch,
    controllerEpoch,
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + ticketLifetimeMs,
  };
  const payload = new TextEncoder().encode(JSON.stringify(ticket));
  const signature = parts.signer.sign(preAuthenticationEncoding(ticketPayloadType, payload));
  return { payload: encodeBase64(payload), signature: encodeBase64(signature) };
}
