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
  const open = search.targets.filter((target) => search.placement.hostFault(target.hostId) === null);
  const likely = emptiest(open, likelyTargets);
  return bestAmong(search, likely) ?? (likely.length < open.length ? bestAmong(search, open) : null);
}

/** Those with most CPU to spare, by what is wanted and what is expected, in their order. */
function emptiest(hosts: readonly ClusterHost[], amount: number): readonly ClusterHost[] {
  if (hosts.length <= amount) return hosts;
  const chosen = chosenOf.get(hosts) ?? chooseEmptiest(hosts, amount);
  chosenOf.set(hosts, chosen);
  return chosen;
}

/** The VMs of a host are judged on the same targets, one after the other. */
const chosenOf = new WeakMap<readonly ClusterHost[], readonly ClusterHost[]>();

function chooseEmptiest(hosts: readonly ClusterHost[], amount: number): readonly ClusterHost[] {
  const spare = hosts.map((host) => {
    const { capacityCores, wantedCores, meanCores, variance } = outlookOf(host);
    return capacityCores - Math.max(wantedCores, meanCores + Math.sqrt(variance));
  });
  const least = kthLargest(spare, amount);
  return hosts.filter((_, index) => (spare[index] ?? 0) >= least).slice(0, amount);
}

/** In one pass, with a short sorted list beside it. */
function kthLargest(values: readonly number[], k: number): number {
  const largest: number[] = [];
  for (const value of values) {
    if (largest.length === k && value <= (largest[k - 1] ?? 0)) continue;
    let place = largest.length;
    while (place > 0 && (largest[place - 1] ?? 0) < value) place -= 1;
    largest.splice(place, 0, value);
    if (largest.length > k) largest.pop();
  }
  return largest.at(-1) ?? Number.NEGATIVE_INFINITY;
}

function bestAmong(search: Search, hosts: readonly ClusterHost[]): Candidate | null {
  const limit = fillLimit(search.policy);
  const targets = hosts.map((target) => ({ target, outlook: outlookOf(target) }));
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
  const likely = emptiest(search.targets, likelyTargets);
  return largestAmong(search, vm, likely) ?? (likely.length < search.targets.length ? largestAmong(search, vm, search.targets) : null);
}

function largestAmong(search: Search, vm: ClusterVm, targets: readonly ClusterHost[]): Saving | null {
  const limit = fillLimit(search.policy);
  const source = outlookOf(search.source);
  let best: Saving | null = null;
  for (const target of targets) {
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
