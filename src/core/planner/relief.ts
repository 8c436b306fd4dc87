import type { HostId } from '#core/model/host.ts';
import type { Move, Skip } from '#core/model/plan.ts';
import type { VmId } from '#core/model/vm.ts';
import { alternativesTo } from './alternatives.ts';
import { bestSaving, copyMakesWait, shortageOf } from './balance.ts';
import type { Bounds, TakenMove } from './bounds.ts';
import { bestCandidate } from './candidate.ts';
import type { Candidate, Placement, Search } from './candidate.ts';
import { bestChain, type Chain, type ChainStep } from './chain.ts';
import { betterClosed } from './closed-target.ts';
import { findHost } from './cluster.ts';
import type { Cluster, ClusterHost } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { withoutEmptyTargets } from './pack-room.ts';
import { fillLimit, isAbove, loadOf, startLimit, stopLimit } from './line.ts';
import type { Limit } from './line.ts';
import { describeChained, describeMove, describeOverflow, describeTogether } from './describe.ts';
import { bestGroup, type GroupMove, type GroupQuestion, stayOfGroup } from './group.ts';
import { Overflow } from './overflow.ts';
import { PlacementTally } from './placement-tally.ts';
import { type Progress, type Step, takeMove } from './progress.ts';
import type { Returns } from './returns.ts';
import type { RuleBook } from './rules.ts';
import { RunningTotals, scoreOf } from './score.ts';
import { skipHost, skipVm, type Stay, stayWithoutTarget } from './stay.ts';
import { Targets } from './targets.ts';
import { outlookOf } from './shortage.ts';
import { byThreshold } from './threshold.ts';
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
  /** Hosts that may take VMs of one whose VMs wait, over a line or not. */
  readonly overflowIds: ReadonlySet<HostId>;
  /** Known hosts besides the source, busy ones included: only for the reasons. */
  readonly knownTargets: number;
  readonly mayMove: ReadonlySet<VmId>;
  /** Whether a VM of a target may be moved for the sake of one of a source. */
  readonly mayMakeRoom: (vmId: VmId) => boolean;
  /** Why a VM may not be moved now; null when it may. */
  readonly stayOf: (vmId: VmId) => Stay | null;
  /** With the bounds of the balancer. */
  readonly book: RuleBook;
  readonly bounds: Bounds;
  readonly returns: Returns;
}

export interface Relief {
  readonly state: Progress;
  readonly moves: readonly Move[];
  readonly skipped: readonly Skip[];
}

/** In a plan that nobody could read, the first moves say what they were preferred to. */
const explainedMax = 100;

/** For so many hosts that no single move helps, the worst first, two that do are looked for. */
const chainSearchesMax = 4;

/** A source that is still over its goal. */
interface Open {
  readonly source: Source;
  readonly host: ClusterHost;
  /** Percentage points above its start line. */
  readonly points: number;
}

/**
 * Relieves the worst host first, one move at a time, until each source has reached its goal, no move
 * helps, or the plan is full. Targets only fill and sources only drain, so a source that finds no move
 * will not find one later in the same plan: each step ends in a move or in one source less.
 */
