/** Moves of VMs that are placed against a rule: to a host where they break it less, or not at all. */
import type { HostId } from '#core/model/host.ts';
import type { Move, Skip } from '#core/model/plan.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Bounds } from './bounds.ts';
import { fits } from './candidate.ts';
import { findHost, withoutVm } from './cluster.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { describeGathered, describeRepair } from './describe.ts';
import { bestGathering, type Gathering } from './gather.ts';
import { fillLimit, stopLimit } from './line.ts';
import type { Limit } from './line.ts';
import { type Progress, takeMove } from './progress.ts';
import type { RuleBook, RuleFault } from './rules.ts';
import { addTotals, partOf, partWith, scoreOf } from './score.ts';
import { skipVm } from './stay.ts';
import type { Stay } from './stay.ts';
import { whereWith } from './where.ts';
import type { Where } from './where.ts';

export interface RepairInput {
  readonly state: Progress;
  /** With the bounds of the balancer. */
  readonly book: RuleBook;
  readonly bounds: Bounds;
  readonly movesMax: number;
  /** Hosts that may give or take one more VM, by the migrations under way and the moves planned before. */
  readonly sourceIds: ReadonlySet<HostId>;
  readonly targetIds: ReadonlySet<HostId>;
  /** Why a VM may not be moved now; null when it may. */
  readonly stayOf: (vmId: VmId) => Stay | null;
}

export interface Repair {
  readonly state: Progress;
  readonly moves: readonly Move[];
  readonly skipped: readonly Skip[];
  /** VMs that were placed against a rule before. */
  readonly misplaced: number;
}

interface Fix {
  readonly vm: ClusterVm;
  readonly source: ClusterHost;
  readonly target: ClusterHost;
  readonly fault: RuleFault;
  /** How many breaches fewer there are with it. */
  readonly fewer: number;
  readonly scoreAfter: number;
}

export interface Misplaced {
  readonly vm: ClusterVm;
  readonly source: ClusterHost;
  readonly fault: RuleFault;
}

/**
 * The move that mends most comes first, among equals the one that leaves the lowest score, so a group is mended by moving its fewer
 * VMs; where none mends anything, VMs that belong together are brought to one host (gather.ts). Each lowers the number of breaches, so this
 * comes to an end. Targets are filled as for relief, below the start line. A host
 * is source or target of a plan, never both: the moves may then be made in any order.
 */
export function repair(input: RepairInput): Repair {
  let { state } = input;
  const moves: Move[] = [];
  const first = misplacedIn(input, state);
  const sources = new Set(input.sourceIds);
  const targets = new Set(input.targetIds);
  let open = first;
  while (open.length > 0 && moves.length < input.movesMax) {
    const fix = bestFix(input, state, open, { sources, targets });
    if (fix === null) {
      const room = input.movesMax - moves.length;
      const gathering = bestGathering({ ...input, movesMax: room }, state, open, { sources, targets });
      if (gathering === null) break;
      const gathered = takeGathering(input, state, gathering);
      moves.push(...gathered.moves);
      state = gathered.state;
      for (const { fromHostId, toHostId } of gathered.moves) {
        targets.delete(fromHostId);
        sources.delete(toHostId);
      }
      open = misplacedIn(input, state).filter(({ vm }) => !state.moved.has(vm.vmId));
      continue;
    }
    const step = takeMove(state, fix.source, fix, ({ destination }) => describeRepair(fix.vm, fix.fault.reason, destination));
    moves.push({ ...step.move, cost: input.bounds.take(fix.vm, fix.source.hostId, fix.target.hostId, null).cost });
    state = step.state;
    targets.delete(fix.source.hostId);
    sources.delete(fix.target.hostId);
    open = misplacedIn(input, state).filter(({ vm }) => !state.moved.has(vm.vmId));
  }
  const skipped = open.map((one) => skipVm(one.source.hostId, one.vm, whyItStays(input, state, one, moves.length)));
  return { state, moves, skipped, misplaced: first.length };
}

function takeGathering(
  { bounds }: RepairInput,
  before: Progress,
  { vms, rules, target: { hostId } }: Gathering,
): { readonly state: Progress; readonly moves: readonly Move[] } {
  let state = before;
  const together = { rules, vmIds: vms.map(({ vm }) => vm.vmId) };
  const moves = vms.map(({ vm, source: { hostId: from } }) => {
    const [source, target] = [findHost(state.cluster, from), findHost(state.cluster, hostId)];
    if (source === undefined || target === undefined) throw new Error('the planner chose a host that it does not know');
    const all = vms.map((one) => one.vm);
    const step = takeMove(state, source, { vm, target }, (facts) => describeGathered(all, rules, vm, facts));
    state = step.state;
    return { ...step.move, together, cost: bounds.take(vm, from, hostId, null).cost };
  });
  return { state, moves };
}

