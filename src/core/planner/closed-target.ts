/** Why a VM does not go where it would have fared best. */
import type { HostId } from '#core/model/host.ts';
import { type Candidate, fits, scoreAfterMove, type Search } from './candidate.ts';
import { fillLimit, type Load, loadOf } from './line.ts';

/** A target that a rule, a cordon or the like keeps from being chosen. */
export interface ClosedTarget {
  readonly hostId: HostId;
  /** Without the VM. */
  readonly load: Load;
  readonly reason: string;
}

/** The host with room that would have left the lowest score, lower than the chosen one does, had it not been closed; null: there is none. */
export function betterClosed(
  search: Search,
  { vm, target, scoreAfter }: Pick<Candidate, 'vm' | 'target' | 'scoreAfter'>,
): ClosedTarget | null {
  const { placement, policy } = search;
  const limit = policy.strategy === 'balance' ? fillLimit(policy) : search.limit;
  const isBound = placement.isBound(vm);
  let best: ClosedTarget | null = null;
  let bestScore = scoreAfter;
  for (const other of isBound ? [...search.closed, ...search.targets.all] : search.closed) {
    if (other === target || !fits(other, vm, limit)) continue;
    const score = scoreAfterMove(search, vm, other);
    if (score >= bestScore) continue;
    const fault = placement.hostFault(other.hostId) ?? placement.fault(vm, other.hostId);
    if (fault === null) continue;
    best = { hostId: other.hostId, load: loadOf(other), reason: fault.reason };
    bestScore = score;
  }
  return best;
}
