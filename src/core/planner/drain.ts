/**
 * What to move next to empty a host, or to bring back what was moved away. People asked for it, so cool-downs, windows and headroom do not
 * hold it up; rules, room and the lines of the other hosts do: a host is not saved by overloading another one.
 */
import type { Drain } from '#core/model/drain.ts';
import type { HostId } from '#core/model/host.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { SkipCode } from '#core/model/plan.ts';
import type { RefusalCode } from '#core/model/result.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { VmId } from '#core/model/vm.ts';
import { freeMemoryBytes } from './apply-move.ts';
import { fits, loadWith } from './candidate.ts';
import { clusterVmOf as clusterVmAt, clusterOf, findHost, hasUsableFigures, withHosts, withoutVm, withVm } from './cluster.ts';
import type { Cluster, ClusterHost, ClusterVm } from './cluster.ts';
import { compareText, ledgerByVm } from './cool-down.ts';
import { frozenHosts } from './freeze.ts';
import { startLimit, stopLimit } from './line.ts';
import type { Limit } from './line.ts';
import { ruleBookOf } from './rules.ts';
import type { RuleBook } from './rules.ts';
import { whereWith } from './where.ts';
import type { Where } from './where.ts';
import { count, duration, memorySize, percent } from './words.ts';

export interface DrainStep {
  readonly vmId: VmId;
  readonly vmName: string;
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
  readonly reason: string;
}

/** A VM that cannot be moved now, and why. */
export interface DrainStay {
  readonly vmId: VmId;
  readonly vmName: string;
  readonly hostId: HostId;
  readonly code: SkipCode | RefusalCode;
  readonly reason: string;
  /** It may go in a moment, without anybody's doing. */
  readonly passing: boolean;
}

/** `steps` in the order in which they are to be begun, each judged on the cluster as those before it leave it. */
export interface DrainDecision {
  readonly steps: readonly DrainStep[];
  readonly stays: readonly DrainStay[];
  /** Why it is not known what runs on the host, so that without steps and stays it need not be empty; null when it is known. */
  readonly unseen: string | null;
}

/** After so many failures a VM is left where it is until somebody asks anew. */
const triesMax = 3;
/** Before it is tried again; doubles with each failure. */
const retryMs = 60_000;
/** For so many half-lives after a move the smoothed CPU of its hosts still has a part of what encrypting and copying took: an eighth at the end. */
const settlingHalfLives = 3;

/** VMs that a drain has moved away, as the ledger has it, oldest first. They may have been moved on since. */
export function movedAway(ledger: readonly LedgerEntry[], drain: Pick<Drain, 'hostId' | 'startedAtMs'>): readonly VmId[] {
  const moved = ledger.filter(
    (entry) =>
      entry.cause === 'drain' && entry.outcome === 'moved' && entry.fromHostId === drain.hostId && entry.startedAtMs >= drain.startedAtMs,
  );
  return [...new Set(moved.toSorted((a, b) => a.endedAtMs - b.endedAtMs).map(({ vmId }) => vmId))];
}

/**
 * The next moves off a host. Large VMs first, while there is room for them; VMs that an affinity rule keeps together go to a host that
 * takes them all. `sinceMs`: failures before it are forgotten.
 */
export function drainSteps(snapshot: Snapshot, hostId: HostId, sinceMs: number): DrainDecision {
  const leaving = bySize(snapshot.vms.filter((vm) => vm.hostId === hostId && isThere(vm) && !isInFlight(snapshot, vm.vmId)));
  const work = workOf(snapshot, 'drain', sinceMs);
  for (const vm of followersFirst(leaving, work.book, (at) => at !== hostId)) {
    const targets = work.cluster().hosts.filter((host) => host.hostId !== hostId);
    const stay =
      work.stayOf(vm) ??
      stayWithMates(work, vm, leaving) ??
      work.move(vm, targets, leaving, (where) => (vmId) => hidden(where, vmId, vm.vmId, hostId));
    if (stay !== null) work.stays.push({ vmId: vm.vmId, vmName: vm.name, hostId, ...stay });
  }
  return { steps: work.steps, stays: work.stays, unseen: unseenOf(snapshot, hostId) };
}

