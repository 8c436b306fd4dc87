/** Brings VMs back to where a plan has moved them from, as a person asks for it: cool-downs and lines do not hold it up, rules and room do. */
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import type { MoveEnds } from './account.ts';
import { copyOf, type Hold, wayFault } from './recheck.ts';

/** A move of the plan that was started. */
export interface MadeMove extends MoveEnds {
  readonly migrationId: string;
  /** Null while it is under way. */
  readonly outcome: LedgerEntry['outcome'] | null;
}

export type ReturnCode = Hold['code'] | 'not-ended' | 'unclear';

/** `return`: it can go back now. `returning`: it is on its way. `back`: it is there, or never left. `left`: it cannot, or should not. */
export type Return =
  | { readonly kind: 'return' | 'returning' | 'back' }
  | { readonly kind: 'left'; readonly code: ReturnCode; readonly reason: string };

/** The snapshot needs no past. */
export function judgeReturn(snapshot: Snapshot, made: MadeMove): Return {
  const { vmId, vmName, fromHostId: home, toHostId: away, outcome, migrationId } = made;
  if (outcome === 'stayed') return { kind: 'back' };
  if (outcome === null)
    return left('not-ended', `its migration ${migrationId} has not ended: wait for it, or 'plimsoll migration abort ${migrationId}'`);
  const vm = copyOf(snapshot, vmId);
  if (vm === undefined) return left('vm-gone', `no host runs ${vmName} any more`);
  const flight = snapshot.inFlight.find((one) => one.vmId === vmId);
  if (flight?.toHostId === home) return { kind: 'returning' };
  if (flight !== undefined) return left('in-flight', `${vmName} is being migrated to ${flight.toHostId}`);
  if (vm.hostId === home) return { kind: 'back' };
  if (outcome === 'unclear')
    return left('unclear', `how its migration ${migrationId} ended is not clear: look at ${home} and ${away} first`);
  if (vm.hostId !== away) return left('vm-elsewhere', `${vmName} has moved on since, it is on ${vm.hostId}`);
  if (vm.state !== 'running') return left('not-running', `${vmName} is ${vm.state}, only a running VM can be moved live`);
  const fault = wayFault(snapshot, backwards(made));
  return fault === null ? { kind: 'return' } : left(fault.code, fault.reason);
}

export function backwards({ vmId, vmName, fromHostId, toHostId }: MoveEnds): MoveEnds {
  return { vmId, vmName, fromHostId: toHostId, toHostId: fromHostId };
}

function left(code: ReturnCode, reason: string): Return {
  return { kind: 'left', code, reason };
}
