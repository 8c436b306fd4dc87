import type { HostId } from '#core/model/host.ts';
import type { Move, PlanDraft, Skip, Verdict } from '#core/model/plan.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import { type Bounds, boundsOf } from './bounds.ts';
import { clusterOf, findHost } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { withConfidence } from './confidence.ts';
import { compareText } from './cool-down.ts';
import { describePlan } from './describe.ts';
import { type Freeze, frozenHosts } from './freeze.ts';
import { isAbove, loadOf, needsRelief, reliefGoal, startLimit } from './line.ts';
import { migrationsByHost } from './migration-limits.ts';
import { pack, packingWaits } from './pack.ts';
import type { Packing } from './pack.ts';
import { pull } from './pull.ts';
import type { Pull } from './pull.ts';
import { relieve } from './relief.ts';
import type { Progress } from './progress.ts';
import type { Relief, Source } from './relief.ts';
import { repair } from './repair.ts';
import type { Repair } from './repair.ts';
import { withRounds } from './rounds.ts';
import { returnsOf } from './returns.ts';
import type { Returns } from './returns.ts';
import { ruleBookOf } from './rules.ts';
import type { RuleBook } from './rules.ts';
import { placementCounts } from './placement-tally.ts';
import { scoreOf, totalsOf } from './score.ts';
import { skipHost, skipVm, stayRule } from './stay.ts';
import type { Stay } from './stay.ts';
import { whereWith } from './where.ts';
import { count, percent } from './words.ts';

/**
 * The plan for one snapshot. Pure and deterministic: the order of hosts and VMs does not matter, ties are
 * broken by id. Only hosts over a start line, or on their way from it to the stop line, are relieved, and then VMs that are placed against a
 * rule are moved where they keep it; each move has its reason, and whatever was looked at and left alone is in `skipped` with its own.
 *
 * The limits on migrations at one time (`migrationsPerHostMax`, `migrationsPerClusterMax`) count what is under
 * way: a host at its limit is neither source nor target, and in a cluster at its limit nothing is planned. Which
 * moves of a plan may start at once is the executor's question, see `startableMoves`.
 */
export function makePlan(snapshot: Snapshot): PlanDraft {
  const { policy } = snapshot;
  const frozen = frozenHosts(snapshot);
  const cluster = clusterOf(snapshot, frozen);
  const hosts = snapshot.hosts.toSorted((a, b) => compareText(a.hostId, b.hostId));
  const known = hosts.filter((host) => !frozen.has(host.hostId));
  const over = known.filter((host) => needsRelief(host, policy));
  const bounds = boundsOf(snapshot);
  const spent = bounds.clusterFault();
  // By `pull` alone nobody gives: hosts take.
  const givers = policy.direction === 'pull' ? [] : over;
  const waits = givers.map((host) => ({ host, stay: waitOf(host, snapshot, cluster) ?? spent }));
  const sources = waits.filter(({ stay }) => stay === null).map(({ host }) => host);
  const book = ruleBookOf(snapshot);
  const stayAtAll = stayRule(snapshot, book);
  const stayOf = (vm: SnapshotVm) => stayAtAll(vm) ?? bounds.stay(vm);
  const vms = vmsToMove(snapshot, sources, stayOf);
  const targets = targetIds(snapshot, known, over);
  const returns = returnsOf(snapshot);
  const relief = relieve({
    cluster,
    sources: sources.map((host) => sourceOf(host, snapshot)),
    targetIds: targets,
    overflowIds: targetIds(snapshot, known, []),
    knownTargets: known.length - 1,
    mayMove: vms.mayMove,
    mayMakeRoom: mayMoveBy(snapshot, stayOf),
    stayOf: stayById(snapshot, stayOf),
    book: bounds.forRelief(book),
    bounds,
    returns,
  });
  const facts = { snapshot, known, targets, book, bounds, returns, stayOf };
  const mended = repairAfter(relief, facts);
  const pulled = pullAfter([...relief.moves, ...mended.moves], mended.state, facts);
  const packWaits = policy.strategy === 'pack' ? packingWaits(snapshot, frozen, over) : null;
  const packed = packAfter([...relief.moves, ...mended.moves, ...pulled.moves], pulled.state, packWaits, facts);
  const found = [...relief.moves, ...mended.moves, ...pulled.moves, ...packed.moves];
  const moves = withConfidence(withRounds(found, policy), snapshot);
  const skipped = [
    ...hosts.flatMap(({ hostId }) => skipFrozen(hostId, frozen.get(hostId))),
    ...waits.flatMap(({ host, stay }) => (stay === null ? [] : [skipHost(host.hostId, stay)])),
    ...vms.stayed,
    ...relief.skipped,
    ...mended.skipped,
    ...(policy.direction === 'pull' ? notPulled(over, pulled.moves, policy) : []),
    ...packed.skipped,
  ];
  const aboveStart = over.filter((host) => isAbove(loadOf(host), startLimit(policy)));
  const verdict = moves.length > 0 ? 'moves' : verdictWithoutMoves(snapshot, frozen, aboveStart, skipped, mended.misplaced);
  const scoreBefore = clusterScore(cluster, book, new Map());
  const scoreAfter = clusterScore(packed.state.cluster, book, packed.state.moved);
  const planFacts = {
    over: aboveStart.length,
    relieving: over.length - aboveStart.length,
    frozen: frozen.size,
    misplaced: mended.misplaced,
    pulled: pulled.moves.length,
    packing: policy.strategy === 'pack' ? { emptied: packed.emptied, waits: packWaits } : null,
    moves,
    skipped,
    scoreBefore,
    scoreAfter,
  };
  return { verdict, summary: describePlan(verdict, planFacts), scoreBefore, scoreAfter, moves, skipped };
}