export function relieve(input: ReliefInput): Relief {
  const { policy, hosts } = input.cluster;
  const placement = new PlacementTally(input.book, hosts);
  const totals = new RunningTotals(hosts, policy, placement.counts);
  let state: Progress = { cluster: input.cluster, totals, placement, moved: new Map() };
  let ends = endsOf(input);
  const overflow = new Overflow(() => state.cluster.hosts.filter(({ hostId }) => input.overflowIds.has(hostId)));
  let searched = 0;
  const moves: Move[] = [];
  const skipped: Skip[] = [];
  let open = input.sources.flatMap((source) => openOf(state.cluster, source));
  while (open.length > 0) {
    if (moves.length >= policy.movesPerPlanMax) {
      skipped.push(...open.map(({ host }) => planFull(host.hostId, policy.movesPerPlanMax)));
      break;
    }
    const next = worst(open);
    const search = searchOf(input, state, next, ends);
    const step = stepFor(input, state, search, { moves, searched }, overflow);
    if (step?.kind !== 'single' && suffers(search)) searched += 1;
    if (step === null) {
      skipped.push(...stays(input, search, questionOf(input, state, search, moves.length)));
      open = open.filter((other) => other !== next);
      continue;
    }
    moves.push(...step.moves);
    ({ state } = step);
    for (const host of hostsOf(state.cluster, step.moves, ['fromHostId', 'toHostId'])) overflow.note(host);
    if (step.kind === 'chain') ends = { ...ends, targets: targetsAfter(ends.targets, state.cluster, step.moves) };
    else for (const host of hostsOf(state.cluster, step.moves, ['toHostId'])) ends.targets.fill(host);
    open = stillOpen(open, next, step);
  }
  return { state, moves, skipped };
}

interface SoFar {
  readonly moves: readonly Move[];
  /** For how many hosts two moves were looked for. */
  readonly searched: number;
}

interface ReliefStep extends Step {
  readonly kind: 'single' | 'chain' | 'group' | 'overflow';
}

/** What relieves the host, the plainest first. Null when nothing does. */
function stepFor(input: ReliefInput, state: Progress, search: Search, soFar: SoFar, overflow: Overflow): ReliefStep | null {
  const candidate = chosen(search);
  if (candidate !== null) return { kind: 'single', ...takeSingle(input, state, search, { candidate, soFar, describe: describeMove }) };
  const chain = chainFor(input, state, search, soFar);
  if (chain !== null) return { kind: 'chain', ...chain };
  const group = groupFor(input, state, search, soFar.moves.length);
  if (group !== null) return { kind: 'group', ...takeGroup(input, state, search.source.hostId, group) };
  const full = overflow.best(search, new Set(soFar.moves.map(({ fromHostId }) => fromHostId)));
  return full && { kind: 'overflow', ...takeSingle(input, state, search, { candidate: full, soFar, describe: describeOverflow }) };
}

interface Single {
  readonly candidate: Candidate;
  readonly soFar: SoFar;
  readonly describe: typeof describeMove;
}

function takeSingle(input: ReliefInput, state: Progress, search: Search, { candidate, soFar, describe }: Single): Step {
  const { vm, target, saving } = candidate;
  const taken = input.bounds.take(vm, search.source.hostId, target.hostId, saving?.savedCoreSeconds ?? null);
  const closed = betterClosed(search, candidate);
  const alternatives = soFar.moves.length < explainedMax ? { alternatives: alternativesTo(search, candidate, state.placement) } : {};
  const step = takeMove(state, search.source, candidate, (facts) => describe(search.policy, vm, taken, facts, closed));
  return { moves: [{ ...step.move, cost: taken.cost, ...alternatives }], state: step.state };
}

function hostsOf(cluster: Cluster, moves: readonly Move[], ends: readonly ('fromHostId' | 'toHostId')[]): readonly ClusterHost[] {
  return moves.flatMap((move) => ends.flatMap((end) => findHost(cluster, move[end]) ?? []));
}

/** What takes a VM from a host that is worse off, or changes places with it, has had its part. */
function stillOpen(open: readonly Open[], next: Open, { moves, state }: Step): Open[] {
  const takers = new Set(moves.map(({ toHostId }) => toHostId));
  return open.flatMap((other) => (takers.has(other.host.hostId) ? [] : other === next ? openOf(state.cluster, other.source) : [other]));
}

/** The hosts that may take VMs, and those that only rules keep from it. */
type Ends = Pick<Search, 'targets' | 'closed'>;

function endsOf({ cluster, targetIds, book }: ReliefInput): Ends {
  const able = cluster.hosts.filter(({ hostId }) => targetIds.has(hostId));
  const isClosed = ({ hostId }: ClusterHost) => book.hostFault(hostId) !== null;
  return { targets: new Targets(able.filter((host) => !isClosed(host))), closed: able.filter(isClosed) };
}

