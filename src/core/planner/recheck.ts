/** Judges a planned move again right before it is started: between the plan and the start of a move the world changes. */
import type { HostId } from '#core/model/host.ts';
import type { MoveAim, SkipCode } from '#core/model/plan.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import { mends, type MoveEnds } from './account.ts';
import { applyMove, type MoveRefusal } from './apply-move.ts';
import { type Cluster, clusterOf, findHost } from './cluster.ts';
import { type Freeze, frozenHosts } from './freeze.ts';
import { isAbove, type Limit, loadOf, reliefGoal, startLimit } from './line.ts';
import { returnsOf } from './returns.ts';
import { ruleBookOf } from './rules.ts';
import { stayRule } from './stay.ts';
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
  readonly move: MoveEnds;
  /** Null where it is not known: then nobody says that the trouble is over. */
  readonly aim: MoveAim | null;
  /** What the plan's moves that were started before have begun to relieve on the source. */
  readonly begun: { readonly cpu: boolean; readonly memory: boolean };
  /** The planner's own moves keep to cool-downs, and return nowhere; what a person has approved is not held up by them. */
  readonly by: 'planner' | 'person';
}

/** Null when the move may be started. Whether limits of migrations let it start now is the executor's question. */
export function recheck(snapshot: Snapshot, { move, aim, begun, by }: Recheck): Hold | null {
  const book = ruleBookOf(snapshot);
  const vm = snapshot.vms.find(({ vmId, state }) => vmId === move.vmId && state !== 'incoming');
  const place = placeFault(vm, move);
  if (place !== null || vm === undefined) return place;
  const stay = stayRule(by === 'planner' ? snapshot : { ...snapshot, ledger: [] }, book)(vm);
  if (stay !== null) return { ...stay, passing: stay.code === 'in-flight' || stay.code === 'stale-sample' };
  const frozen = frozenHosts(snapshot);
  const unknown = hostFault(snapshot, frozen, move.fromHostId) ?? hostFault(snapshot, frozen, move.toHostId);
  if (unknown !== null) return unknown;
  const cluster = clusterOf(snapshot, frozen);
  const mended = mends(move, { book, where: book.where });
  const returns = by === 'planner' && !mended ? returnsOf(snapshot).fault(vm, move.toHostId) : null;
  const fault = book.placementFault(vm, move.toHostId, book.where) ?? returns;
  if (fault !== null) return { ...fault, passing: false };
  const full = roomFault(cluster, vm, move);
  if (full !== null) return full;
  const isForNeed = aim !== null && (aim.cpu || aim.memory || aim.rule);
  return isForNeed && !mended ? troubleOver(snapshot, cluster, move.fromHostId, begun) : null;
}

function placeFault(vm: SnapshotVm | undefined, { vmName, fromHostId, toHostId }: MoveEnds): Hold | null {
  if (vm === undefined) return { code: 'vm-gone', reason: `no host runs ${vmName} any more`, passing: false };
  if (vm.hostId === fromHostId) return null;
  const where = vm.hostId === toHostId ? `${toHostId} already` : vm.hostId;
  return { code: 'vm-elsewhere', reason: `${vmName} has left ${fromHostId} since, it is on ${where}`, passing: false };
}

function hostFault({ hosts }: Snapshot, frozen: ReadonlyMap<HostId, Freeze>, hostId: HostId): Hold | null {
  if (!hosts.some((host) => host.hostId === hostId)) return { code: 'host-gone', reason: `${hostId} is no host any more`, passing: false };
  const freeze = frozen.get(hostId);
  if (freeze === undefined) return null;
  return { code: freeze.code, reason: `${hostId} is left alone: ${freeze.reason}`, passing: freeze.code === 'stale-sample' };
}

/** Room on the target, as it is when the migrations under way have ended, and no line crossed. */
function roomFault(cluster: Cluster, vm: SnapshotVm, move: MoveEnds): Hold | null {
  const applied = applyMove(cluster, move);
  if (!applied.ok) return refusalHold(applied, move);
  const target = findHost(applied.cluster, move.toHostId);
  const limit = startLimit(cluster.policy);
  if (target === undefined || !isAbove(loadOf(target), limit)) return null;
  const { cpuPercent, memoryPercent } = loadOf(target);
  const isCpu = cpuPercent > limit.cpuPercent;
  const figure = isCpu ? `${percent(cpuPercent)} CPU` : `${percent(memoryPercent)} memory`;
  const line = percent(isCpu ? limit.cpuPercent : limit.memoryPercent);
  return {
    code: isCpu ? 'no-target-cpu' : 'no-target-memory',
    reason: `with ${vm.name} ${move.toHostId} would be at ${figure}, over its start line of ${line}`,
    passing: false,
  };
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
