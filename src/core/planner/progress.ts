/** A plan half made: what each further move starts from. */
import type { HostId } from '#core/model/host.ts';
import type { Move } from '#core/model/plan.ts';
import type { VmId } from '#core/model/vm.ts';
import { applyMove } from './apply-move.ts';
import type { Candidate } from './candidate.ts';
import { findHost } from './cluster.ts';
import type { Cluster, ClusterHost } from './cluster.ts';
import { loadOf } from './line.ts';
import type { PlacementTally } from './placement-tally.ts';
import type { RunningTotals } from './score.ts';
import { scoreOf } from './score.ts';

/** Totals and moves grow with it: a copy of them for each move would cost more than all the rest of a long plan. */
export interface Progress {
  readonly cluster: Cluster;
  readonly totals: RunningTotals;
  readonly placement: PlacementTally;
  /** VMs that its moves have moved, and where to. */
  readonly moved: Map<VmId, HostId>;
}

/** Moves that are planned together, and the plan with them. */
export interface Step {
  readonly moves: readonly Move[];
  readonly state: Progress;
}

/** The plan with one move more. */
export function takeMove(
  state: Progress,
  source: ClusterHost,
  { vm, target }: Pick<Candidate, 'vm' | 'target'>,
  reasonOf: (facts: Pick<Move, 'source' | 'destination'>) => string,
): { readonly move: Move; readonly state: Progress } {
  const applied = applyMove(state.cluster, { vmId: vm.vmId, fromHostId: source.hostId, toHostId: target.hostId });
  if (!applied.ok) throw new Error(`the planner chose a move that cannot be applied: ${applied.reason}`);
  const { cluster } = applied;
  const change = (before: ClusterHost) => {
    const now = loadOf(before);
    const then = loadOf(findHost(cluster, before.hostId) ?? before);
    return {
      hostId: before.hostId,
      cpuBeforePercent: now.cpuPercent,
      cpuAfterPercent: then.cpuPercent,
      memoryBeforePercent: now.memoryPercent,
      memoryAfterPercent: then.memoryPercent,
    };
  };
  const scoreBefore = scoreOf(state.totals.total);
  for (const { hostId } of [source, target]) noteChange(state.totals, cluster, hostId);
  state.placement.move(vm, target.hostId);
  state.totals.count(state.placement.counts);
  const facts = {
    scoreBefore,
    scoreAfter: scoreOf(state.totals.total),
    source: change(source),
    destination: change(target),
  };
  const move: Move = {
    vmId: vm.vmId,
    vmName: vm.name,
    fromHostId: source.hostId,
    toHostId: target.hostId,
    reason: reasonOf(facts),
    ...facts,
  };
  return { move, state: { ...state, cluster, moved: state.moved.set(vm.vmId, target.hostId) } };
}

function noteChange(totals: RunningTotals, cluster: Cluster, hostId: HostId): void {
  const [position, host] = [cluster.positions.get(hostId), findHost(cluster, hostId)];
  if (position !== undefined && host !== undefined) totals.change(position, host);
}
