import type { HostId } from '#core/model/host.ts';
import type { Policy } from '#core/model/policy.ts';
import { freeMemoryBytes } from './apply-move.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { withoutVm } from './cluster.ts';
import { isAbove, loadOf } from './line.ts';
import type { Limit, Load } from './line.ts';
import type { Costs, Toll } from './cost.ts';
import type { RuleFault } from './rules.ts';
import { addTotals, exchanged, gainTerms, lineTerms, partOf, partWith, scoreOf } from './score.ts';
import type { Totals } from './score.ts';
import type { Targets } from './targets.ts';

/** One VM on one target, judged. */
export interface Candidate {
  readonly vm: ClusterVm;
  readonly target: ClusterHost;
  /** The cluster's score after the move, with as many rules broken and as much headroom as before it: those close hosts, they choose none. */
  readonly scoreAfter: number;
  /** By how much the move lowers the score of its two hosts in CPU and memory, in percent of that score. */
  readonly gainPercent: number;
  /** Null where it was not chosen for what it saves. */
  readonly saving: Saving | null;
}

/** What one move saves, in core-seconds. */
export interface Saving {
  readonly savedCoreSeconds: number;
  /** What it must save at least, and what it sends. */
  readonly toll: Toll;
}

/** What a search works on: one source, the VMs that may leave it, the hosts that may take one. */
export interface Search {
  readonly policy: Policy;
  readonly totals: Totals;
  readonly source: ClusterHost;
  readonly vms: readonly ClusterVm[];
  readonly targets: Targets;
  /** Hosts that would be targets but take no VM at all, see `Placement.hostFault`: only for the reasons. */
  readonly closed: readonly ClusterHost[];
  /** What the source has to come down to; infinite for a resource it is not short of. */
  readonly goal: Limit;
  /** A target may be filled up to this. */
  readonly limit: Limit;
  readonly placement: Placement;
  readonly costs: Costs;
}

/** What the cluster's rules say of the targets, in the state of the plan that is searched. */
export interface Placement {
  /** Why the host takes no VM at all. */
  readonly hostFault: (hostId: HostId) => RuleFault | null;
  readonly fault: (vm: ClusterVm, hostId: HostId) => RuleFault | null;
  /** Whether hosts may be closed to this VM that are open to others: then no target may stand for another. */
  readonly isBound: (vm: ClusterVm) => boolean;
}

/** No rules. */
export const anyPlacement: Placement = { hostFault: () => null, fault: () => null, isBound: () => false };

/** Loads of a target with a VM on it: the same arithmetic as `withVm`, without building the host. */
export function loadWith(target: ClusterHost, vm: ClusterVm): Load {
  return {
    cpuPercent: ((target.cpuUsedCores + vm.cpuUsedCores) / target.capacity.cpuCores) * 100,
    memoryPercent: ((target.memoryUsedBytes + vm.memoryBytes) / target.capacity.memoryBytes) * 100,
  };
}

/**
 * The gain that a move must reach, in percent of the score of its two hosts. Judged on two hosts, it does not
 * fade in a large cluster; and because an average one of n VMs carries an n-th of its host's load, more than
 * that is never asked for, or a host with many small VMs could not be relieved at all.
 */
export function gainBarPercent(policy: Policy, runningVms: number): number {
  return Math.min(policy.minimumGainPercent, 100 / Math.max(1, runningVms));
}

/** Would the VM's leaving lower a resource that keeps the source above its goal? */
export function relieves(source: ClusterHost, vm: ClusterVm, goal: Limit): boolean {
  const load = loadOf(source);
  return (
    (load.cpuPercent > goal.cpuPercent && vm.cpuUsedCores > 0) || (load.memoryPercent > goal.memoryPercent && vm.memoryReliefBytes > 0)
  );
}

/**
 * The move that leaves the lowest score, or null when none fits and gains enough. Ties go to the smaller
 * VM (fewer bytes to copy), then to ids. The score decides the target, so it is the least loaded one that
 * has room, seen over all its resources together.
 */
export function bestCandidate(search: Search): Candidate | null {
  const { all } = search.targets;
  const front = search.targets.front();
  const { isBound } = search.placement;
  // The gain is judged on two hosts, so where the best target gains too little a more loaded one may still do.
  return bestOf(search, (vm) => (isBound(vm) ? all : front)) ?? (front.length < all.length ? bestOf(search, () => all) : null);
}

