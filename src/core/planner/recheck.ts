/** Judges a planned move again right before it is started: between the plan and the start of a move the world changes. */
import type { HostId } from '#core/model/host.ts';
import type { Move, MoveAim, SkipCode } from '#core/model/plan.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import { mends, type MoveEnds } from './account.ts';
import { applyMove, type MoveRefusal } from './apply-move.ts';
import { boundsOf } from './bounds.ts';
import { type Cluster, type ClusterHost, clusterOf, findHost } from './cluster.ts';
import { type Freeze, frozenHosts } from './freeze.ts';
import { isAbove, type Limit, loadOf, reliefGoal, startLimit } from './line.ts';
import { isShort } from './overflow.ts';
import { returnsOf } from './returns.ts';
import { type RuleBook, ruleBookOf } from './rules.ts';
import { outlookOf } from './shortage.ts';
import { type Stay, stayRule } from './stay.ts';
import type { Where } from './where.ts';
import { coreCount, memorySize, percent } from './words.ts';

export type RecheckCode = SkipCode | 'vm-gone' | 'vm-elsewhere' | 'host-gone' | 'trouble-over';

/** Why a move is not made now. */
export interface Hold {
  readonly code: RecheckCode;
  readonly reason: string;
  /** Time alone may end it: the move can be tried again while its plan is valid. */
  readonly passing: boolean;
}

export interface Recheck {
  readonly move: PlannedEnds;
  /** Null where it is not known: then nobody says that the trouble is over. */
  readonly aim: MoveAim | null;
  /** What the plan's moves that were started before have begun to relieve on the source. */
  readonly begun: { readonly cpu: boolean; readonly memory: boolean };
  /** The planner's own moves keep to cool-downs, and return nowhere; what a person has approved is not held up by them. */
  readonly by: 'planner' | 'person';
}

type PlannedEnds = MoveEnds & Pick<Move, 'together'>;

/** Null when the move may be started. Whether limits of migrations let it start now is the executor's question. */
export function recheck(snapshot: Snapshot, { move, aim, begun, by }: Recheck): Hold | null {
  const book = ruleBookOf(snapshot);
  const vm = copyOf(snapshot, move.vmId);
  const place = placeFault(vm, move);
  if (place !== null || vm === undefined) return place;
  // Classes and budgets are for the balancer's own moves.
  const bounds = by === 'planner' ? boundsOf(snapshot) : null;
  const stayAtAll = stayRule(by === 'planner' ? snapshot : { ...snapshot, ledger: [] }, book);
  const stayOf = (one: SnapshotVm) => stayAtAll(one) ?? bounds?.stay(one) ?? null;
  const stay = stayOf(vm);
  if (stay !== null) return asHold(stay);
  const frozen = frozenHosts(snapshot);
  const cluster = clusterOf(snapshot, frozen);
  const mended = mends(move, { book, where: book.where }) || (move.together !== undefined && aim?.rule === true);
  const bound = (mended ? bounds?.forRepair(book) : bounds?.forRelief(book)) ?? book;
  const mates = matesOf(snapshot, move);
  // As long as none of them is on its way, none goes unless all can.
  const isBegun = mates.some(({ vmId }) => book.where(vmId) === move.toHostId);
  const waiting = mates.filter(({ vmId }) => book.where(vmId) !== move.toHostId);
  const whole = isBegun ? null : groupHold(snapshot, cluster, { move, vm, waiting, bound, stayOf });
  const ends = endsFault(snapshot, frozen, move) ?? ruleFault(bound, move, waiting) ?? roomFault(cluster, move) ?? whole;
  if (ends !== null) return ends;
  const returns = by === 'planner' && !mended ? returnsOf(snapshot).fault(vm, move.toHostId) : null;
  if (returns !== null) return { ...returns, passing: false };
  const full = lineFault(cluster, move);
  if (full !== null) return full;
  const isForNeed = aim !== null && (aim.cpu || aim.memory || aim.rule);
  // A group is not left apart because a part of it was relief enough.
  return isForNeed && !mended && !isBegun ? troubleOver(snapshot, cluster, move.fromHostId, begun) : null;
}

/**
 * Whether the VM could go there at all: both hosts known, no rule, cordon or refusal against it, and memory for it; whatever lines and
 * cool-downs say. CPU is shared: how much of it a person wants a host to have to do is theirs to say.
 */