/** Where no single move helps: the two moves that do, as they are made. Both, or none. */
function chainFor(input: ReliefInput, state: Progress, search: Search, { moves, searched }: SoFar): Step | null {
  const { policy } = search;
  const isOut = policy.strategy === 'threshold' || moves.length + 2 > policy.movesPerPlanMax || searched >= chainSearchesMax;
  // Where one copy is not worth what VMs would wait for it, two are less so.
  if (isOut || !suffers(search) || (policy.strategy === 'balance' && copyMakesWait(search))) return null;
  const chain = bestChain({
    search,
    // A host that takes part in the plan already is left as it has planned it.
    mayMove: (vmId) => !state.moved.has(vmId) && input.mayMakeRoom(vmId),
    placementWith: (vmId, hostId) => placementOf(input, { ...state, moved: new Map(state.moved).set(vmId, hostId) }),
  });
  if (chain === null) return null;
  const { bounds } = input;
  const taken = bounds.take(chain.first.vm, chain.first.fromHostId, chain.first.toHostId, null);
  const { fault } = placementOf(input, { ...state, moved: new Map(state.moved).set(chain.first.vm.vmId, chain.first.toHostId) });
  // What the first one spends may leave nothing for the second.
  if (fault(chain.second.vm, chain.second.toHostId) !== null) return null;
  const second = bounds.take(chain.second.vm, chain.second.fromHostId, chain.second.toHostId, null);
  const one = takeStep(state, chain, chain.first, taken);
  const two = takeStep(one.state, chain, chain.second, second);
  return { moves: [one.move, two.move], state: two.state };
}

function takeStep(state: Progress, chain: Chain, step: ChainStep, taken: TakenMove): { readonly move: Move; readonly state: Progress } {
  const { cluster } = state;
  const [source, target] = [findHost(cluster, step.fromHostId), findHost(cluster, step.toHostId)];
  if (source === undefined || target === undefined) throw new Error('the planner chose a host that it does not know');
  const vm = source.vms.find(({ vmId }) => vmId === step.vm.vmId) ?? step.vm;
  const { move, ...after } = takeMove(state, source, { vm, target }, (facts) => describeChained(cluster.policy, chain, step, taken, facts));
  const help = step === chain.relief ? {} : { forVmId: chain.relief.vm.vmId };
  return { ...after, move: { ...move, ...help, cost: taken.cost } };
}

function questionOf(input: ReliefInput, { moved }: Progress, search: Search, planned: number): GroupQuestion {
  const { book, returns, stayOf } = input;
  return {
    search,
    book,
    returns,
    where: whereWith(book.where, moved),
    // One that the plan has moved has had its part in it.
    stayOf: (vmId) => (moved.has(vmId) ? { code: 'limit-reached', reason: 'the plan moves one of them already' } : stayOf(vmId)),
    movesMax: search.policy.movesPerPlanMax - planned,
  };
}

/** Where neither one move nor two help: VMs that may only leave together. All of them, or none. */
function groupFor(input: ReliefInput, state: Progress, search: Search, planned: number): GroupMove | null {
  return suffers(search) ? bestGroup(questionOf(input, state, search, planned)) : null;
}

function takeGroup(input: ReliefInput, before: Progress, fromHostId: HostId, group: GroupMove): Step {
  let state = before;
  const together = { rules: group.rules, vmIds: group.vms.map(({ vmId }) => vmId) };
  const moves = group.vms.map((member) => {
    const [source, target] = [findHost(state.cluster, fromHostId), findHost(state.cluster, group.target.hostId)];
    const vm = source?.vms.find(({ vmId }) => vmId === member.vmId);
    if (source === undefined || target === undefined || vm === undefined) throw new Error('the planner chose what it does not know');
    const taken = input.bounds.take(vm, source.hostId, target.hostId, null);
    const step = takeMove(state, source, { vm, target }, (facts) => describeTogether(state.cluster.policy, group, vm, taken, facts));
    state = step.state;
    return { ...step.move, together, cost: taken.cost };
  });
  return { moves, state };
}

