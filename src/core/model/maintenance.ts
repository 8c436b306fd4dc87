import type { HostId } from './host.ts';

/**
 * `waiting`: its turn has not come. `draining`: it is cordoned and emptied. `empty`: it is a person's, until it is said to be ready, or has
 * rebooted. `restoring`: its VMs are brought back. `done`: over; what did not fit stays where it is.
 */
export const maintenancePhases = {
  waiting: 'waiting',
  draining: 'draining',
  empty: 'empty',
  restoring: 'restoring',
  done: 'done',
} as const;
export type MaintenancePhase = keyof typeof maintenancePhases;

/** What ends the maintenance of one host: a person's word, or a new boot of the host as well. */
export const maintenanceEnds = { ready: 'ready', reboot: 'reboot' } as const;
export type MaintenanceEnd = keyof typeof maintenanceEnds;

export const maintenanceOutcomes = { done: 'done', cancelled: 'cancelled' } as const;
export type MaintenanceOutcome = keyof typeof maintenanceOutcomes;

export const maintenanceLimits = { hostsMax: 1000, parallelMax: 16 } as const;

export interface MaintenanceHost {
  readonly hostId: HostId;
  readonly phase: MaintenancePhase;
  readonly phaseSinceMs: number;
  /** Its boot as it was when it became empty, or at least when its drain began; null where that is not known or not needed. */
  readonly bootId: string | null;
  /** `phaseSinceMs` of the host's drain when this phase began: as long as it is that, nobody has done anything; null: it had none. */
  readonly drainSinceMs: number | null;
}

/** Hosts that are taken through maintenance, in this order. What its drains have moved is in the ledger. */
export interface Maintenance {
  readonly maintenanceId: string;
  readonly hosts: readonly MaintenanceHost[];
  /** So many are in their maintenance at a time, at most. */
  readonly parallel: number;
  readonly until: MaintenanceEnd;
  readonly by: string;
  readonly reason: string;
  readonly startedAtMs: number;
  /** Null while it is under way. */
  readonly endedAtMs: number | null;
  readonly outcome: MaintenanceOutcome | null;
}