export function wayFault(snapshot: Snapshot, move: MoveEnds): Hold | null {
  const frozen = frozenHosts(snapshot);
  const fault = endsFault(snapshot, frozen, move) ?? ruleFault(ruleBookOf(snapshot), move);
  if (fault !== null) return fault;
  const applied = applyMove(clusterOf(snapshot, frozen), move);
  return applied.ok || applied.reason === 'no-cpu' ? null : refusalHold(applied, move);
}

/** The one that runs, or ran last; not what is just arriving. */
export function copyOf({ vms }: Snapshot, vmId: VmId): SnapshotVm | undefined {
  return vms.find((vm) => vm.vmId === vmId && vm.state !== 'incoming');
}

function placeFault(vm: SnapshotVm | undefined, { vmName, fromHostId, toHostId }: MoveEnds): Hold | null {
  if (vm === undefined) return { code: 'vm-gone', reason: `no host runs ${vmName} any more`, passing: false };
  if (vm.hostId === fromHostId) return null;
  const where = vm.hostId === toHostId ? `${toHostId} already` : vm.hostId;
  return { code: 'vm-elsewhere', reason: `${vmName} has left ${fromHostId} since, it is on ${where}`, passing: false };
}

function endsFault(snapshot: Snapshot, frozen: ReadonlyMap<HostId, Freeze>, { fromHostId, toHostId }: MoveEnds): Hold | null {
  return hostFault(snapshot, frozen, fromHostId) ?? hostFault(snapshot, frozen, toHostId);
}

function hostFault({ hosts }: Snapshot, frozen: ReadonlyMap<HostId, Freeze>, hostId: HostId): Hold | null {
  if (!hosts.some((host) => host.hostId === hostId)) return { code: 'host-gone', reason: `${hostId} is no host any more`, passing: false };
  const freeze = frozen.get(hostId);
  if (freeze === undefined) return null;
  return { code: freeze.code, reason: `${hostId} is left alone: ${freeze.reason}`, passing: freeze.code === 'stale-sample' };
}

/** `waiting`: VMs that are to follow, so that it does not count that they are not there. */
function ruleFault(book: RuleBook, { vmId, vmName, toHostId }: MoveEnds, waiting: readonly SnapshotVm[] = []): Hold | null {
  const ids = new Set(waiting.map((mate) => mate.vmId));
  const where: Where = (id) => (ids.has(id) ? undefined : book.where(id));
  const fault = book.placementFault({ vmId, name: vmName }, toHostId, where);
  return fault === null ? null : { ...fault, passing: false };
}

/** The other VMs that the plan moves together with this one, as far as they are known. */
function matesOf(snapshot: Snapshot, { vmId, together }: PlannedEnds): readonly SnapshotVm[] {
  const others = together?.vmIds.filter((id) => id !== vmId) ?? [];
  return others.flatMap((id) => copyOf(snapshot, id) ?? []);
}

interface WholeGroup {
  readonly move: PlannedEnds;
  readonly vm: SnapshotVm;
  readonly waiting: readonly SnapshotVm[];
  readonly bound: RuleBook;
  readonly stayOf: (vm: SnapshotVm) => Stay | null;
}

/** Why not all of a group could go now. */
function groupHold(snapshot: Snapshot, before: Cluster, { move, vm, waiting, bound, stayOf }: WholeGroup): Hold | null {
  if (move.together === undefined) return null;
  const because = (hold: Hold): Hold => ({ ...hold, reason: `${move.vmName} moves with others or not at all: ${hold.reason}` });
  if (waiting.length < move.together.vmIds.length - 1)
    return because({ code: 'vm-gone', reason: 'one of them runs nowhere any more', passing: false });
  let cluster = before;
  const { toHostId } = move;
  for (const mate of waiting) {
    const stay = stayOf(mate);
    if (stay !== null) return because(asHold(stay));
    const ends = { vmId: mate.vmId, vmName: mate.name, fromHostId: mate.hostId, toHostId };
    const hold = roomFault(cluster, ends) ?? hostFault(snapshot, frozenHosts(snapshot), mate.hostId);
    if (hold !== null) return because(hold);
    const applied = applyMove(cluster, ends);
    if (applied.ok) cluster = applied.cluster;
  }
  const full = roomFault(cluster, move) ?? lineFault(cluster, move);
  if (full !== null) return because(full);
  const fault = bound.groupFault([vm, ...waiting], toHostId, bound.where);
  return fault === null ? null : because({ ...fault, passing: false });
}

