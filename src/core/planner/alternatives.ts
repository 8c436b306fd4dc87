/** What a move was preferred to, and why: the operator sees what else was looked at. */
import type { Alternative } from '#core/model/plan.ts';
import { freeMemoryBytes } from './apply-move.ts';
import { type Candidate, fits, loadWith, relieves, scoreAfterMove, type Search } from './candidate.ts';
import { wouldLack } from './balance.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { fillLimit, type Limit } from './line.ts';
import { overflowLimit } from './overflow.ts';
import type { PlacementTally } from './placement-tally.ts';
import { outlookOf } from './shortage.ts';
import { memorySize, percent } from './words.ts';

/** So many are said, and looked for among so many of the likeliest hosts. */
const shownMax = 3;
const hostsMax = 12;

/** One that was not chosen. */
interface Other {
  readonly vm: ClusterVm;
  readonly target: ClusterHost;
  /** By the loads: rules and headroom as they are. */
  readonly loadScore: number;
  /** Null where it was possible. */
  readonly against: Pick<Alternative, 'code' | 'reason'> | null;
}

/**
 * The best of what was not chosen, those that were possible first: the VM on another host, and another VM of its host on the chosen one. Each
 * with what was against it. Where the score alone decides, the chosen one is the best of all; by `balance` one with a lower score may have
 * lost, because it saved less for what it copies.
 */
export function alternativesTo(search: Search, chosen: Candidate, placement: PlacementTally): readonly Alternative[] {
  const { targets, closed, source } = search;
  const hosts = [...new Set([...targets.emptiest(hostsMax), ...closed.slice(0, hostsMax)])].filter((host) => host !== chosen.target);
  const elsewhere = hosts.map((host) => judge(search, chosen, chosen.vm, host));
  const others = search.vms
    .filter((vm) => vm !== chosen.vm && relieves(source, vm, search.goal))
    .toSorted((a, b) => b.cpuUsedCores - a.cpuUsedCores || compareText(a.vmId, b.vmId))
    .slice(0, hostsMax)
    .map((vm) => judge(search, chosen, vm, chosen.target));
  const shown = [...best(elsewhere).slice(0, shownMax - 1), ...best(others).slice(0, 1)];
  const chosenScore = chosen.scoreAfter + placement.scoreChange(chosen.vm, chosen.target.hostId);
  return shown.map((other) => told(search, chosen, chosenScore, other, placement));
}

function best(others: readonly Other[]): readonly Other[] {
  return others.toSorted(
    (a, b) =>
      Number(b.against === null) - Number(a.against === null) || a.loadScore - b.loadScore || compareText(a.target.hostId, b.target.hostId),
  );
}

function judge(search: Search, chosen: Candidate, vm: ClusterVm, target: ClusterHost): Other {
  const { placement } = search;
  const against = placement.hostFault(target.hostId) ?? placement.fault(vm, target.hostId) ?? lackOf(search, chosen, vm, target);
  return { vm, target, loadScore: scoreAfterMove(search, vm, target), against };
}

/** With the whole score, rules and headroom included: asked only of what is shown, because that is looked up over all hosts. */
function told(search: Search, chosen: Candidate, chosenScore: number, other: Other, placement: PlacementTally): Alternative {
  const { vm, target, loadScore, against } = other;
  const scoreAfter = loadScore + placement.scoreChange(vm, target.hostId);
  const about = { vmId: vm.vmId, vmName: vm.name, toHostId: target.hostId, scoreAfter };
  if (against !== null) return { ...about, code: against.code, reason: against.reason };
  const scores = `possible, and leaves a score of ${scoreAfter.toFixed(1)} where the chosen move leaves ${chosenScore.toFixed(1)}`;
  if (scoreAfter > chosenScore) return { ...about, code: 'less-good', reason: scores };
  const why = loadScore > chosen.scoreAfter ? 'that is for what it mends, which has moves of its own' : whyNot(search, chosen);
  return { ...about, code: 'less-good', reason: `${scores}, but ${why}` };
}

/** Of one that leaves no worse a score. */
function whyNot({ policy }: Search, { saving }: Candidate): string {
  if (saving !== null) return 'saves less for what it copies';
  return policy.strategy === 'threshold' ? 'the rule takes the busiest VM and the least loaded host' : 'gains less, or copies more';
}

/** By which the chosen move was judged: no other one is told of a line that it was not held to. */
function limitOf({ policy, limit }: Search, { vm, target, saving }: Candidate): Limit {
  if (saving === null && fits(target, vm, limit)) return limit;
  const ordinary = fillLimit(policy);
  return fits(target, vm, ordinary) ? ordinary : overflowLimit(policy);
}

function lackOf(search: Search, chosen: Candidate, vm: ClusterVm, target: ClusterHost): Pick<Alternative, 'code' | 'reason'> | null {
  const limit = limitOf(search, chosen);
  if (fits(target, vm, limit)) {
    if (chosen.saving === null || !wouldLack(outlookOf(target), vm)) return null;
    return { code: 'no-target-cpu', reason: 'with what they wait for, its VMs would want more than it has' };
  }
  const { cpuPercent, memoryPercent } = loadWith(target, vm);
  if (vm.memoryBytes > freeMemoryBytes(target)) {
    const free = memorySize(Math.max(0, freeMemoryBytes(target)));
    return { code: 'no-target-memory', reason: `it has ${free} free, ${vm.name} may use ${memorySize(vm.memoryBytes)}` };
  }
  return cpuPercent > limit.cpuPercent
    ? { code: 'no-target-cpu', reason: `it would be at ${percent(cpuPercent)} CPU, ${percent(limit.cpuPercent)} is the most` }
    : { code: 'no-target-memory', reason: `it would be at ${percent(memoryPercent)} memory, ${percent(limit.memoryPercent)} is the most` };
}
