import type { HostId } from './host.ts';

/**
 * `draining`: its VMs are being moved away. `drained`: none is left that has to leave. `cancelled`: nothing more is moved; what was under
 * way ended. `restoring`: what the drain has moved away is being brought back. `restored`: over; what did not fit stays where it is.
 */
export type DrainPhase = 'draining' | 'drained' | 'cancelled' | 'restoring' | 'restored';

/** A host whose VMs an operator wants elsewhere. Which VMs it has moved is in the ledger, by cause and time. */
export interface Drain {
  readonly hostId: HostId;
  readonly phase: DrainPhase;
  readonly phaseSinceMs: number;
  readonly startedAtMs: number;
  readonly by: string;
  readonly reason: string;
}

export const drainPhases: Readonly<Record<DrainPhase, DrainPhase>> = {
  draining: 'draining',
  drained: 'drained',
  cancelled: 'cancelled',
  restoring: 'restoring',
  restored: 'restored',
};
