import type { HostId } from '#core/model/host.ts';
import type { Move, Skip } from '#core/model/plan.ts';
import type { VmId } from '#core/model/vm.ts';
import { applyMove } from './apply-move.ts';
import { bestSaving } from './balance.ts';
import { bestCandidate } from './candidate.ts';
import type { Candidate, Placement, Search } from './candidate.ts';
import { findHost } from './cluster.ts';
import type { Cluster, ClusterHost } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { fillLimit, isAbove, loadOf, startLimit, stopLimit } from './line.ts';
import type { Limit } from './line.ts';
import { describeMove } from './describe.ts';
import type { Returns } from './returns.ts';
import type { RuleBook } from './rules.ts';
import { scoreOf, totalsOf } from './score.ts';
import type { Totals } from './score.ts';
import { skipHost, skipVm, stayWithoutTarget } from './stay.ts';
import { whereWith } from './where.ts';

/** A host to be relieved; `goal` is its stop line for each resource that is over its start line, else infinite. */
export interface Source {
  readonly hostId: HostId;
  readonly goal: Limit;
}

export interface ReliefInput {
  readonly cluster: Cluster;
  readonly sources: readonly Source[];
  /** Hosts that may take VMs; sources are not among them. Whether they have room is judged here. */
  readonly targetIds: ReadonlySet<HostId>;
  /** Known hosts besides the source, busy ones included: only for the reasons. */
  readonly knownTargets: number;
  readonly mayMove: ReadonlySet<VmId>;
  readonly book: RuleBook;
  readonly returns: Returns;
}

export interface Relief {
  readonly state: Progress;
  readonly moves: readonly Move[];
  readonly skipped: readonly Skip[];
}

/** A plan half made. */
export interface Progress {
  readonly cluster: Cluster;
  readonly totals: Totals;
  /** VMs that its moves have moved, and where to. Grows with the plan: a copy for each move would cost more than all the rest of a long one. */
  readonly moved: Map<VmId, HostId>;
}

/**
 * Relieves the worst host first, one move at a time, until each source has reached its goal, no move
 * helps, or the plan is full. Targets only fill and sources only drain, so a source that finds no move
 * will not find one later in the same plan: each step ends in a move or in one source less.
 */
export function relieve(input: ReliefInput): Relief {
  const { policy } = input.cluster;
  let state: Progress = { cluster: input.cluster, totals: totalsOf(input.cluster.hosts, policy), moved: new Map() };
  const moves: Move[] = [];
  const skipped: Skip[] = [];
  let open = stillOver(state.cluster, input.sources);
  while (open.length > 0) {
    if (moves.length >= policy.movesPerPlanMax) {
      skipped.push(...open.map((source) => planFull(source.hostId, policy.movesPerPlanMax)));
      break;
    }
    const source = worst(state.cluster, open);
    const search = searchOf(input, state, source);
    const candidate = search === null ? null : chosen(search);
    if (search === null || candidate === null) {
      if (search !== null) skipped.push(...stays(input, search));
      open = open.filter((other) => other !== source);
      continue;
    }
    const step = takeMove(state, search.source, candidate, (facts) => describeMove(policy, candidate, facts));
    moves.push(step.move);
    state = step.state;
    open = stillOver(state.cluster, open);
  }
  return { state, moves, skipped };
}

/** Memory is what it is: the lines decide what leaves a host that is short of it, whatever the strategy. */
function chosen(search: Search): Candidate | null {
  const { policy, source, goal } = search;
  const lacksMemory = loadOf(source).memoryPercent > goal.memoryPercent;
  if (policy.strategy === 'balance' && !lacksMemory) return lowering(search, bestSaving(search));
  return lowering(search, bestCandidate(search)) ?? lowering(search, bestFill(search));
}

function stillOver(cluster: Cluster, sources: readonly Source[]): readonly Source[] {
  return sources.filter(({ hostId, goal }) => {
    const host = findHost(cluster, hostId);
    return host !== undefined && isAbove(loadOf(host), goal);
  });
}

