import type { Skip, SkipCode } from '#core/model/plan.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import { freeMemoryBytes } from './apply-move.ts';
import { copyMakesWait, largestSaving } from './balance.ts';
import { bestGainPercent, fits, gainBarPercent, loadWith, relieves } from './candidate.ts';
import type { Saving, Search } from './candidate.ts';
import { hasUsableFigures } from './cluster.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { coolDownEndsAtMs, ledgerByVm } from './cool-down.ts';
import type { RuleBook } from './rules.ts';
import { Targets } from './targets.ts';
import { hasRoomByThreshold } from './threshold.ts';
import { outlookOf } from './shortage.ts';
import { count, duration, memorySize, percent } from './words.ts';

/** Why something stays: a code and a sentence. */
export interface Stay {
  readonly code: SkipCode;
  readonly reason: string;
}

/** Says of any VM why it may not be moved now, wherever to; null when it may. */
export function stayRule(snapshot: Snapshot, book: RuleBook): (vm: SnapshotVm) => Stay | null {
  const inFlight = new Set(snapshot.inFlight.map((migration) => migration.vmId));
  const ledger = ledgerByVm(snapshot.ledger);
  const reports = new Map<VmId, number>();
  for (const vm of snapshot.vms) reports.set(vm.vmId, (reports.get(vm.vmId) ?? 0) + 1);
  return (vm) => {
    if (inFlight.has(vm.vmId)) return { code: 'in-flight', reason: `${vm.name} is being migrated` };
    if ((reports.get(vm.vmId) ?? 0) > 1) return { code: 'in-flight', reason: `${vm.name} is reported by more than one host` };
    if (vm.state !== 'running') return { code: 'not-running', reason: `${vm.name} is ${vm.state}, only a running VM can be moved live` };
    if (!hasUsableFigures(vm)) return { code: 'stale-sample', reason: `the load figures of ${vm.name} are unusable` };
    const fault = book.vmFault(vm);
    if (fault !== null) return fault;
    const entries = ledger.get(vm.vmId);
    const endsAtMs = entries === undefined ? null : coolDownEndsAtMs(entries, snapshot.policy);
    // Written so that a broken time in the ledger keeps the VM where it is.
    if (endsAtMs === null || snapshot.takenAtMs >= endsAtMs) return null;
    return {
      code: 'cool-down',
      reason: `${vm.name} moved or failed to move not long ago, cool-down for another ${duration(endsAtMs - snapshot.takenAtMs)}`,
    };
  };
}

/**
 * Why no target was found for a VM that may move, seen from a search that failed. `reachable` counts the
 * hosts that are known well enough to be a target at all, busy ones included.
 */
export function stayWithoutTarget(search: Search, vm: ClusterVm, reachable: number): Stay {
  const { source, targets } = search;
  if (reachable === 0) return { code: 'no-target-fresh', reason: `no other host is known well enough to take ${vm.name}` };
  if (targets.all.length === 0 && search.closed.length === 0) {
    return {
      code: 'limit-reached',
      reason: `every host that could take ${vm.name} is over a line, is being relieved or is at its migration limit`,
    };
  }
  if (!relieves(source, vm, search.goal))
    return { code: 'gain-too-small', reason: `${vm.name} uses nothing of what ${source.hostId} is short of` };
  const running = source.vms.filter((other) => other.state === 'running').length;
  const allowed = { ...search, targets: allowedTargets(search, vm) };
  const little = littleGain(allowed, vm, running);
  const forbidden = little === null ? stayForRule(search, vm, allowed.targets.all) : null;
  const stay = forbidden ?? little ?? stayForRoom(allowed, vm);
  if (running > 1) return stay;
  return {
    code: 'only-vm',
    reason: `${vm.name} is the only running VM of ${source.hostId}, moving it would only move the problem: ${stay.reason}`,
  };
}

function allowedTargets(search: Search, vm: ClusterVm): Targets {
  const { placement, targets } = search;
  return placement.isBound(vm) ? new Targets(targets.all.filter(({ hostId }) => placement.fault(vm, hostId) === null)) : targets;
}

function faultOf({ placement }: Search, vm: ClusterVm, target: ClusterHost): Stay | null {
  return placement.hostFault(target.hostId) ?? placement.fault(vm, target.hostId);
}

/** A target with room that is closed to the VM, or any when no target is open to it: what closes it is the reason. */
function stayForRule(search: Search, vm: ClusterVm, allowed: readonly ClusterHost[]): Stay | null {
  const closed = [...search.closed, ...search.targets.all].filter((target) => !allowed.includes(target));
  const best = closed.find((target) => fits(target, vm, search.limit)) ?? (allowed.length === 0 ? closed[0] : undefined);
  return best === undefined ? null : faultOf(search, vm, best);
}