/** A group that has begun to leave goes on; before that, one of it that cannot leave now keeps the others, or they would be apart for long. */
function stayWithMates({ book, stayOf }: Work, vm: SnapshotVm, leaving: readonly SnapshotVm[]): Stay | null {
  const companions = companionsOf(book, vm);
  const ids = new Set(leaving.map(({ vmId }) => vmId));
  if (companions.some((vmId) => !ids.has(vmId) && book.where(vmId) !== undefined)) return null;
  for (const mate of leaving.filter(({ vmId }) => companions.includes(vmId))) {
    const stay = stayOf(mate);
    if (stay === null) continue;
    const rules = book.groupOf(vm.vmId)?.rules.join(', ') ?? '';
    return { ...stay, reason: `${vm.name} leaves together with ${mate.name}, by rule ${rules}: ${stay.reason}` };
  }
  return null;
}

/** Why nobody knows what runs there now: also where it is what it was when it was last heard of. */
function unseenOf({ hosts, policy, takenAtMs }: Snapshot, hostId: HostId): string | null {
  const host = hosts.find((one) => one.hostId === hostId);
  if (host === undefined) return `${hostId} has sent no sample yet`;
  if (host.quarantine !== null) return `${hostId} is not believed: ${host.quarantine.message}`;
  const isFresh = host.status === 'up' && takenAtMs - host.sampledAtMs <= policy.sampleAgeMsMax;
  return isFresh ? null : `${hostId} is silent, its newest sample is ${duration(Math.max(0, takenAtMs - host.sampledAtMs))} old`;
}

/** The next moves of these VMs back to the host, as far as it has room for them below its lines. */
export function restoreSteps(snapshot: Snapshot, hostId: HostId, vmIds: readonly VmId[], sinceMs: number): DrainDecision {
  const wanted = new Set(vmIds);
  const away = snapshot.vms.filter(({ vmId, hostId: at }) => wanted.has(vmId) && at !== hostId && !isInFlight(snapshot, vmId));
  const coming = bySize(away.filter(isThere));
  const work = workOf(snapshot, 'restore', sinceMs);
  const returning = new Set(coming.map(({ vmId }) => vmId));
  for (const vm of followersFirst(coming, work.book, (at) => at === hostId)) {
    const host = findHost(work.cluster(), hostId);
    const hide =
      (where: Where): Where =>
      (vmId) =>
        vmId !== vm.vmId && returning.has(vmId) && where(vmId) !== hostId ? undefined : where(vmId);
    const stay = work.stayOf(vm) ?? work.move(vm, host === undefined ? [] : [host], coming, hide);
    if (stay !== null) work.stays.push({ vmId: vm.vmId, vmName: vm.name, hostId: vm.hostId, ...stay });
  }
  const off = away.filter((vm) => !isThere(vm));
  const offStays = off.map((vm) => ({ vmId: vm.vmId, vmName: vm.name, hostId: vm.hostId, ...notRunning(vm) }));
  const stays = [...work.stays, ...offStays, ...hiddenStays(snapshot, hostId, vmIds)];
  return { steps: work.steps, stays, unseen: unseenOf(snapshot, hostId) };
}

/** VMs that nobody reports, and that went last to a host that says nothing now: a controller that has just begun has not heard of them. */
function hiddenStays(snapshot: Snapshot, hostId: HostId, vmIds: readonly VmId[]): readonly DrainStay[] {
  const reported = new Set(snapshot.vms.map(({ vmId }) => vmId));
  const moves = ledgerByVm(snapshot.ledger.filter(({ outcome }) => outcome === 'moved'));
  return vmIds.flatMap((vmId): readonly DrainStay[] => {
    const last = moves.get(vmId)?.at(-1);
    if (last === undefined || last.toHostId === hostId || reported.has(vmId)) return [];
    const unseen = unseenOf(snapshot, last.toHostId);
    if (unseen === null) return [];
    return [{ vmId, vmName: vmId, hostId: last.toHostId, code: 'stale-sample', reason: `it went there, and ${unseen}`, passing: true }];
  });
}