function asHold(stay: Stay): Hold {
  return { ...stay, passing: stay.code === 'in-flight' || stay.code === 'stale-sample' };
}

/** What the target has free when the migrations under way have ended. */
function roomFault(cluster: Cluster, move: MoveEnds): Hold | null {
  const applied = applyMove(cluster, move);
  return applied.ok ? null : refusalHold(applied, move);
}

function lineFault(cluster: Cluster, move: MoveEnds): Hold | null {
  const applied = applyMove(cluster, move);
  const target = applied.ok ? findHost(applied.cluster, move.toHostId) : undefined;
  const limit = startLimit(cluster.policy);
  if (target === undefined || !isAbove(loadOf(target), limit)) return null;
  if (mayOverflow(cluster, move, target)) return null;
  const { cpuPercent, memoryPercent } = loadOf(target);
  const isCpu = cpuPercent > limit.cpuPercent;
  const figure = isCpu ? `${percent(cpuPercent)} CPU` : `${percent(memoryPercent)} memory`;
  const line = percent(isCpu ? limit.cpuPercent : limit.memoryPercent);
  return {
    code: isCpu ? 'no-target-cpu' : 'no-target-memory',
    reason: `with ${move.vmName} ${move.toHostId} would be at ${figure}, over its start line of ${line}`,
    passing: false,
  };
}

/** Its source is short, and the target has what all of its VMs would want: see `Overflow`. */
function mayOverflow(cluster: Cluster, { fromHostId }: MoveEnds, target: ClusterHost): boolean {
  const { policy } = cluster;
  const source = findHost(cluster, fromHostId);
  if (source === undefined || policy.strategy === 'threshold' || !isShort(outlookOf(source))) return false;
  return !isShort(outlookOf(target)) && !isAbove(loadOf(target), { ...startLimit(policy), cpuPercent: Infinity });
}

function refusalHold(refusal: MoveRefusal, { vmName, fromHostId, toHostId }: MoveEnds): Hold {
  switch (refusal.reason) {
    case 'no-memory': {
      const free = memorySize(Math.max(0, refusal.freeBytes));
      return {
        code: 'no-target-memory',
        reason: `${vmName} needs ${memorySize(refusal.needBytes)}, ${toHostId} has ${free} free`,
        passing: false,
      };
    }
    case 'no-cpu': {
      const free = coreCount(Math.max(0, refusal.freeCores));
      return {
        code: 'no-target-cpu',
        reason: `${vmName} uses ${coreCount(refusal.needCores)}, ${toHostId} has ${free} free`,
        passing: false,
      };
    }
    case 'vm-not-running':
      return { code: 'not-running', reason: `${vmName} is ${refusal.state}, only a running VM can be moved live`, passing: false };
    case 'vm-unknown':
      return { code: 'vm-gone', reason: `${fromHostId} does not run ${vmName} any more`, passing: false };
    case 'host-unknown':
      return { code: 'host-gone', reason: `the load of ${refusal.hostId} is not known`, passing: false };
    case 'destination-same-as-source':
      return { code: 'vm-elsewhere', reason: `${vmName} is on ${toHostId} already`, passing: false };
    default:
      return refusal satisfies never;
  }
}

/** Relief that has begun goes on to the stop line: a plan that is carried out one move after another is not left half done. */
function troubleOver(snapshot: Snapshot, cluster: Cluster, hostId: HostId, begun: Recheck['begun']): Hold | null {
  const reported = snapshot.hosts.find((host) => host.hostId === hostId);
  const source = findHost(cluster, hostId);
  if (reported === undefined || source === undefined) return null;
  const { cpuLine, memoryLine } = snapshot.policy;
  const now = reliefGoal(reported, snapshot.policy);
  const goal: Limit = {
    cpuPercent: begun.cpu ? cpuLine.stopPercent : now.cpuPercent,
    memoryPercent: begun.memory ? memoryLine.stopPercent : now.memoryPercent,
  };
  const load = loadOf(source);
  if (isAbove(load, goal)) return null;
  const figures = `${percent(load.cpuPercent)} CPU and ${percent(load.memoryPercent)} memory`;
  return { code: 'trouble-over', reason: `the trouble is over: ${hostId} is at ${figures} and needs no relief`, passing: false };
}
