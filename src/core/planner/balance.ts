/** The strategy `balance`: of all moves that relieve a host, the one that saves most shortage of CPU for what it copies. */
import { type Candidate, fits, gainOf, relieves, type Saving, type Search, scoreAfterMove } from './candidate.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { fillLimit } from './line.ts';
import { type Outlook, outlookOf, outlookWith, shortageCoreSeconds } from './shortage.ts';

const gibibyte = 2 ** 30;

/**
 * The best move, or null when none fits or saves more than its price. A large VM must save more than a small one, but not as much more as it
 * is larger: one move that ends a shortage is better than several that share it. Ties go to the ids.
 */
export function bestSaving(search: Search): Candidate | null {
  const limit = fillLimit(search.policy);
  const targets = search.targets
    .filter((target) => search.placement.hostFault(target.hostId) === null)
    .map((target) => ({ target, outlook: outlookOf(target) }));
  const source = outlookOf(search.source);
  let best: { readonly candidate: Candidate; readonly worth: number } | null = null;
  for (const vm of search.vms) {
    if (!relieves(search.source, vm, search.goal)) continue;
    for (const { target, outlook } of targets) {
      if (!fits(target, vm, limit) || wouldLack(search, outlook, vm)) continue;
      const saving = savingOf(search, source, outlook, vm);
      const worth = saving.savedCoreSeconds / Math.sqrt(vm.memoryBytes / gibibyte);
      if (saving.savedCoreSeconds <= saving.priceCoreSeconds || (best !== null && worth <= best.worth)) continue;
      const candidate = candidateOf(search, vm, target, saving);
      if (candidate !== null) best = { candidate, worth };
    }
  }
  return best?.candidate ?? null;
}

/** Best of what fits, for the reason why a VM stays. Null when nothing fits. */
export function largestSaving(search: Search, vm: ClusterVm): Saving | null {
  const limit = fillLimit(search.policy);
  const source = outlookOf(search.source);
  let best: Saving | null = null;
  for (const target of search.targets) {
    const outlook = outlookOf(target);
    if (!fits(target, vm, limit) || wouldLack(search, outlook, vm)) continue;
    const saving = savingOf(search, source, outlook, vm);
    if (best === null || saving.savedCoreSeconds > best.savedCoreSeconds) best = saving;
  }
  return best;
}

/** What is used there is not yet all that is wanted. */
function wouldLack({ policy }: Search, outlook: Outlook, vm: ClusterVm): boolean {
  return outlook.wantedCores + vm.cpuWantedCores > (outlook.capacityCores * policy.cpuLine.startPercent) / 100;
}

function savingOf({ policy }: Search, source: Outlook, target: Outlook, vm: ClusterVm): Saving {
  const { cpuLine, balance, forecast } = policy;
  const short = (outlook: Outlook) => shortageCoreSeconds(outlook, cpuLine.startPercent, balance, forecast.horizonMs);
  const before = short(source) + short(target);
  const after = short(outlookWith(source, vm, -1)) + short(outlookWith(target, vm, 1));
  return { savedCoreSeconds: before - after, priceCoreSeconds: (balance.coreSecondsPerGib * vm.memoryBytes) / gibibyte };
}

/** Rules are asked last: they cost most. */
function candidateOf(search: Search, vm: ClusterVm, target: ClusterHost, saving: Saving): Candidate | null {
  if (search.placement.fault(vm, target.hostId) !== null) return null;
  return { vm, target, scoreAfter: scoreAfterMove(search, vm, target), gainPercent: gainOf(search, vm, target), saving };
}