type Stay = Pick<DrainStay, 'code' | 'reason' | 'passing'>;

interface Work {
  readonly book: RuleBook;
  readonly steps: DrainStep[];
  readonly stays: DrainStay[];
  readonly cluster: () => Cluster;
  readonly stayOf: (vm: SnapshotVm) => Stay | null;
  /** Plans the move to the best of these hosts, or says why to none. */
  readonly move: (
    vm: SnapshotVm,
    targets: readonly ClusterHost[],
    others: readonly SnapshotVm[],
    hide: (where: Where) => Where,
  ) => Stay | null;
}

function workOf(snapshot: Snapshot, cause: 'drain' | 'restore', sinceMs: number): Work {
  // A host that has just taken a VM is known again with its next sample: what arrived counts with the load that it had before.
  const policy = { ...snapshot.policy, smoothingHalfLifeMs: 0 };
  const frozen = frozenHosts({ ...snapshot, policy });
  const isUnsettled = anyFrozen(snapshot, frozen);
  const settling = { ...snapshot.policy, smoothingHalfLifeMs: snapshot.policy.smoothingHalfLifeMs * settlingHalfLives };
  // A drain goes on when there is room; a restore is over then.
  const isSettling = cause === 'restore' && anyFrozen(snapshot, frozenHosts({ ...snapshot, policy: settling }));
  let cluster = clusterOf(snapshot, frozen);
  const book = ruleBookOf(snapshot);
  const moved = new Map<VmId, HostId>();
  const steps: DrainStep[] = [];
  // A host that refused the VM is not asked again for a while, and another one is no second try.
  const refused = new Set(snapshot.refusals.map((refusal) => `${refusal.vmId} ${refusal.hostId}`));
  const tries = snapshot.ledger.filter((entry) => entry.cause === cause && entry.startedAtMs >= sinceMs);
  const failures = ledgerByVm(tries.filter(({ vmId, toHostId }) => !refused.has(`${vmId} ${toHostId}`)));
  return {
    book,
    steps,
    stays: [],
    cluster: () => cluster,
    stayOf: (vm) => notRunningOf(vm) ?? failedBefore(vm, failures.get(vm.vmId) ?? [], snapshot.takenAtMs),
    move: (vm, targets, others, hide) => {
      const where = hide(whereWith(book.where, moved));
      const unknown = frozen.get(vm.hostId);
      if (unknown !== undefined) return { code: 'stale-sample', reason: `${vm.hostId} is left alone: ${unknown.reason}`, passing: true };
      const choice = chosen({ cluster, book, where, vm, targets, others: others.filter(({ vmId }) => !moved.has(vmId)) });
      if (!choice.ok) {
        const { code } = choice.stay;
        return { ...choice.stay, passing: isUnsettled || code === 'no-target-fresh' || (isSettling && code === 'no-target-cpu') };
      }
      const toHostId = choice.target.hostId;
      const source = findHost(cluster, vm.hostId);
      const load = clusterVmOf(vm);
      cluster = withHosts(cluster, [...(source === undefined ? [] : [withoutVm(source, load)]), withVm(choice.target, load)]);
      moved.set(vm.vmId, toHostId);
      steps.push({ vmId: vm.vmId, vmName: vm.name, fromHostId: vm.hostId, toHostId, reason: choice.reason });
      return null;
    },
  };
}

function anyFrozen({ hosts }: Snapshot, frozen: ReadonlyMap<HostId, unknown>): boolean {
  return hosts.some(({ hostId, status }) => status === 'up' && frozen.has(hostId));
}