/** Summed up anew, whatever was kept while the plan was made. */
function clusterScore({ hosts, policy }: Cluster, book: RuleBook, moved: ReadonlyMap<VmId, HostId>): number {
  return scoreOf(totalsOf(hosts, policy, placementCounts(book, whereWith(book.where, moved), hosts)));
}

interface AfterRelief {
  readonly snapshot: Snapshot;
  readonly known: readonly SnapshotHost[];
  readonly targets: ReadonlySet<HostId>;
  readonly book: RuleBook;
  readonly bounds: Bounds;
  readonly returns: Returns;
  readonly stayOf: (vm: SnapshotVm) => Stay | null;
}

/** What moves planned before leave over: so many more, between hosts that are not on the other side of one of them. */
function freeEnds(planned: readonly Move[], { snapshot, known, targets }: AfterRelief) {
  const { policy, inFlight } = snapshot;
  const busy = migrationsByHost(inFlight);
  const giving = new Set(planned.map(({ fromHostId }) => fromHostId));
  const taking = new Set([...planned, ...inFlight].map(({ toHostId }) => toHostId));
  const isFree = ({ hostId, unfit }: SnapshotHost) => unfit === null && (busy.get(hostId) ?? 0) < policy.migrationsPerHostMax;
  const isClusterFree = inFlight.length < policy.migrationsPerClusterMax;
  return {
    movesMax: isClusterFree ? policy.movesPerPlanMax - planned.length : 0,
    sourceIds: new Set(known.filter((host) => isFree(host) && !taking.has(host.hostId)).map(({ hostId }) => hostId)),
    targetIds: new Set([...targets].filter((hostId) => !giving.has(hostId))),
  };
}

function repairAfter(relief: Relief, facts: AfterRelief): Repair {
  return repair({
    ...freeEnds(relief.moves, facts),
    state: relief.state,
    book: facts.bounds.forRepair(facts.book),
    bounds: facts.bounds,
    stayOf: stayById(facts.snapshot, facts.stayOf),
  });
}

function pullAfter(planned: readonly Move[], state: Progress, facts: AfterRelief): Pull {
  if (facts.snapshot.policy.direction === 'push') return { state, moves: [] };
  const { snapshot, known, bounds, returns } = facts;
  const start = startLimit(snapshot.policy);
  const suffering = new Set(known.filter((host) => isAbove(loadOf(host), start)).map(({ hostId }) => hostId));
  // Where nobody suffers there is time to see what a VM will do, and no move for a burst.
  const isJudged = (vm: SnapshotVm) => vm.forecast !== null || suffering.has(vm.hostId);
  const mayMove = mayMoveBy({ ...snapshot, vms: snapshot.vms.filter(isJudged) }, facts.stayOf);
  return pull({ ...freeEnds(planned, facts), state, book: bounds.forRelief(facts.book), bounds, returns, mayMove });
}

function stayById({ vms: all }: Snapshot, stayOf: (vm: SnapshotVm) => Stay | null): (vmId: VmId) => Stay | null {
  const vms = new Map(all.map((vm) => [vm.vmId, vm]));
  return (vmId) => {
    const vm = vms.get(vmId);
    return vm === undefined ? { code: 'in-flight', reason: 'it is not known' } : stayOf(vm);
  };
}

function mayMoveBy({ vms: all }: Snapshot, stayOf: (vm: SnapshotVm) => Stay | null): (vmId: VmId) => boolean {
  const vms = new Map(all.map((vm) => [vm.vmId, vm]));
  return (vmId) => {
    const vm = vms.get(vmId);
    return vm !== undefined && stayOf(vm) === null;
  };
}

/** Whether anybody is over a line or placed against a rule, that comes first. */
function packAfter(planned: readonly Move[], state: Progress, waits: string | null, facts: AfterRelief): Packing {
  const { snapshot, bounds, returns, stayOf } = facts;
  const book = bounds.forRelief(facts.book);
  if (snapshot.policy.strategy !== 'pack' || waits !== null || planned.length > 0) return { state, moves: [], skipped: [], emptied: [] };
  return pack({ ...freeEnds(planned, facts), snapshot, state, book, bounds, returns, stayOf });
}

function notPulled(over: readonly SnapshotHost[], moves: readonly Move[], { pull: { belowPercent } }: Policy): readonly Skip[] {
  const from = new Set(moves.map(({ fromHostId }) => fromHostId));
  const reason = `the direction is pull, and no host below ${percent(belowPercent)} CPU could take from it`;
  return over
    .filter(({ hostId }) => !from.has(hostId))
    .map(({ hostId }) => skipHost(hostId, { code: 'not-pulled', reason: `${hostId} is over its line, but ${reason}` }));
}

