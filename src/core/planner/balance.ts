/** The strategy `balance`: of all moves that relieve a host, the one that saves most shortage of CPU for what it copies. */
import { type Candidate, fits, gainOf, relieves, type Saving, type Search, scoreAfterMove } from './candidate.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { fillLimit } from './line.ts';
import { type Outlook, outlookOf, outlookWith, shortageCoreSeconds } from './shortage.ts';

const gibibyte = 2 ** 30;

/** Of a large cluster, so many of the hosts with most CPU to spare are judged first. */
const likelyTargets = 48;

/**
 * The best move, or null when none fits or saves more than its price. A large VM must save more than a small one, but not as much more as it
 * is larger: one move that ends a shortage is better than several that share it. Ties go to the ids.
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
  readonly reliefCoreSeconds: number;
  readonly priceCoreSeconds: number;
  readonly rootGib: number;
}

function leaverOf(search: Search, source: Outlook, vm: ClusterVm): readonly Leaver[] {
  const reliefCoreSeconds = shortageOf(search, source) - shortageOf(search, outlookWith(source, vm, -1));
  const priceCoreSeconds = priceOf(search, vm);
  if (reliefCoreSeconds <= priceCoreSeconds) return [];
  return [{ vm, reliefCoreSeconds, priceCoreSeconds, rootGib: Math.sqrt(vm.memoryBytes / gibibyte) }];
}

function bestAmong(search: Search, leavers: readonly Leaver[], targets: readonly ClusterHost[]): Candidate | null {
  const limit = fillLimit(search.policy);
  let best: { readonly candidate: Candidate; readonly worth: number } | null = null;
  for (const { vm, reliefCoreSeconds, priceCoreSeconds, rootGib } of leavers) {
    for (const target of targets) {
      // No target can be worth more than one that the VM costs nothing.
      if (best !== null && reliefCoreSeconds / rootGib <= best.worth) break;
      const outlook = outlookOf(target);
      if (!fits(target, vm, limit) || wouldLack(search, outlook, vm)) continue;
      const savedCoreSeconds = reliefCoreSeconds - burdenOf(search, outlook, vm);
      const worth = savedCoreSeconds / rootGib;
      if (savedCoreSeconds <= priceCoreSeconds || (best !== null && worth <= best.worth)) continue;
      const candidate = candidateOf(search, vm, target, { savedCoreSeconds, priceCoreSeconds });
      if (candidate !== null) best = { candidate, worth };
    }
  }
  return best?.candidate ?? null;
}

/** Best of what fits, for the reason why a VM stays. Null when nothing fits. */
export function largestSaving(search: Search, vm: ClusterVm): Saving | null {
  const { targets } = search;
  const likely = targets.emptiest(likelyTargets);
  return largestAmong(search, vm, likely) ?? (likely.length < targets.all.length ? largestAmong(search, vm, targets.all) : null);
}

function largestAmong(search: Search, vm: ClusterVm, targets: readonly ClusterHost[]): Saving | null {
  const limit = fillLimit(search.policy);
  const source = outlookOf(search.source);
  const reliefCoreSeconds = shortageOf(search, source) - shortageOf(search, outlookWith(source, vm, -1));
  let least: number | null = null;
  for (const target of targets) {
    if (least === 0) break;
    const outlook = outlookOf(target);
    if (!fits(target, vm, limit) || wouldLack(search, outlook, vm)) continue;
    least = Math.min(least ?? Number.POSITIVE_INFINITY, burdenOf(search, outlook, vm));
  }
  return least === null ? null : { savedCoreSeconds: reliefCoreSeconds - least, priceCoreSeconds: priceOf(search, vm) };
}

/** What is used there is not yet all that is wanted. */
function wouldLack({ policy }: Search, outlook: Outlook, vm: ClusterVm): boolean {
  return outlook.wantedCores + vm.cpuWantedCores > (outlook.capacityCores * policy.cpuLine.startPercent) / 100;
}

/** What the VM adds to the shortage of its target. */
function burdenOf(search: Search, target: Outlook, vm: ClusterVm): number {
  return shortageOf(search, outlookWith(target, vm, 1)) - shortageOf(search, target);
}

function shortageOf({ policy }: Search, outlook: Outlook): number {
  return shortageCoreSeconds(outlook, policy.cpuLine.startPercent, policy.balance, policy.forecast.horizonMs);
}

function priceOf({ policy }: Search, vm: ClusterVm): number {
  return (policy.balance.coreSecondsPerGib * vm.memoryBytes) / gibibyte;
}

/** Rules are asked last: they cost most. */
function candidateOf(search: Search, vm: ClusterVm, target: ClusterHost, saving: Saving): Candidate | null {
  if (search.placement.fault(vm, target.hostId) !== null) return null;
  return { vm, target, scoreAfter: scoreAfterMove(search, vm, target), gainPercent: gainOf(search, vm, target), saving };
}
