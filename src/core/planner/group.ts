/**
 * VMs that affinity rules keep together, moved off a host together: where none of them may leave alone, and nothing else relieves the host.
 * The rules are broken from the first move to the last, so the moves follow one another, and whatever keeps one VM keeps all of them.
 */
import type { HostId } from '#core/model/host.ts';
import { cores, bytes } from '#core/model/units.ts';
import type { VmId } from '#core/model/vm.ts';
import { freeMemoryBytes } from './apply-move.ts';
import { shortageOf, waitedForCopy, wouldLack } from './balance.ts';
import { fits, gainBarPercent, gainOf, loadWith, relieves, scoreAfterMove, type Search } from './candidate.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { fillLimit, type Limit, loadOf, stopLimit } from './line.ts';
import type { Returns } from './returns.ts';
import type { AffinityGroup, RuleBook, RuleFault } from './rules.ts';
import { scoreOf } from './score.ts';
import { outlookOf, outlookWith } from './shortage.ts';
import type { Stay } from './stay.ts';
import type { Where } from './where.ts';
import { coreCount, count, memorySize, percent } from './words.ts';

export interface GroupMove {
  readonly rules: readonly string[];
  /** In the order in which they are moved: the one that uses most goes first. */
  readonly vms: readonly ClusterVm[];
  readonly target: ClusterHost;
  readonly scoreAfter: number;
  /** What the moves save together, in core-seconds; null where they were not chosen for it. */
  readonly savedCoreSeconds: number | null;
}

export interface GroupQuestion {
  readonly search: Search;
  /** With the bounds of the balancer. */
  readonly book: RuleBook;
  readonly returns: Returns;
  /** As the plan has it so far. */
  readonly where: Where;
  /** Why a VM may not be moved now; null when it may. */
  readonly stayOf: (vmId: VmId) => Stay | null;
  readonly movesMax: number;
}

/** So many groups of one host are looked at, those that would relieve it most first. */
const groupsMax = 12;

/** For the reason why none is moved, so many targets with room are asked what is against them. */
const explainedMax = 64;

/** What of a group is on the source, as if it were one VM. */
interface Band {
  readonly group: AffinityGroup;
  readonly vms: readonly ClusterVm[];
  readonly sum: ClusterVm;
  /** Hosts of the others: a target has to have them. */
  readonly elsewhere: ReadonlySet<HostId>;
}

/** The group and the host that leave the lowest score, or by `balance` save most beyond their price; null when none helps enough. */
export function bestGroup(question: GroupQuestion): GroupMove | null {
  const { search } = question;
  if (search.policy.strategy === 'threshold') return null;
  const bands = bandsOf(question).filter((band) => holdOf(question, band) === null && relieves(search.source, band.sum, search.goal));
  if (bands.length === 0) return null;
  return bestWithin(question, bands, stopLimit(search.policy)) ?? bestWithin(question, bands, fillLimit(search.policy));
}

function bestWithin(question: GroupQuestion, bands: readonly Band[], limit: Limit): GroupMove | null {
  let best: (GroupMove & { readonly worth: number }) | null = null;
  for (const band of bands) {
    for (const target of question.search.targets.all) {
      if (!fits(target, band.sum, limit)) continue;
      const judged = judge(question.search, band, target);
      if (judged === null || (best !== null && judged.worth <= best.worth) || faultOf(question, band, target) !== null) continue;
      best = { rules: band.group.rules, vms: band.vms, target, ...judged };
    }
  }
  return best;
}

interface Judged {
  readonly scoreAfter: number;
  readonly savedCoreSeconds: number | null;
  /** More is better. */
  readonly worth: number;
}

