import type { HostId } from './host.ts';
import type { VmId } from './vm.ts';

/** The controller's single-use permission for one migration. Both agents check it before they act. */
export interface Ticket {
  readonly ticketId: string;
  readonly migrationId: string;
  readonly vmId: VmId;
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
  /** Fencing: the agents refuse a ticket below the highest epoch they have seen for this VM. */
  readonly vmEpoch: number;
  readonly controllerEpoch: number;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** A ticket as it travels: the signed bytes and the signature, both base64. */
export interface SignedTicket {
  readonly payload: string;
  readonly signature: string;
}
