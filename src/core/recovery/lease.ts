/**
 * A host's lease: what lets its restartable VMs run. The controller renews it; an agent whose lease has ended ends them, and only when
 * that has surely happened does the controller start them elsewhere. Two clocks that never meet, so the order of four moments counts:
 *
 *   agent notes its time T (a stamp) -> controller hears of it -> controller notes its own time S -> controller sends the grant for T
 *   the agent's lease ends at T + lease, by the agent's clock, whenever the grant arrives
 *   the controller calls it over at S + wait, by the controller's clock
 *
 * T is before S in real time, however long any message is held up. So it is enough that `wait` on a clock that runs too fast is longer
 * than lease and fence on one that runs too slow: wait = (lease + fence) * (1 + drift) / (1 - drift). A grant counted from its arrival
 * would have no such bound: a message may be held up for longer than any margin.
 *
 * This holds for an agent that runs. One that is dead or stopped while its host lives cannot end anything; then the storage lock is
 * what refuses the second copy, and so a VM without one is not started again (see restart.ts).
 */
import type { LeaseGrant } from '#core/model/recovery.ts';
import type { VmId } from '#core/model/vm.ts';

export interface LeaseTerms {
  readonly leaseMs: number;
  /** What ending the VMs takes once the lease has ended: to notice it, and to kill their processes. */
  readonly fenceMs: number;
  /** A lease binds a VM anew only when it holds for so long yet: an end that the next renewals are too late for would end the VM. */
  readonly bindMsMin: number;
  /** How far either clock may be off per unit of time. NTP slews a clock by at most 500 ppm (ntp_adjtime(2)); crystals are better. */
  readonly driftShare: number;
}

/** Both sides count on the same terms, so they are part of the protocol and not configuration. */
export const leaseTerms: LeaseTerms = { leaseMs: 60_000, fenceMs: 15_000, bindMsMin: 30_000, driftShare: 0.01 };

export const noGrant: LeaseGrant = { endsAtMs: 0, vmIds: [], fencedVmIds: [] };

/** Agent: when a grant that was given for this stamp ends. A stamp from the future is none: null. */
export function leaseEndMs(stampMs: number, nowMs: number, { leaseMs }: LeaseTerms): number | null {
  return stampMs <= nowMs ? stampMs + leaseMs : null;
}

/** Agent: whether the VMs under the lease may run. */
export function leaseHolds({ endsAtMs }: Pick<LeaseGrant, 'endsAtMs'>, nowMs: number): boolean {
  return nowMs < endsAtMs;
}

/**
 * Agent: takes in a renewal. `endsAtMs` null: it grants nothing. A lease is never made shorter. One that does not hold binds nobody
 * anew, since a VM would be ended for a lease that there never was; nor does one that is about to end, such as the last one of VMs that
 * have left the host a minute ago, or one for a stamp that was heard then.
 */
export function renewed(
  grant: LeaseGrant,
  renewal: { readonly endsAtMs: number | null; readonly vmIds: readonly VmId[] },
  nowMs: number,
): LeaseGrant {
  const endsAtMs = Math.max(grant.endsAtMs, renewal.endsAtMs ?? 0);
  const binds = leaseHolds({ endsAtMs }, nowMs + leaseTerms.bindMsMin);
  const vmIds = renewal.vmIds.filter((vmId) => binds || grant.vmIds.includes(vmId));
  return { endsAtMs, vmIds, fencedVmIds: grant.fencedVmIds.filter((vmId) => vmIds.includes(vmId)) };
}

/** Controller: for how long after a grant was sent the host's VMs may run, whether or not it arrived. */
export function waitMs({ leaseMs, fenceMs, driftShare }: LeaseTerms): number {
  return Math.ceil(((leaseMs + fenceMs) * (1 + driftShare)) / (1 - driftShare));
}

/** Controller: whether a host to which the newest grant was sent at this time has ended its VMs, if its agent lives. */
export function leaseIsOver(sentAtMs: number | null, nowMs: number, terms: LeaseTerms): boolean {
  return sentAtMs === null || nowMs - sentAtMs >= waitMs(terms);
}