function searchOf(input: ReliefInput, state: Progress, source: Source): Search | null {
  const host = findHost(state.cluster, source.hostId);
  if (host === undefined) return null;
  const { policy } = state.cluster;
  return {
    policy,
    totals: state.totals,
    source: host,
    goal: source.goal,
    vms: host.vms.filter((vm) => input.mayMove.has(vm.vmId)),
    targets: state.cluster.hosts.filter((target) => input.targetIds.has(target.hostId)),
    limit: stopLimit(policy),
    placement: placementOf(input, state),
  };
}

/** The rules as they bind in this state of a plan. */
function placementOf({ book, returns }: ReliefInput, { moved }: Progress): Placement {
  const where = whereWith(book.where, moved);
  return {
    hostFault: book.hostFault,
    fault: (vm, hostId) => returns.fault(vm, hostId) ?? book.placementFault(vm, hostId, where),
    isBound: (vm) => returns.isBound(vm.vmId) || book.isBound(vm),
  };
}

/**
 * When no target can stay below its stop line: as long as the source is above its *start* line somebody
 * suffers, and a target may be filled to just under the start line. Below that nobody suffers, nothing moves.
 */
function bestFill(search: Search): Candidate | null {
  if (!suffers(search)) return null;
  return bestCandidate({ ...search, limit: fillLimit(search.policy) });
}

/** What gains on its two hosts could still leave the cluster more uneven, where rules close the better targets. */
function lowering({ totals }: Search, candidate: Candidate | null): Candidate | null {
  return candidate !== null && candidate.scoreAfter < scoreOf(totals) ? candidate : null;
}

function suffers(search: Search): boolean {
  return isAbove(loadOf(search.source), startLimit(search.policy));
}

/** The plan with one move more. */
export function takeMove(
  state: Progress,
  source: ClusterHost,
  { vm, target, scoreAfter }: Pick<Candidate, 'vm' | 'target' | 'scoreAfter'>,
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
  const facts = { scoreBefore: scoreOf(state.totals), scoreAfter, source: change(source), destination: change(target) };
  const move: Move = {
    vmId: vm.vmId,
    vmName: vm.name,
    fromHostId: source.hostId,
    toHostId: target.hostId,
    reason: reasonOf(facts),
    ...facts,
  };
  const moved = state.moved.set(vm.vmId, target.hostId);
  // Summed anew: rounding must not pile up over the moves of a long plan.
  return { move, state: { cluster, totals: totalsOf(cluster.hosts, cluster.policy), moved } };
}

function stays(input: ReliefInput, search: Search): readonly Skip[] {
  const { hostId } = search.source;
  if (!search.source.vms.some((vm) => vm.state === 'running')) {
    return [skipHost(hostId, { code: 'not-running', reason: `${hostId} has no running VM that could leave` })];
  }
  const tried = suffers(search) ? { ...search, limit: fillLimit(search.policy) } : search;
  return search.vms.map((vm) => skipVm(hostId, vm, stayWithoutTarget(tried, vm, input.knownTargets)));
}

function planFull(hostId: HostId, max: number): Skip {
  return skipHost(hostId, { code: 'limit-reached', reason: `${hostId} needs more relief, but a plan has at most ${max} moves` });
}

/** Most points above its start line; the smaller id among equals. */
function worst(cluster: Cluster, open: readonly Source[]): Source {
  const start = startLimit(cluster.policy);
  const points = (source: Source) => {
    const host = findHost(cluster, source.hostId);
    if (host === undefined) return -Infinity;
    const load = loadOf(host);
    return Math.max(load.cpuPercent - start.cpuPercent, load.memoryPercent - start.memoryPercent);
  };
  return open.reduce((a, b) => {
    const difference = points(b) - points(a);
    return difference > 0 || (difference === 0 && compareText(b.hostId, a.hostId) < 0) ? b : a;
  });
}