/** Null where no target has room. */
function littleGain(search: Search, vm: ClusterVm, running: number): Stay | null {
  if (search.policy.strategy === 'balance') {
    const saving = largestSaving(search, vm);
    return saving === null ? null : stayForPrice(search, vm, saving);
  }
  if (search.policy.strategy === 'threshold') {
    const reason = `moving ${vm.name} to any host with room would leave the cluster no better off: its score would not be lower`;
    return hasRoomByThreshold(search, vm) ? { code: 'gain-too-small', reason } : null;
  }
  const gain = bestGainPercent(search, vm);
  return gain === null ? null : stayForGain(vm, gain, gainBarPercent(search.policy, running));
}

function stayForPrice(search: Search, vm: ClusterVm, { savedCoreSeconds, toll }: Saving): Stay {
  const [saved, price] = [Math.max(0, Math.round(savedCoreSeconds)), Math.round(toll.priceCoreSeconds)];
  const size = memorySize(toll.bytes);
  const reason = copyMakesWait(search)
    ? `no VM of ${search.source.hostId} waits yet, but would for the copy of ${vm.name}: by the forecasts that saves ${saved} core-seconds, its ${size} must save ${price}`
    : `moving ${vm.name} would save ${saved} core-seconds of shortage, its ${size} must save ${price}`;
  const takes = toll.durationMs === null ? '' : `, and its copy takes about ${duration(toll.durationMs)}`;
  return { code: 'gain-too-small', reason: `${reason}${takes}` };
}

function stayForGain(vm: ClusterVm, gain: number, bar: number): Stay {
  return {
    code: 'gain-too-small',
    reason: `moving ${vm.name} would lower the score of both hosts by ${percent(Math.max(0, gain))}, the least is ${percent(bar)}`,
  };
}

function stayForRoom(search: Search, vm: ClusterVm): Stay {
  const {
    targets: { all: targets },
    limit,
  } = search;
  const withMemory = targets.filter(
    (target) => vm.memoryBytes <= freeMemoryBytes(target) && loadWith(target, vm).memoryPercent <= limit.memoryPercent,
  );
  const best = least(withMemory, (target) => loadWith(target, vm).cpuPercent);
  if (best !== null) {
    const load = loadWith(best, vm);
    if (load.cpuPercent <= limit.cpuPercent) return stayForWant(vm, withMemory);
    const line = `${percent(limit.cpuPercent)} is the most a target may reach`;
    return {
      code: 'no-target-cpu',
      reason: `with ${vm.name} the best of ${count(withMemory.length, 'target')}, ${best.hostId}, would be at ${percent(load.cpuPercent)} CPU, ${line}`,
    };
  }
  const emptiest = least(targets, (target) => -freeMemoryBytes(target));
  const room = emptiest === null ? '' : `: ${emptiest.hostId} has ${memorySize(Math.max(0, freeMemoryBytes(emptiest)))} free`;
  return {
    code: 'no-target-memory',
    reason: `no target has ${memorySize(vm.memoryBytes)} for ${vm.name} below ${percent(limit.memoryPercent)} of its memory${room}`,
  };
}

/** There would be room by what is used, and by `balance` not enough by what is wanted. */
function stayForWant(vm: ClusterVm, targets: readonly ClusterHost[]): Stay {
  const wantedPercent = (target: ClusterHost) => ((outlookOf(target).wantedCores + vm.cpuWantedCores) / target.capacity.cpuCores) * 100;
  const best = least(targets, wantedPercent);
  const then = best === null ? '' : `, ${best.hostId}, would want ${percent(wantedPercent(best))} of its CPU with what they wait for`;
  return {
    code: 'no-target-cpu',
    reason: `with ${vm.name} the VMs of the best of ${count(targets.length, 'target')}${then}, more than it has`,
  };
}

function least(hosts: readonly ClusterHost[], key: (host: ClusterHost) => number): ClusterHost | null {
  let best: ClusterHost | null = null;
  for (const host of hosts) if (best === null || key(host) < key(best)) best = host;
  return best;
}

export function skipHost(hostId: string, stay: Stay): Skip {
  return { hostId, vmId: null, vmName: null, ...stay };
}

export function skipVm(hostId: string, vm: { readonly vmId: VmId; readonly name: string }, stay: Stay): Skip {
  return { hostId, vmId: vm.vmId, vmName: vm.name, ...stay };
}
