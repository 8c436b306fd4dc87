/**
 * Two moves that relieve a host where no single one does. Either room is made on a target, by moving one of its VMs on, or a VM of the
 * host changes places with a smaller one: it goes first, because its host is the one that suffers, so its target must bear both for a while.
 */
import type { HostId } from '#core/model/host.ts';
import type { VmId } from '#core/model/vm.ts';
import { shortageOf, waitedForCopy, wouldLack } from './balance.ts';
import { fits, gainBarPercent, type Placement, relieves, type Search } from './candidate.ts';
import { withoutVm, withVm } from './cluster.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { fillLimit, startLimit } from './line.ts';
import { addTotals, gainTerms, noHosts, partOf, scoreOf } from './score.ts';
import type { Totals } from './score.ts';
import { type Outlook, outlookOf, outlookWith } from './shortage.ts';

export interface ChainStep {
  readonly vm: ClusterVm;
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
}

export interface Chain {
  readonly kind: 'make-room' | 'swap';
  /** In the order in which they have to be made. */
  readonly first: ChainStep;
  readonly second: ChainStep;
  /** The one that relieves the source; the other is made for its sake. */
  readonly relief: ChainStep;
  readonly scoreAfter: number;
  /** What both save together, in core-seconds; null where they were not chosen for it. */
  readonly savedCoreSeconds: number | null;
}

/** Searching is thorough, so it is kept to what is likeliest: the VMs that use most, and the hosts with most to spare. */
const moversMax = 12;
const targetsMax = 24;

export interface ChainQuestion {
  readonly search: Search;
  /** Whether a VM of a target may be moved, for the sake of the source. */
  readonly mayMove: (vmId: VmId) => boolean;
  /** The rules as they bind once a VM is elsewhere. */
  readonly placementWith: (vmId: VmId, hostId: HostId) => Placement;
}

/** The pair that leaves the lowest score, or by `balance` saves most beyond its price; null when none helps enough. */
export function bestChain(question: ChainQuestion): Chain | null {
  const { search, mayMove } = question;
  const movers = search.vms
    .filter((vm) => relieves(search.source, vm, search.goal))
    .toSorted((a, b) => b.cpuUsedCores - a.cpuUsedCores || b.memoryReliefBytes - a.memoryReliefBytes || (a.vmId < b.vmId ? -1 : 1))
    .slice(0, moversMax);
  const targets = search.targets.emptiest(targetsMax);
  const limit = fillLimit(search.policy);
  let best: Judged | null = null;
  for (const target of targets) {
    for (const other of target.vms.filter((vm) => vm.state === 'running' && mayMove(vm.vmId))) {
      const roomier = withoutVm(target, other);
      for (const vm of movers.filter((mover) => fits(roomier, mover, limit))) {
        for (const chain of chainsOf(search, { vm, other, target, targets })) best = betterOf(question, chain, best);
      }
    }
  }
  return best === null ? null : asChain(search, best);
}

/** `vm` leaves the source for `target`, which `other` leaves for `elsewhere`. */
interface Trade {
  readonly vm: ClusterVm;
  readonly other: ClusterVm;
  readonly target: ClusterHost;
  readonly elsewhere: ClusterHost;
}

interface Judged {
  readonly trade: Trade;
  readonly scoreAfter: number;
  readonly savedCoreSeconds: number | null;
  /** More is better. */
  readonly worth: number;
}

interface Pair {
  readonly vm: ClusterVm;
  readonly other: ClusterVm;
  readonly target: ClusterHost;
  readonly targets: readonly ClusterHost[];
}

function chainsOf(search: Search, { vm, other, target, targets }: Pair): readonly Trade[] {
  const { source, policy } = search;
  const limit = fillLimit(policy);
  const isShort = (outlook: Outlook, arriving: ClusterVm) => policy.strategy === 'balance' && wouldLack(outlook, arriving);
  const there = outlookOf(target);
  const elsewhere = isShort(outlookWith(there, other, -1), vm)
    ? []
    : targets.filter((host) => host !== target && fits(host, other, limit) && !isShort(outlookOf(host), other));
  // The target of a swap has both for a while.
  const isSwap =
    fits(target, vm, startLimit(policy)) &&
    !isShort(there, vm) &&
    fits(withoutVm(source, vm), other, limit) &&
    !isShort(outlookWith(outlookOf(source), vm, -1), other);
  return [...elsewhere, ...(isSwap ? [source] : [])].map((host) => ({ vm, other, target, elsewhere: host }));
}

function betterOf(question: ChainQuestion, trade: Trade, best: Judged | null): Judged | null {
  const judged = judge(question.search, trade, best?.worth ?? -Infinity);
  return judged !== null && isAllowed(question, trade) && relievesInItsTurn(question.search, trade) ? judged : best;
}

/** The hosts of a trade before it and after it. */
function changed(search: Search, { vm, other, target, elsewhere }: Trade): readonly (readonly [ClusterHost, ClusterHost])[] {
  const { source } = search;
  const left = withoutVm(source, vm);
  const filled = withVm(withoutVm(target, other), vm);
  if (elsewhere === source)
    return [
      [source, withVm(left, other)],
      [target, filled],
    ];
  return [
    [source, left],
    [target, filled],
    [elsewhere, withVm(elsewhere, other)],
  ];
}

