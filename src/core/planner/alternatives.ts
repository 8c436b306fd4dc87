/** What a move was preferred to, and why: the operator sees what else was looked at. */
import type { Alternative } from '#core/model/plan.ts';
import { freeMemoryBytes } from './apply-move.ts';
import { type Candidate, fits, loadWith, relieves, scoreAfterMove, type Search } from './candidate.ts';
import { wouldLack } from './balance.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { fillLimit } from './line.ts';
import { outlookOf } from './shortage.ts';
import { memorySize, percent } from './words.ts';

/** So many are said, and looked for among so many of the likeliest hosts. */
const shownMax = 3;
const hostsMax = 12;

interface Judged {
  readonly alternative: Alternative;
  readonly isOpen: boolean;
}

/**
 * The best of what was not chosen, those that were possible first: the VM on another host, and another VM of its host on the chosen one. Each
 * with what was against it. Where the score alone decides, the chosen one is the best of all; by `balance` one with a lower score may have
 * lost, because it saved less for what it copies.
 */
export function alternativesTo(search: Search, chosen: Candidate): readonly Alternative[] {
  const { targets, closed, source } = search;
  const hosts = [...new Set([...targets.emptiest(hostsMax), ...closed.slice(0, hostsMax)])].filter((host) => host !== chosen.target);
  const elsewhere = hosts.map((host) => judge(search, chosen, chosen.vm, host));
  const others = search.vms
    .filter((vm) => vm !== chosen.vm && relieves(source, vm, search.goal))
    .toSorted((a, b) => b.cpuUsedCores - a.cpuUsedCores || compareText(a.vmId, b.vmId))
    .slice(0, hostsMax)
    .map((vm) => judge(search, chosen, vm, chosen.target));
  return [...best(elsewhere).slice(0, shownMax - 1), ...best(others).slice(0, 1)];
}

function best(judged: readonly Judged[]): readonly Alternative[] {
  return judged
    .toSorted(
      (a, b) =>
        Number(b.isOpen) - Number(a.isOpen) ||
        a.alternative.scoreAfter - b.alternative.scoreAfter ||
        compareText(a.alternative.toHostId, b.alternative.toHostId),
    )
    .map(({ alternative }) => alternative);
}

function judge(search: Search, chosen: Candidate, vm: ClusterVm, target: ClusterHost): Judged {
  const scoreAfter = scoreAfterMove(search, vm, target);
  const about = { vmId: vm.vmId, vmName: vm.name, toHostId: target.hostId, scoreAfter };
  const against =
    search.placement.hostFault(target.hostId) ?? search.placement.fault(vm, target.hostId) ?? lackOf(search, chosen, vm, target);
  if (against !== null) return { alternative: { ...about, code: against.code, reason: against.reason }, isOpen: false };
  const scores = `possible, and leaves a score of ${scoreAfter.toFixed(1)} where the chosen move leaves ${chosen.scoreAfter.toFixed(1)}`;
  const reason = scoreAfter > chosen.scoreAfter ? scores : `${scores}, but ${whyNot(search, chosen)}`;
  return { alternative: { ...about, code: 'less-good', reason }, isOpen: true };
}

/** Of one that leaves no worse a score. */
function whyNot({ policy }: Search, { saving }: Candidate): string {
  if (saving !== null) return 'saves less for what it copies';
  return policy.strategy === 'threshold' ? 'the rule takes the busiest VM and the least loaded host' : 'gains less, or copies more';
}

function lackOf(search: Search, chosen: Candidate, vm: ClusterVm, target: ClusterHost): Pick<Alternative, 'code' | 'reason'> | null {
  const { policy } = search;
  const isWithin = chosen.saving === null && fits(chosen.target, chosen.vm, search.limit);
  const limit = isWithin ? search.limit : fillLimit(policy);
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
