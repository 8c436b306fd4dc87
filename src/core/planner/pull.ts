/**
 * The direction `pull`: a host with little to do takes from one that has much more than the mean of the cluster, though nobody suffers. The
 * least loaded host takes first, from the most loaded one, the VM that leaves the lowest score. That must lower the score of the two by the
 * minimum gain and bring them closer to each other, now and by the forecasts; a VM without one waits, unless its host is over its line. With each such move the sum of the squares of all loads falls, so this comes to rest.
 */
import type { HostId } from '#core/model/host.ts';
import type { Move } from '#core/model/plan.ts';
import type { Policy } from '#core/model/policy.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Bounds } from './bounds.ts';
import { type Candidate, fits, gainBarPercent } from './candidate.ts';
import { withoutVm, withVm } from './cluster.ts';
import type { Cluster, ClusterHost, ClusterVm } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { describePulled } from './describe.ts';
import { loadOf, stopLimit } from './line.ts';
import { type Progress, takeMove } from './progress.ts';
import { scoreWith } from './repair.ts';
import type { Returns } from './returns.ts';
import type { RuleBook } from './rules.ts';
import { addTotals, gainTerms, partOf, partWith, scoreOf } from './score.ts';
import { outlookOf } from './shortage.ts';
import { whereWith } from './where.ts';

export interface PullInput {
  readonly state: Progress;
  /** With the bounds of the balancer. */
  readonly book: RuleBook;
  readonly bounds: Pick<Bounds, 'take'>;
  readonly returns: Returns;
  readonly movesMax: number;
  /** Hosts that may give or take one more VM. */
  readonly sourceIds: ReadonlySet<HostId>;
  readonly targetIds: ReadonlySet<HostId>;
  readonly mayMove: (vmId: VmId) => boolean;
}

export interface Pull {
  readonly state: Progress;
  readonly moves: readonly Move[];
}

/** Each step ends in a move or in one taker less. A host gives or takes in a plan, never both. */
export function pull(input: PullInput): Pull {
  let { state } = input;
  const moves: Move[] = [];
  const givers = new Set(input.sourceIds);
  const takers = new Set(input.targetIds);
  while (moves.length < input.movesMax) {
    const mean = meanPercent(state.cluster);
    const taker = leastLoaded(state.cluster, takers);
    if (taker === null) break;
    const found = takenBy(input, state, taker, givers, mean);
    if (found === null) {
      takers.delete(taker.hostId);
      continue;
    }
    const { policy } = state.cluster;
    const step = takeMove(state, found.source, found, (facts) => describePulled(policy, found.vm, mean, facts));
    moves.push({ ...step.move, cost: input.bounds.take(found.vm, found.source.hostId, taker.hostId, null).cost });
    state = step.state;
    takers.delete(found.source.hostId);
    givers.delete(taker.hostId);
  }
  return { state, moves };
}

/** Of all known hosts together, so that no move changes it. */
export function meanPercent({ hosts }: Cluster): number {
  const used = hosts.reduce((sum, host) => sum + host.cpuUsedCores, 0);
  const capacity = hosts.reduce((sum, host) => sum + host.capacity.cpuCores, 0);
  return capacity > 0 ? (100 * used) / capacity : 0;
}

/** The more of what it uses now and what it is expected to use. */
function atMostPercent(host: ClusterHost): number {
  return Math.max(loadOf(host).cpuPercent, expectedPercent(host));
}

function expectedPercent(host: ClusterHost): number {
  return (100 * outlookOf(host).meanCores) / host.capacity.cpuCores;
}

function leastLoaded({ hosts, policy }: Cluster, takers: ReadonlySet<HostId>): ClusterHost | null {
  let best: ClusterHost | null = null;
  for (const host of hosts) {
    if (!takers.has(host.hostId) || !(atMostPercent(host) < policy.pull.belowPercent)) continue;
    if (best === null || loadOf(host).cpuPercent < loadOf(best).cpuPercent) best = host;
  }
  return best;
}

type Taken = Candidate & { readonly source: ClusterHost };

function takenBy(input: PullInput, state: Progress, taker: ClusterHost, givers: ReadonlySet<HostId>, mean: number): Taken | null {
  if (input.book.hostFault(taker.hostId) !== null) return null;
  const { hosts, policy } = state.cluster;
  const least = mean + policy.pull.marginPercent;
  const isGiver = (host: ClusterHost) =>
    host !== taker && givers.has(host.hostId) && Math.min(loadOf(host).cpuPercent, expectedPercent(host)) >= least;
  const sources = hosts.filter(isGiver).toSorted((a, b) => loadOf(b).cpuPercent - loadOf(a).cpuPercent || compareText(a.hostId, b.hostId));
  for (const source of sources) {
    const best = bestOf(input, state, source, taker);
    if (best !== null) return best;
  }
  return null;
}

function bestOf(input: PullInput, state: Progress, source: ClusterHost, target: ClusterHost): Taken | null {
  const { policy } = state.cluster;
  const where = whereWith(input.book.where, state.moved);
  const limit = stopLimit(policy);
  const bar = gainBarPercent(policy, source.vms.filter(({ state: vmState }) => vmState === 'running').length);
  let best: Taken | null = null;
  for (const vm of source.vms) {
    if (vm.cpuUsedCores <= 0 || state.moved.has(vm.vmId) || !input.mayMove(vm.vmId)) continue;
    if (!fits(target, vm, limit) || !isCloserLater(source, target, vm, limit.cpuPercent)) continue;
    const gainPercent = gainOf(policy, source, target, vm);
    const scoreAfter = scoreWith(state, vm, source, target);
    if (gainPercent < bar || scoreAfter >= (best?.scoreAfter ?? scoreOf(state.totals.total))) continue;
    const fault = input.returns.fault(vm, target.hostId) ?? input.book.placementFault(vm, target.hostId, where);
    if (fault === null) best = { vm, source, target, scoreAfter, gainPercent, saving: null };
  }
  return best;
}

/** Now and by what is expected the two are closer to each other with the move, and what its VMs wait for fits as well. */
function isCloserLater(source: ClusterHost, target: ClusterHost, vm: ClusterVm, cpuPercentMax: number): boolean {
  const [from, to] = [withoutVm(source, vm), withVm(target, vm)];
  const isCloser = (percentOf: (host: ClusterHost) => number) =>
    Math.abs(percentOf(from) - percentOf(to)) < Math.abs(percentOf(source) - percentOf(target));
  const wanted = (100 * outlookOf(to).wantedCores) / to.capacity.cpuCores;
  return isCloser((host) => loadOf(host).cpuPercent) && isCloser(expectedPercent) && Math.max(wanted, expectedPercent(to)) <= cpuPercentMax;
}

/** By how much the move lowers the score of the two hosts in CPU and memory, in percent of it. */
function gainOf(policy: Policy, source: ClusterHost, target: ClusterHost, vm: ClusterVm): number {
  const before = scoreOf(addTotals(partOf(source, policy), partOf(target, policy)), gainTerms);
  const after = scoreOf(addTotals(partOf(withoutVm(source, vm), policy), partWith(target, vm, policy)), gainTerms);
  return before > 0 ? (1 - after / before) * 100 : 0;
}