interface Question {
  readonly cluster: Cluster;
  readonly book: RuleBook;
  readonly where: Where;
  readonly vm: SnapshotVm;
  readonly targets: readonly ClusterHost[];
  /** VMs that are to be moved with it and have no place yet. */
  readonly others: readonly SnapshotVm[];
}

type Choice =
  | { readonly ok: true; readonly target: ClusterHost; readonly reason: string }
  | { readonly ok: false; readonly stay: Omit<Stay, 'passing'> };

/** The least loaded host that takes the VM and those that have to come with it: below the stop line, or where none is below the start line. */
function chosen({ cluster, book, where, vm, targets, others }: Question): Choice {
  const companions = new Set(companionsOf(book, vm));
  const together = others.filter(({ vmId }) => companions.has(vmId));
  const load = sumOf([vm, ...together]);
  // Where some of its group are already, also those that it is linked to by others only.
  const anchors = new Set([...companions].flatMap((vmId) => where(vmId) ?? []));
  const allowed = targets.filter(({ hostId }) => book.pairFault(vm, hostId, where) === null);
  const beside = allowed.filter(({ hostId }) => anchors.has(hostId));
  const open = beside.length > 0 ? beside : allowed;
  for (const limit of [stopLimit(cluster.policy), startLimit(cluster.policy)]) {
    const best = least(
      open.filter((target) => fits(target, load, limit)),
      load,
    );
    if (best !== null) return { ok: true, target: best, reason: arrival(best, clusterVmOf(vm)) };
  }
  const closed = targets.filter((target) => !allowed.includes(target) && fits(target, load, startLimit(cluster.policy)));
  const first = open.length === 0 ? (closed[0] ?? targets[0]) : closed[0];
  const fault = first === undefined ? null : book.pairFault(vm, first.hostId, where);
  if (fault !== null) return { ok: false, stay: fault };
  return { ok: false, stay: withoutRoom(vm, load, open, together.length, startLimit(cluster.policy)) };
}

function withoutRoom(
  vm: SnapshotVm,
  load: ClusterVm,
  open: readonly ClusterHost[],
  companions: number,
  limit: Limit,
): Omit<Stay, 'passing'> {
  const also = companions === 0 ? '' : ` and ${count(companions, 'VM')} that it runs together with`;
  const emptiest = open.toSorted((a, b) => freeMemoryBytes(b) - freeMemoryBytes(a) || compareText(a.hostId, b.hostId))[0];
  if (emptiest === undefined) return { code: 'no-target-fresh', reason: `no host is known well enough to take ${vm.name}` };
  const withMemory = open.filter(
    (target) => load.memoryBytes <= freeMemoryBytes(target) && loadWith(target, load).memoryPercent <= limit.memoryPercent,
  );
  const best = least(withMemory, load);
  if (best !== null) {
    const then = percent(loadWith(best, load).cpuPercent);
    const line = percent(limit.cpuPercent);
    return {
      code: 'no-target-cpu',
      reason: `with ${vm.name}${also} ${best.hostId} would be at ${then} CPU, over its start line of ${line}`,
    };
  }
  const free = memorySize(Math.max(0, freeMemoryBytes(emptiest)));
  return {
    code: 'no-target-memory',
    reason: `no host has ${memorySize(load.memoryBytes)} for ${vm.name}${also} below ${percent(limit.memoryPercent)} of its memory: ${emptiest.hostId} has ${free} free`,
  };
}

function least(targets: readonly ClusterHost[], load: ClusterVm): ClusterHost | null {
  const fullness = (target: ClusterHost) => {
    const { cpuPercent, memoryPercent } = loadWith(target, load);
    return Math.max(cpuPercent, memoryPercent);
  };
  return targets.toSorted((a, b) => fullness(a) - fullness(b) || compareText(a.hostId, b.hostId))[0] ?? null;
}