function bestOf(search: Search, targetsFor: (vm: ClusterVm) => readonly ClusterHost[]): Candidate | null {
  let best: Candidate | null = null;
  // Of the targets as they are, for all VMs.
  const parts = new Map<ClusterHost, Totals>();
  const partOfTarget = (target: ClusterHost): Totals => {
    const part = parts.get(target) ?? partOf(target, search.policy);
    parts.set(target, part);
    return part;
  };
  for (const vm of search.vms) {
    if (!relieves(search.source, vm, search.goal)) continue;
    const view = sourceView(search, vm);
    for (const target of targetsFor(vm)) {
      if (!fits(target, vm, search.limit)) continue;
      const scoreAfter = scoreWith(view, vm, target, partOfTarget(target));
      if (!isBetter(vm, scoreAfter, best)) continue;
      const gainPercent = gainWith(view, vm, target);
      // Asked last: it is what costs most.
      if (gainPercent >= view.barPercent && search.placement.fault(vm, target.hostId) === null)
        best = { vm, target, scoreAfter, gainPercent, saving: null };
    }
  }
  return best;
}

/** Every fitting target judged for one VM: the best gain, for the reason why it stays. Null when none fits. */
export function bestGainPercent(search: Search, vm: ClusterVm): number | null {
  const view = sourceView(search, vm);
  let best: number | null = null;
  for (const target of search.targets.all) {
    if (fits(target, vm, search.limit)) best = Math.max(best ?? -Infinity, gainWith(view, vm, target));
  }
  return best;
}

/** The cluster's score with the VM on this target. */
export function scoreAfterMove(search: Search, vm: ClusterVm, target: ClusterHost): number {
  return scoreWith(sourceView(search, vm), vm, target);
}

/** The same for one target after the other. */
export function scoresAfter(search: Search, vm: ClusterVm): (target: ClusterHost) => number {
  const view = sourceView(search, vm);
  return (target) => scoreWith(view, vm, target);
}

/** By how much that lowers the score of the two hosts, in percent of it. */
export function gainOf(search: Search, vm: ClusterVm, target: ClusterHost): number {
  return gainWith(sourceView(search, vm), vm, target);
}

export function fits(target: ClusterHost, vm: ClusterVm, limit: Limit): boolean {
  return vm.memoryBytes <= freeMemoryBytes(target) && !isAbove(loadWith(target, vm), limit);
}

/** The half of a judgement that does not depend on the target. */
interface SourceView {
  readonly policy: Policy;
  readonly before: Totals;
  readonly after: Totals;
  /** Totals of all hosts, the source as it is afterwards. */
  readonly rest: Totals;
  readonly barPercent: number;
}

function sourceView(search: Search, vm: ClusterVm): SourceView {
  const before = partOf(search.source, search.policy);
  const after = partOf(withoutVm(search.source, vm), search.policy);
  const running = search.source.vms.filter((other) => other.state === 'running').length;
  return {
    policy: search.policy,
    before,
    after,
    rest: exchanged(search.totals, before, after),
    barPercent: gainBarPercent(search.policy, running),
  };
}

function scoreWith({ rest, policy }: SourceView, vm: ClusterVm, target: ClusterHost, part = partOf(target, policy)): number {
  return scoreOf(exchanged(rest, part, partWith(target, vm, policy)));
}

/** Relief must come from the lines: a prettier spread alone is no reason to move anything, and gains 0. */
function gainWith(view: SourceView, vm: ClusterVm, target: ClusterHost): number {
  const before = addTotals(view.before, partOf(target, view.policy));
  const after = addTotals(view.after, partWith(target, vm, view.policy));
  if (!(scoreOf(after, lineTerms) < scoreOf(before, lineTerms))) return 0;
  return (1 - scoreOf(after, gainTerms) / scoreOf(before, gainTerms)) * 100;
}

/** Scores closer than this are equal: rounding must not choose. */
const scoreTolerance = 1e-9;

function isBetter(vm: ClusterVm, scoreAfter: number, best: Candidate | null): boolean {
  if (best === null || scoreAfter < best.scoreAfter - scoreTolerance) return true;
  if (scoreAfter > best.scoreAfter + scoreTolerance) return false;
  // VMs and targets come sorted by id, so the first of equals is the one to keep.
  return vm.memoryBytes < best.vm.memoryBytes;
}