function misplacedIn({ book }: RepairInput, state: Progress): readonly Misplaced[] {
  const where = whereWith(book.where, state.moved);
  return book.ruled.flatMap((vmId) => {
    const hostId = where(vmId);
    const source = hostId === undefined ? undefined : findHost(state.cluster, hostId);
    const vm = source?.vms.find((one) => one.vmId === vmId);
    if (source === undefined || vm === undefined) return [];
    const fault = book.brokenRule(vm, where);
    return fault === null ? [] : [{ vm, source, fault }];
  });
}

export interface Ends {
  readonly sources: ReadonlySet<HostId>;
  readonly targets: ReadonlySet<HostId>;
}

function bestFix(input: RepairInput, state: Progress, open: readonly Misplaced[], ends: Ends): Fix | null {
  const { policy } = state.cluster;
  const movable = open.filter(({ vm, source }) => ends.sources.has(source.hostId) && input.stayOf(vm.vmId) === null);
  const where = whereWith(input.book.where, state.moved);
  return (
    bestWithin(input, state, movable, ends.targets, stopLimit(policy), where) ??
    bestWithin(input, state, movable, ends.targets, fillLimit(policy), where)
  );
}

function bestWithin(
  { book }: RepairInput,
  state: Progress,
  movable: readonly Misplaced[],
  targetIds: ReadonlySet<HostId>,
  limit: Limit,
  where: Where,
): Fix | null {
  let best: Fix | null = null;
  for (const { vm, source, fault } of movable) {
    const now = book.broken(vm, source.hostId, where);
    for (const target of state.cluster.hosts) {
      if (target === source || !targetIds.has(target.hostId) || !fits(target, vm, limit)) continue;
      const fewer = now - book.broken(vm, target.hostId, where);
      if (fewer <= 0 || (best !== null && fewer < best.fewer)) continue;
      const scoreAfter = scoreWith(state, vm, source, target);
      if (best !== null && fewer === best.fewer && scoreAfter >= best.scoreAfter) continue;
      if (book.placementFault(vm, target.hostId, where) === null) best = { vm, source, target, fault, fewer, scoreAfter };
    }
  }
  return best;
}

/** The cluster's score after the move, by the loads: rules and headroom as before it. */
export function scoreWith(state: Progress, vm: ClusterVm, source: ClusterHost, target: ClusterHost): number {
  const { policy } = state.cluster;
  const without = addTotals(addTotals(state.totals.total, partOf(source, policy), -1), partOf(target, policy), -1);
  const together = addTotals(partOf(withoutVm(source, vm), policy), partWith(target, vm, policy));
  return scoreOf(addTotals(without, together));
}

function whyItStays(input: RepairInput, state: Progress, { vm, source, fault }: Misplaced, planned: number): Stay {
  const because = (stay: Stay): Stay => ({ code: stay.code, reason: `${fault.reason}; it stays there for now: ${stay.reason}` });
  const stay = input.stayOf(vm.vmId);
  if (stay !== null) return because(stay);
  if (planned >= input.movesMax) return because({ code: 'limit-reached', reason: 'the plan has as many moves as it may have' });
  if (!input.sourceIds.has(source.hostId))
    return because({ code: 'limit-reached', reason: `${source.hostId} takes part in other migrations` });
  return {
    code: fault.code,
    reason: `${fault.reason}; no host that the rule allows has room and may take it now${closedBy(input, state, vm)}`,
  };
}

/** What closes the hosts on which the VM would break fewer rules; empty when they only have no room. */
function closedBy({ book }: RepairInput, state: Progress, vm: ClusterVm): string {
  const where = whereWith(book.where, state.moved);
  const now = where(vm.vmId);
  if (now === undefined) return '';
  const times = book.broken(vm, now, where);
  const better = state.cluster.hosts
    .toSorted((a, b) => compareText(a.hostId, b.hostId))
    .filter(({ hostId }) => book.broken(vm, hostId, where) < times);
  for (const { hostId } of better) {
    const fault = book.placementFault(vm, hostId, where);
    if (fault !== null) return ` (${fault.reason})`;
  }
  return '';
}