/** Null where it would not help enough, or is worth no more than what was found before. */
function judge(search: Search, trade: Trade, worthMin: number): Judged | null {
  if (search.policy.strategy !== 'balance') return judgeScore(search, trade, worthMin);
  const saving = savingOf(search, trade);
  if (saving.saved <= saving.price || saving.saved - saving.price <= worthMin) return null;
  const scored = judgeScore(search, trade, -Infinity);
  return scored && { ...scored, savedCoreSeconds: saving.saved, worth: saving.saved - saving.price };
}

function judgeScore(search: Search, trade: Trade, worthMin: number): Judged | null {
  const { policy, totals } = search;
  let [before, after, then] = [noHosts, noHosts, totals];
  for (const [was, is] of changed(search, trade)) {
    const [wasPart, isPart] = [partOf(was, policy), partOf(is, policy)];
    before = addTotals(before, wasPart);
    after = addTotals(after, isPart);
    then = addTotals(addTotals(then, wasPart, -1), isPart);
  }
  const scoreAfter = scoreOf(then);
  if (!(scoreAfter < scoreOf(totals)) || -scoreAfter <= worthMin) return null;
  if (policy.strategy !== 'balance') {
    const running = search.source.vms.filter(({ state }) => state === 'running').length;
    const gainPercent = (1 - scoreOf(after, gainTerms) / scoreOf(before, gainTerms)) * 100;
    if (gainPercent < gainBarPercent(policy, running)) return null;
  }
  return { trade, scoreAfter, savedCoreSeconds: null, worth: -scoreAfter };
}

/** In core-seconds. Reckoned on sums: building the hosts of every trade would cost more than all the rest of a plan. */
function savingOf(search: Search, { vm, other, target, elsewhere }: Trade): { readonly saved: number; readonly price: number } {
  const { source, costs } = search;
  const tolls = [costs.between(vm, source.hostId, target.hostId), costs.between(other, target.hostId, elsewhere.hostId)];
  // Made one after the other, so the shortage lasts for both copies.
  const durations = tolls.flatMap(({ durationMs }) => durationMs ?? []);
  const durationMs = durations.length === 0 ? null : durations.reduce((sum, each) => sum + each, 0);
  const [here, there] = [outlookOf(source), outlookOf(target)];
  const left = outlookWith(here, vm, -1);
  const filled = outlookWith(outlookWith(there, other, -1), vm, 1);
  const outlooks: readonly (readonly [Outlook, Outlook])[] =
    elsewhere === source
      ? [
          [here, outlookWith(left, other, 1)],
          [there, filled],
        ]
      : [
          [here, left],
          [there, filled],
          [outlookOf(elsewhere), outlookWith(outlookOf(elsewhere), other, 1)],
        ];
  const saved = outlooks.reduce(
    (sum, [was, is]) => sum + shortageOf(search, was, { durationMs }) - shortageOf(search, is, { durationMs }),
    0,
  );
  return {
    saved: saved - waitedForCopy(search, { durationMs }),
    price: tolls.reduce((sum, { priceCoreSeconds }) => sum + priceCoreSeconds, 0),
  };
}

/** The move that relieves lowers the score when its turn comes: only the helping one may cost something. */
function relievesInItsTurn({ policy, source, totals }: Search, { vm, other, target, elsewhere }: Trade): boolean {
  const change = (from: Totals, hosts: readonly (readonly [ClusterHost, ClusterHost])[]) =>
    hosts.reduce((sum, [was, is]) => addTotals(addTotals(sum, partOf(was, policy), -1), partOf(is, policy)), from);
  const isSwap = elsewhere === source;
  const roomier = isSwap ? target : withoutVm(target, other);
  const helped = isSwap
    ? totals
    : change(totals, [
        [target, roomier],
        [elsewhere, withVm(elsewhere, other)],
      ]);
  const relieved = change(helped, [
    [source, withoutVm(source, vm)],
    [roomier, withVm(roomier, vm)],
  ]);
  return scoreOf(relieved) < scoreOf(helped);
}

function isAllowed({ search, placementWith }: ChainQuestion, { vm, other, target, elsewhere }: Trade): boolean {
  const { placement, source } = search;
  if (elsewhere === source) {
    if (placement.hostFault(source.hostId) !== null || placement.fault(vm, target.hostId) !== null) return false;
    return placementWith(vm.vmId, target.hostId).fault(other, source.hostId) === null;
  }
  if (placement.fault(other, elsewhere.hostId) !== null) return false;
  return placementWith(other.vmId, elsewhere.hostId).fault(vm, target.hostId) === null;
}

function asChain({ source }: Search, { trade, scoreAfter, savedCoreSeconds }: Judged): Chain {
  const { vm, other, target, elsewhere } = trade;
  const relief = { vm, fromHostId: source.hostId, toHostId: target.hostId };
  const help = { vm: other, fromHostId: target.hostId, toHostId: elsewhere.hostId };
  const isSwap = elsewhere === source;
  return {
    kind: isSwap ? 'swap' : 'make-room',
    ...(isSwap ? { first: relief, second: help } : { first: help, second: relief }),
    relief,
    scoreAfter,
    savedCoreSeconds,
  };
}