function sourceOf(host: SnapshotHost, { policy }: Snapshot): Source {
  return { hostId: host.hostId, goal: reliefGoal(host, policy) };
}

/** Why a host that is over its line is not relieved in this round; null when it is a source. */
function waitOf(host: SnapshotHost, snapshot: Snapshot, cluster: Cluster): Stay | null {
  const { policy, inFlight } = snapshot;
  const { hostId, roundsOverLine, relieving, unfit } = host;
  if (unfit !== null) return { code: 'unfit', reason: `${hostId} takes part in no migration: ${unfit}` };
  // Written so that NaN waits too.
  // By `balance` a shortage that would not last is not worth its move, so it need not be waited for; the threshold rule waits for nothing.
  const mustLast = policy.strategy === 'lines' || policy.strategy === 'pack';
  if (mustLast && !relieving.cpu && !relieving.memory && !(roundsOverLine >= policy.sustainedRounds)) {
    return {
      code: 'not-sustained',
      reason: `${hostId} is over its line for ${count(roundsOverLine, 'round')}, relief begins at ${policy.sustainedRounds}`,
    };
  }
  const projected = findHost(cluster, hostId);
  if (projected !== undefined && !isAbove(loadOf(projected), sourceOf(host, snapshot).goal)) {
    const load = loadOf(projected);
    return {
      code: 'in-flight',
      reason: `${hostId} is being relieved already, to ${percent(load.cpuPercent)} CPU and ${percent(load.memoryPercent)} memory`,
    };
  }
  if (inFlight.length >= policy.migrationsPerClusterMax) {
    return {
      code: 'limit-reached',
      reason: `${count(inFlight.length, 'migration')} under way, the cluster's limit is ${policy.migrationsPerClusterMax}`,
    };
  }
  const own = migrationsByHost(inFlight).get(hostId) ?? 0;
  if (own < policy.migrationsPerHostMax) return null;
  return {
    code: 'limit-reached',
    reason: `${hostId} takes part in ${count(own, 'migration')}, the limit of a host is ${policy.migrationsPerHostMax}`,
  };
}

/** Known, not over a line, free for another migration; and not giving VMs away at this time: its room is not there yet. */
function targetIds(snapshot: Snapshot, known: readonly SnapshotHost[], over: readonly SnapshotHost[]): ReadonlySet<HostId> {
  const busy = migrationsByHost(snapshot.inFlight);
  const giving = new Set(snapshot.inFlight.map(({ fromHostId }) => fromHostId));
  const overIds = new Set(over.map(({ hostId }) => hostId));
  return new Set(
    known
      .map(({ hostId }) => hostId)
      .filter((hostId) => !overIds.has(hostId) && !giving.has(hostId) && (busy.get(hostId) ?? 0) < snapshot.policy.migrationsPerHostMax),
  );
}

function vmsToMove(
  snapshot: Snapshot,
  sources: readonly SnapshotHost[],
  stayOf: (vm: SnapshotVm) => Stay | null,
): { readonly mayMove: ReadonlySet<VmId>; readonly stayed: readonly Skip[] } {
  const sourceIds = new Set(sources.map(({ hostId }) => hostId));
  const mayMove = new Set<VmId>();
  const stayed: Skip[] = [];
  const vms = snapshot.vms.filter((vm) => sourceIds.has(vm.hostId));
  for (const vm of vms.toSorted((a, b) => compareText(a.hostId, b.hostId) || compareText(a.vmId, b.vmId))) {
    const stay = stayOf(vm);
    if (stay === null) mayMove.add(vm.vmId);
    else stayed.push(skipVm(vm.hostId, vm, stay));
  }
  return { mayMove, stayed };
}

function skipFrozen(hostId: HostId, freeze: Freeze | undefined): readonly Skip[] {
  return freeze === undefined ? [] : [skipHost(hostId, { code: freeze.code, reason: `${hostId} is left alone: ${freeze.reason}` })];
}

function verdictWithoutMoves(
  snapshot: Snapshot,
  frozen: ReadonlyMap<HostId, Freeze>,
  over: readonly SnapshotHost[],
  skipped: readonly Skip[],
  misplaced: number,
): Verdict {
  const overIds = new Set(over.map(({ hostId }) => hostId));
  if (over.length > 0) {
    const why = skipped.filter(({ hostId }) => overIds.has(hostId));
    return why.length > 0 && why.every(({ code }) => code === 'no-target-fresh') ? 'frozen' : 'no-beneficial-move';
  }
  // A frozen host that was last seen below its lines says nothing of the others; one seen above does.
  const suspects = snapshot.hosts.filter(({ hostId }) => frozen.has(hostId));
  const nothingKnown = suspects.length > 0 && suspects.length === snapshot.hosts.length;
  if (misplaced > 0) return 'no-beneficial-move';
  return nothingKnown || suspects.some((host) => isAbove(loadOf(host), startLimit(snapshot.policy))) ? 'frozen' : 'balanced';
}