function arrival(target: ClusterHost, vm: ClusterVm): string {
  const { cpuPercent, memoryPercent } = loadWith(target, vm);
  return `${target.hostId} is the least loaded host with room: ${percent(cpuPercent)} CPU and ${percent(memoryPercent)} memory with it`;
}

/** Tries that failed: wait, or leave it to a person. */
function failedBefore(vm: SnapshotVm, entries: readonly LedgerEntry[], nowMs: number): Stay | null {
  const failed = entries.filter(({ outcome }) => outcome !== 'moved');
  const last = failed.at(-1);
  if (last === undefined) return null;
  const code = last.failureCode ?? 'migration-failed';
  if (failed.length >= triesMax)
    return {
      code,
      reason: `${vm.name} could not be moved in ${failed.length} tries (${code}): see 'plimsoll migration list', then ask again`,
      passing: false,
    };
  const waitMs = last.endedAtMs + retryMs * 2 ** (failed.length - 1) - nowMs;
  return waitMs <= 0 ? null : { code, reason: `moving ${vm.name} failed (${code}), tried again in ${duration(waitMs)}`, passing: true };
}

/** Takes part in this: what is shut off has nothing to be moved live. */
function isThere({ state }: SnapshotVm): boolean {
  return state !== 'shut-off' && state !== 'crashed' && state !== 'incoming';
}

function notRunningOf(vm: SnapshotVm): Stay | null {
  if (vm.state !== 'running') return notRunning(vm);
  return hasUsableFigures(vm) ? null : { code: 'stale-sample', reason: `the load figures of ${vm.name} are unusable`, passing: false };
}

function notRunning({ name, state }: SnapshotVm): Stay {
  return {
    code: 'not-running',
    reason: `${name} is ${state}, only a running VM can be moved live: resume it, or shut it down`,
    passing: false,
  };
}

function isInFlight({ inFlight }: Snapshot, vmId: VmId): boolean {
  return inFlight.some((flight) => flight.vmId === vmId);
}

function companionsOf(book: RuleBook, { vmId: own }: SnapshotVm): readonly VmId[] {
  return book.groupOf(own)?.vmIds.filter((vmId) => vmId !== own) ?? [];
}

/** Those whose companions have gone before come next: a group is apart for as short as can be. */
function followersFirst(vms: readonly SnapshotVm[], book: RuleBook, hasGone: (hostId: HostId) => boolean): readonly SnapshotVm[] {
  const follows = (vm: SnapshotVm) =>
    companionsOf(book, vm).some((vmId) => {
      const at = book.where(vmId);
      return at !== undefined && hasGone(at);
    });
  return [...vms.filter(follows), ...vms.filter((vm) => !follows(vm))];
}

/** Those that leave the host as well do not keep the VM there. */
function hidden(where: Where, vmId: VmId, ownVmId: VmId, hostId: HostId): HostId | undefined {
  const at = where(vmId);
  return at === hostId && vmId !== ownVmId ? undefined : at;
}

function bySize(vms: readonly SnapshotVm[]): readonly SnapshotVm[] {
  return vms.toSorted((a, b) => b.memoryBytes - a.memoryBytes || b.cpuUsedCores - a.cpuUsedCores || compareText(a.vmId, b.vmId));
}

function clusterVmOf(vm: SnapshotVm): ClusterVm {
  return clusterVmAt(vm, vm.memoryBytes);
}

function sumOf([first, ...more]: readonly [SnapshotVm, ...SnapshotVm[]]): ClusterVm {
  const sum = (amountOf: (vm: SnapshotVm) => number) => more.reduce((total, vm) => total + amountOf(vm), amountOf(first));
  return {
    ...clusterVmOf(first),
    memoryBytes: bytes(sum(({ memoryBytes }) => memoryBytes)),
    cpuUsedCores: cores(sum(({ cpuUsedCores }) => cpuUsedCores)),
  };
}