/** Null where it would not help enough. */
function judge(search: Search, { sum, vms }: Band, target: ClusterHost): Judged | null {
  const { policy, source, goal } = search;
  const scoreAfter = scoreAfterMove(search, sum, target);
  if (!(scoreAfter < scoreOf(search.totals))) return null;
  const lacksMemory = loadOf(source).memoryPercent > goal.memoryPercent;
  if (policy.strategy === 'balance' && !lacksMemory) return judgeSaving(search, { sum, vms }, target, scoreAfter);
  // An average one of n VMs carries an n-th of its host's load: so many of them carry so many times that.
  const running = source.vms.filter(({ state }) => state === 'running').length;
  const bar = Math.min(policy.minimumGainPercent, gainBarPercent(policy, running) * vms.length);
  return gainOf(search, sum, target) >= bar ? { scoreAfter, savedCoreSeconds: null, worth: -scoreAfter } : null;
}

function judgeSaving(search: Search, { sum, vms }: Pick<Band, 'sum' | 'vms'>, target: ClusterHost, scoreAfter: number): Judged | null {
  const [source, there] = [outlookOf(search.source), outlookOf(target)];
  if (wouldLack(there, sum)) return null;
  const tolls = vms.map((vm) => search.costs.between(vm, search.source.hostId, target.hostId));
  // One channel carries all of them, so the shortage lasts for all copies.
  const durations = tolls.flatMap(({ durationMs }) => durationMs ?? []);
  const toll = { durationMs: durations.length === 0 ? null : durations.reduce((total, each) => total + each, 0) };
  const relief = shortageOf(search, source, toll) - shortageOf(search, outlookWith(source, sum, -1), toll);
  const burden = shortageOf(search, outlookWith(there, sum, 1), toll) - shortageOf(search, there, toll);
  const price = tolls.reduce((total, { priceCoreSeconds }) => total + priceCoreSeconds, 0);
  const weight = tolls.reduce((total, each) => total + each.weight, 0);
  const saved = relief - burden - waitedForCopy(search, toll);
  return saved > price ? { scoreAfter, savedCoreSeconds: saved, worth: saved / Math.sqrt(weight) } : null;
}

/** Why a VM that has to run together with others of its host stays, seen from a search that failed; null for one that has not. */
export function stayOfGroup(question: GroupQuestion, vm: ClusterVm): Stay | null {
  const { search } = question;
  const group = question.book.groupOf(vm.vmId);
  const band = group === null ? null : bandOf(question, group);
  if (band === null || search.policy.strategy === 'threshold') return null;
  const names = band.vms.filter(({ vmId }) => vmId !== vm.vmId).map(({ name }) => name);
  const because = ({ code, reason }: Stay): Stay => ({
    code,
    reason: `${vm.name} has to move together with ${names.join(', ')}, by rule ${band.group.rules.join(', ')}: ${reason}`,
  });
  const hold = holdOf(question, band);
  if (hold !== null) return because(hold);
  const { source, closed, targets, policy } = search;
  const limit = fillLimit(policy);
  if (!relieves(source, band.sum, search.goal))
    return because({ code: 'gain-too-small', reason: `they use nothing of what ${source.hostId} is short of` });
  const fitting = [...closed, ...targets.all].filter((target) => fits(target, band.sum, limit));
  if (fitting.length === 0) return because(withoutRoom(band, [...closed, ...targets.all], limit));
  const faults = fitting.slice(0, explainedMax).map((target) => faultOf(question, band, target));
  const [fault] = faults;
  if (fault && !faults.includes(null)) return because(fault);
  return because({ code: 'gain-too-small', reason: `to no host with room for all of them it would help enough` });
}

function withoutRoom({ sum, vms }: Band, targets: readonly ClusterHost[], limit: Limit): Stay {
  const all = `all ${count(vms.length, 'VM')}`;
  const withMemory = targets.filter(
    (target) => sum.memoryBytes <= freeMemoryBytes(target) && loadWith(target, sum).memoryPercent <= limit.memoryPercent,
  );
  if (withMemory.length === 0)
    return { code: 'no-target-memory', reason: `no host has the ${memorySize(sum.memoryBytes)} that ${all} may use free` };
  const least = Math.min(...withMemory.map((target) => loadWith(target, sum).cpuPercent));
  return {
    code: 'no-target-cpu',
    reason: `${all} use ${coreCount(sum.cpuUsedCores)}, with which the best target would be at ${percent(least)} CPU, ${percent(limit.cpuPercent)} is the most`,
  };
}