/** A host that has given a VM away for the sake of another one has had its part in this plan. */
function targetsAfter(targets: Targets, cluster: Cluster, moves: readonly Move[]): Targets {
  const givers = new Set(moves.map(({ fromHostId }) => fromHostId));
  return new Targets(targets.all.filter(({ hostId }) => !givers.has(hostId)).map((host) => findHost(cluster, host.hostId) ?? host));
}

/** Memory is what it is: the lines decide what leaves a host that is short of it, whatever the strategy. */
function chosen(search: Search): Candidate | null {
  const { policy, source, goal } = search;
  if (policy.strategy === 'threshold') return byThreshold(search);
  if (policy.strategy === 'pack') return byLines(withoutEmptyTargets(search)) ?? byLines(search);
  const lacksMemory = loadOf(source).memoryPercent > goal.memoryPercent;
  if (policy.strategy === 'balance' && !lacksMemory) return lowering(search, bestSaving(search));
  return byLines(search);
}

function byLines(search: Search): Candidate | null {
  return lowering(search, bestCandidate(search)) ?? lowering(search, bestFill(search));
}

/** Empty once it has come down to its goal. */
function openOf(cluster: Cluster, source: Source): readonly Open[] {
  const host = findHost(cluster, source.hostId);
  if (host === undefined) return [];
  const load = loadOf(host);
  if (!isAbove(load, source.goal)) return [];
  const start = startLimit(cluster.policy);
  return [{ source, host, points: Math.max(load.cpuPercent - start.cpuPercent, load.memoryPercent - start.memoryPercent) }];
}

function searchOf(input: ReliefInput, state: Progress, { source, host }: Open, ends: Ends): Search {
  const { policy } = state.cluster;
  return {
    policy,
    totals: state.totals.total,
    source: host,
    goal: source.goal,
    vms: host.vms.filter((vm) => input.mayMove.has(vm.vmId)),
    ...ends,
    limit: stopLimit(policy),
    placement: placementOf(input, state),
    costs: input.bounds.costs,
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

/** By `balance` nothing has to be said of a host on its way to its stop line once none of its VMs is short, now or as forecast. */
function isEased(search: Search): boolean {
  const { policy, source, goal } = search;
  if (policy.strategy !== 'balance' || suffers(search) || loadOf(source).memoryPercent > goal.memoryPercent) return false;
  return shortageOf(search, outlookOf(source), null) === 0;
}

function stays(input: ReliefInput, search: Search, question: GroupQuestion): readonly Skip[] {
  const { hostId } = search.source;
  if (!search.source.vms.some((vm) => vm.state === 'running')) {
    return [skipHost(hostId, { code: 'not-running', reason: `${hostId} has no running VM that could leave` })];
  }
  if (isEased(search)) return [];
  const tried = suffers(search) ? { ...search, limit: fillLimit(search.policy) } : search;
  const isAnyTarget = input.knownTargets > 0 && search.targets.all.length + search.closed.length > 0;
  return search.vms.map((vm) => {
    const stay = isAnyTarget && suffers(search) ? stayOfGroup(question, vm) : null;
    return skipVm(hostId, vm, stay ?? stayWithoutTarget(tried, vm, input.knownTargets));
  });
}

function planFull(hostId: HostId, max: number): Skip {
  return skipHost(hostId, { code: 'limit-reached', reason: `${hostId} needs more relief, but a plan has at most ${max} moves` });
}

/** Most points above its start line; the smaller id among equals. */
function worst(open: readonly Open[]): Open {
  return open.reduce((a, b) => (b.points > a.points || (b.points === a.points && compareText(b.host.hostId, a.host.hostId) < 0) ? b : a));
}
