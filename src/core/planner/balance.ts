/** The strategy `balance`: of all moves that relieve a host, the one that saves most shortage of CPU for what it copies. */
import { type Candidate, fits, gainOf, relieves, type Saving, type Search, scoresAfter } from './candidate.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import type { Toll } from './cost.ts';
import { fillLimit } from './line.ts';
import { type Outlook, outlookOf, outlookWith, shortageCoreSeconds } from './shortage.ts';

/** Of a large cluster, so many of the hosts with most CPU to spare are judged first. */
const likelyTargets = 48;

/**
 * The best move, or null when none fits or saves more than its price. One that sends more must save more, but not as much more as it
 * sends: one move that ends a shortage is better than several that share it. Among equals the lowest score is best, then the ids.
 */
export function bestSaving(search: Search): Candidate | null {
  const { targets } = search;
  const source = outlookOf(search.source);
  const leavers = search.vms.filter((vm) => relieves(search.source, vm, search.goal)).flatMap((vm) => leaverOf(search, source, vm));
  if (leavers.length === 0) return null;
  const likely = targets.emptiest(likelyTargets);
  return bestAmong(search, leavers, likely) ?? (likely.length < targets.all.length ? bestAmong(search, leavers, targets.all) : null);
}

/** A VM whose leaving would save its price, if it costs its target nothing. */
interface Leaver {
  readonly vm: ClusterVm;
  /** Null where it depends on the target. */
  readonly toll: Toll | null;
  /** At most, whatever the target. */
  readonly reliefCoreSeconds: number;
}

function leaverOf(search: Search, source: Outlook, vm: ClusterVm): readonly Leaver[] {
  const toll = search.costs.everywhere(vm);
  const reliefCoreSeconds = reliefOf(search, source, vm, toll);
  return reliefCoreSeconds > (toll?.priceCoreSeconds ?? 0) ? [{ vm, toll, reliefCoreSeconds }] : [];
}

/** What is within a hundredth of the best is as good: forecasts are no better than that, and then the lower score says which host has more room. */
const nearly = 0.99;

function bestAmong(search: Search, leavers: readonly Leaver[], targets: readonly ClusterHost[]): Candidate | null {
  const limit = fillLimit(search.policy);
  let most = 0;
  let best: { readonly candidate: Candidate; readonly worth: number } | null = null;
  for (const leaver of leavers) {
    const { vm } = leaver;
    const scoreWith = scoresAfter(search, vm);
    for (const target of targets) {
      // No target can be worth more than one that the VM costs nothing.
      if (leaver.toll !== null && worthOf(leaver.reliefCoreSeconds, leaver.toll) < most * nearly) break;
      const outlook = outlookOf(target);
      if (!fits(target, vm, limit) || wouldLack(outlook, vm)) continue;
      const saving = savingOf(search, leaver, target);
      const worth = worthOf(saving.savedCoreSeconds, saving.toll);
      if (saving.savedCoreSeconds <= saving.toll.priceCoreSeconds || worth < most * nearly) continue;
      const scoreAfter = scoreWith(target);
      if (best !== null && best.worth >= Math.max(most, worth) * nearly && scoreAfter >= best.candidate.scoreAfter) continue;
      // Rules are asked last: they cost most.
      if (search.placement.fault(vm, target.hostId) !== null) continue;
      most = Math.max(most, worth);
      best = { candidate: { vm, target, scoreAfter, gainPercent: gainOf(search, vm, target), saving }, worth };
    }
  }
  return best?.candidate ?? null;
}

/** One that sends more must save more, but not as much more as it sends. */
function worthOf(savedCoreSeconds: number, toll: Toll): number {
  return savedCoreSeconds / Math.sqrt(toll.weight);
}

/** Best of what fits, for the reason why a VM stays. Null when nothing fits. */
export function largestSaving(search: Search, vm: ClusterVm): Saving | null {
  const { targets } = search;
  const likely = targets.emptiest(likelyTargets);
  return largestAmong(search, vm, likely) ?? (likely.length < targets.all.length ? largestAmong(search, vm, targets.all) : null);
}

function largestAmong(search: Search, vm: ClusterVm, targets: readonly ClusterHost[]): Saving | null {
  const limit = fillLimit(search.policy);
  const toll = search.costs.everywhere(vm);
  const leaver: Leaver = { vm, toll, reliefCoreSeconds: reliefOf(search, outlookOf(search.source), vm, toll) };
  let best: Saving | null = null;
  for (const target of targets) {
    if (best !== null && toll !== null && best.savedCoreSeconds >= leaver.reliefCoreSeconds) break;
    if (!fits(target, vm, limit) || wouldLack(outlookOf(target), vm)) continue;
    const saving = savingOf(search, leaver, target);
    if (best === null || saving.savedCoreSeconds > best.savedCoreSeconds) best = saving;
  }
  return best;
}

/**
 * More would be wanted there than there is. Not the start line: what VMs wait for on a full host is at most what they want, and may be
 * less, so that no host would seem to have room for them; between the two it counts as what the move costs its target.
 */
export function wouldLack(outlook: Outlook, vm: Pick<ClusterVm, 'cpuWantedCores'>): boolean {
  return outlook.wantedCores + vm.cpuWantedCores > outlook.capacityCores;
}

function savingOf(search: Search, { vm, toll: everywhere, reliefCoreSeconds }: Leaver, target: ClusterHost): Saving {
  const toll = everywhere ?? search.costs.between(vm, search.source.hostId, target.hostId);
  const relief = everywhere === null ? reliefOf(search, outlookOf(search.source), vm, toll) : reliefCoreSeconds;
  const there = outlookOf(target);
  const burden = shortageOf(search, outlookWith(there, vm, 1), toll) - shortageOf(search, there, toll);
  return { savedCoreSeconds: relief - burden, toll };
}

function reliefOf(search: Search, source: Outlook, vm: ClusterVm, toll: Toll | null): number {
  return shortageOf(search, source, toll) - shortageOf(search, outlookWith(source, vm, -1), toll) - waitedForCopy(search, toll);
}

/** Until the copy has ended nothing is saved, so a copy that takes long saves less. */
export function shortageOf(search: Search, outlook: Outlook, toll: Pick<Toll, 'durationMs'> | null): number {
  const { cpuLine, balance, forecast } = search.policy;
  const lostMs = toll?.durationMs ?? 0;
  const shortageMs = Math.max(0, balance.shortageMs - lostMs);
  const linePercent = copyMakesWait(search) ? 100 : cpuLine.startPercent;
  const { usualMs = 0 } = balance;
  return shortageCoreSeconds(outlook, linePercent, { shortageMs, usualMs }, Math.max(0, forecast.horizonMs - lostMs));
}

/** Nobody waits on the source, and a copy would change that: what it is to prevent may not come, what it does will. */
export function copyMakesWait({ policy, source }: Pick<Search, 'policy' | 'source'>): boolean {
  const { capacityCores, wantedCores } = outlookOf(source);
  return wantedCores <= capacityCores && wantedCores + (policy.balance.copyCores ?? 0) > capacityCores;
}

/** Core-seconds that VMs of the source wait for because of the copy alone; 0 where they wait anyway. */
export function waitedForCopy(search: Pick<Search, 'policy' | 'source'>, toll: Pick<Toll, 'durationMs'> | null): number {
  if (!copyMakesWait(search)) return 0;
  const { capacityCores, wantedCores } = outlookOf(search.source);
  const { copyCores = 0 } = search.policy.balance;
  return ((wantedCores + copyCores - capacityCores) * (toll?.durationMs ?? 0)) / 1000;
}