function bandsOf(question: GroupQuestion): readonly Band[] {
  const { search, book } = question;
  const groups = new Set(search.vms.flatMap(({ vmId }) => book.groupOf(vmId) ?? []));
  return [...groups]
    .flatMap((group) => bandOf(question, group) ?? [])
    .toSorted(
      (a, b) =>
        b.sum.cpuUsedCores - a.sum.cpuUsedCores || b.sum.memoryReliefBytes - a.sum.memoryReliefBytes || compareText(a.sum.vmId, b.sum.vmId),
    )
    .slice(0, groupsMax);
}

/** Null where at most one of the group is on the source: that one may leave by itself, or nowhere. */
function bandOf({ search, where }: GroupQuestion, group: AffinityGroup): Band | null {
  const { source } = search;
  const ids = new Set(group.vmIds.filter((vmId) => where(vmId) === source.hostId));
  if (ids.size < 2) return null;
  const vms = source.vms
    .filter(({ vmId }) => ids.has(vmId))
    .toSorted((a, b) => b.cpuUsedCores - a.cpuUsedCores || b.memoryBytes - a.memoryBytes || compareText(a.vmId, b.vmId));
  const elsewhere = new Set(group.vmIds.flatMap((vmId) => (ids.has(vmId) ? [] : (where(vmId) ?? []))));
  const [first] = vms;
  return first === undefined ? null : { group: { ...group, vmIds: [...ids] }, vms, sum: sumOf(first, vms), elsewhere };
}

/** As one VM. `first` gives it its id. */
export function sumOf(first: ClusterVm, vms: readonly ClusterVm[]): ClusterVm {
  const total = (of: (vm: ClusterVm) => number) => vms.reduce((sum, vm) => sum + of(vm), 0);
  return {
    ...first,
    cpuUsedCores: cores(total((vm) => vm.cpuUsedCores)),
    cpuWantedCores: total((vm) => vm.cpuWantedCores),
    meanCores: total((vm) => vm.meanCores),
    spreadCores: Math.sqrt(total((vm) => vm.spreadCores ** 2)),
    usualCores: total((vm) => vm.usualCores),
    usualSpreadCores: Math.sqrt(total((vm) => vm.usualSpreadCores ** 2)),
    memoryBytes: bytes(total((vm) => vm.memoryBytes)),
    memoryReliefBytes: bytes(total((vm) => vm.memoryReliefBytes)),
    networkPercent: total((vm) => vm.networkPercent),
    diskPercent: total((vm) => vm.diskPercent),
  };
}

/** Why the group is not moved now, wherever to. */
function holdOf({ stayOf, movesMax }: GroupQuestion, { group, vms }: Band): Stay | null {
  for (const vmId of group.vmIds) {
    const stay = stayOf(vmId);
    if (stay !== null) return stay;
  }
  if (vms.length < group.vmIds.length) return { code: 'stale-sample', reason: 'the load figures of one of them are unusable' };
  if (vms.length <= movesMax) return null;
  return {
    code: 'limit-reached',
    reason: `they are ${vms.length} VMs, and the plan may have ${count(Math.max(0, movesMax), 'move')} more`,
  };
}

function faultOf({ search, book, returns, where }: GroupQuestion, { vms, elsewhere, group }: Band, target: ClusterHost): RuleFault | null {
  const { hostId } = target;
  const other = [...elsewhere].find((at) => at !== hostId);
  if (other !== undefined)
    return { code: 'rule-affinity', reason: `rule ${group.rules.join(', ')} keeps them together with VMs on ${other}: not on ${hostId}` };
  const fault = search.placement.hostFault(hostId);
  if (fault !== null) return fault;
  for (const vm of vms) {
    const returned = returns.fault(vm, hostId);
    if (returned !== null) return returned;
  }
  return book.groupFault(vms, hostId, where);
}
