/** The part of the linter that knows how far a target may be filled, and when further than that. */
import type { Move } from '#core/model/plan.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { percentages, shift, talliesOf, wantedPercent } from './check-plan-tally.ts';

const tolerance = 1e-6;

/** How much of its CPU a target may have in use where somebody suffers: a quarter of the hysteresis below its start line. */
export function fillPercentOf({ cpuLine: { startPercent, stopPercent } }: Pick<Policy, 'cpuLine'>): number {
  return startPercent - (startPercent - stopPercent) / 4;
}

/**
 * Moves that fill their target further than its line allows, and are allowed all the same: the VMs of the source want more CPU than it has
 * when its turn comes, and those of the target no more than it has, also afterwards. Not by the threshold rule, which knows one line only.
 */
export function overflowingMoves(snapshot: Snapshot, moves: readonly Move[]): ReadonlySet<Move> {
  const { tallies, vms } = talliesOf(snapshot);
  const { strategy } = snapshot.policy;
  const fillPercent = fillPercentOf(snapshot.policy);
  const found = new Set<Move>();
  for (const move of moves) {
    const [source, target, vm] = [tallies.get(move.fromHostId), tallies.get(move.toHostId), vms.get(move.vmId)];
    if (source === undefined || target === undefined || vm === undefined || source === target) continue;
    const isShort = wantedPercent(source) > 100;
    shift(source, target, vm);
    const isOver = percentages(target).cpu > fillPercent - tolerance;
    if (strategy !== 'threshold' && isShort && isOver && wantedPercent(target) <= 100 + tolerance) found.add(move);
  }
  return found;
}
