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

/** So many are asked about: rules and headroom cost most, and by `balance` many open hosts may leave a lower score than the chosen one does. */
const askedMax = 24;

/** The host with room that would have left the lowest score, lower than the chosen one does, had it not been closed; null: there is none. */
export function betterClosed(
  search: Search,
  { vm, target, scoreAfter }: Pick<Candidate, 'vm' | 'target' | 'scoreAfter'>,
): ClosedTarget | null {
  const { placement, policy } = search;
  const limit = policy.strategy === 'balance' ? fillLimit(policy) : search.limit;
  const others = placement.isBound(vm) ? [...search.closed, ...search.targets.all] : search.closed;
  const better = others
    .filter((other) => other !== target && fits(other, vm, limit))
    .map((other) => ({ other, score: scoreAfterMove(search, vm, other) }))
    .filter(({ score }) => score < scoreAfter)
    .toSorted((a, b) => a.score - b.score);
  for (const { other } of better.slice(0, askedMax)) {
    const fault = placement.hostFault(other.hostId) ?? placement.fault(vm, other.hostId);
    if (fault !== null) return { hostId: other.hostId, load: loadOf(other), reason: fault.reason };
  }
  return null;
}
