/** The part of the linter that looks at rules, cordons, refusals and headroom: slow and plain, without a line of the planner's code. */
import type { Move } from '#core/model/plan.ts';
import type { DailyWindow, Rule } from '#core/model/rule.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { checkGroups, groupsIn } from './check-plan-groups.ts';
import type { GroupViolationCode } from './check-plan-groups.ts';
import { breaches, holdsMemory, membersOf, placesOf } from './rule-breaches.ts';
import type { Places } from './rule-breaches.ts';
import type { Violation } from './violation.ts';

export type RuleViolationCode =
  | 'rule-broken'
  | 'vm-ignored'
  | 'outside-window'
  | 'target-cordoned'
  | 'host-unfit'
  | 'pair-refused'
  | 'headroom-broken'
  | GroupViolationCode;

export interface RuleCheck {
  readonly violations: readonly Violation<RuleViolationCode>[];
  /** Moves that mend a rule: these need no host over its line, and no lower score. */
  readonly repairs: ReadonlySet<Move>;
}

export function checkRules(snapshot: Snapshot, moves: readonly Move[]): RuleCheck {
  const violations: Violation<RuleViolationCode>[] = [];
  const repairs = new Set<Move>();
  if (moves.length === 0) return { violations, repairs };
  const places = placesOf(snapshot);
  const members = membersOf(snapshot);
  const groups = groupsIn(moves);
  for (const move of moves) {
    const group = groups.get(move);
    const add = (code: RuleViolationCode, message: string) => violations.push({ code, message, hostId: move.toHostId, vmId: move.vmId });
    const own = snapshot.rules.filter((rule) => members.get(rule)?.has(move.vmId));
    for (const rule of own) for (const [code, message] of staying(rule, move, snapshot.takenAtMs)) add(code, message);
    for (const [code, message] of closed(snapshot, move)) add(code, message);
    const before = own.map((rule) => breaches(rule, members.get(rule) ?? new Set(), move.vmId, places, snapshot));
    const shortBefore = shortBytes(snapshot, places);
    places.set(move.vmId, move.toHostId);
    const after = own.map((rule) => breaches(rule, members.get(rule) ?? new Set(), move.vmId, places, snapshot));
    const isApart = (rule: Rule) => group !== undefined && rule.kind === 'affinity' && move.together?.rules.includes(rule.name) === true;
    const worse = own.filter((rule, index) => (after[index] ?? 0) > (before[index] ?? 0) && !isApart(rule));
    for (const rule of worse) add('rule-broken', `${move.vmName} on ${move.toHostId} breaks rule ${rule.name}`);
    if (worse.length === 0 && group === undefined && after.some((times, index) => times < (before[index] ?? 0))) repairs.add(move);
    const shortAfter = shortBytes(snapshot, places);
    if (snapshot.policy.headroom.hostFailures > 0 && shortAfter > Math.max(shortBefore, 0) + 2)
      add('headroom-broken', `with ${move.vmName} on ${move.toHostId} a lost host would leave ${shortAfter} bytes without room`);
  }
  const together = checkGroups(snapshot, moves, [...new Set(groups.values())], members);
  return { violations: [...violations, ...together.violations], repairs: new Set([...repairs, ...together.repairs]) };
}

type Finding = readonly [RuleViolationCode, string];

function staying(rule: Rule, move: Move, nowMs: number): readonly Finding[] {
  if (rule.kind === 'ignore') return [['vm-ignored', `rule ${rule.name} keeps ${move.vmName} out of balancing`]];
  const isNow = (rule.kind === 'blackout' || rule.kind === 'window') && covers(rule.when, nowMs);
  if ((rule.kind === 'blackout' && isNow) || (rule.kind === 'window' && !isNow))
    return [['outside-window', `rule ${rule.name} does not let ${move.vmName} move now`]];
  return [];
}

/** Walks back minute by minute to the one in which the window opened: slow, and hard to get wrong. */
function covers({ fromMinute, untilMinute, weekdays, utcOffsetMinutes }: DailyWindow, nowMs: number): boolean {
  const lengthMinutes = untilMinute > fromMinute ? untilMinute - fromMinute : untilMinute + 1440 - fromMinute;
  const names = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
  for (let ago = 0; ago < lengthMinutes; ago += 1) {
    const then = new Date(nowMs + (utcOffsetMinutes - ago) * 60_000);
    if (then.getUTCHours() * 60 + then.getUTCMinutes() !== fromMinute) continue;
    const name = names[then.getUTCDay()];
    if (name !== undefined && weekdays.includes(name)) return true;
  }
  return false;
}

function closed({ hosts, refusals, takenAtMs }: Snapshot, move: Move): readonly Finding[] {
  const found: Finding[] = [];
  const target = hosts.find(({ hostId }) => hostId === move.toHostId);
  if (target?.cordoned === true) found.push(['target-cordoned', `${move.toHostId} is cordoned`]);
  for (const host of hosts.filter(({ hostId }) => hostId === move.toHostId || hostId === move.fromHostId)) {
    if (host.unfit !== null) found.push(['host-unfit', `${host.hostId} takes part in no migration: ${host.unfit}`]);
  }
  const refusal = refusals.find((one) => one.vmId === move.vmId && one.hostId === move.toHostId && one.untilMs > takenAtMs);
  if (refusal !== undefined) found.push(['pair-refused', `${move.toHostId} refused ${move.vmName}: ${refusal.reason}`]);
  return found;
}

/** Memory of running VMs that a lost host would leave without room. */
export function shortBytes(snapshot: Snapshot, places: Places): number {
  if (snapshot.policy.headroom.hostFailures === 0) return 0;
  const held = heldVms(snapshot);
  const byPlace = Map.groupBy(held, (vm) => places.get(vm.vmId) ?? '');
  const byReport = Map.groupBy(held, (vm) => vm.hostId);
  const on = (hostId: string) => byPlace.get(hostId) ?? [];
  const running = (hostId: string) => sum(on(hostId).filter((vm) => vm.state === 'running'));
  const free = new Map(
    snapshot.hosts.map((host) => [host.hostId, freeBytes(snapshot, host, byReport.get(host.hostId) ?? [], on(host.hostId))]),
  );
  const total = [...free.values()].reduce((all, one) => all + one, 0);
  const bySum = snapshot.hosts.map(({ hostId }) => running(hostId) - (total - (free.get(hostId) ?? 0)));
  const ids = snapshot.hosts.map(({ hostId }) => hostId).toSorted();
  const [first = ''] = ids;
  const largest = ids.reduce((best, hostId) => (running(hostId) > running(best) ? hostId : best), first);
  const bins = [...free].filter(([hostId]) => hostId !== largest).map(([, bytes]) => bytes);
  bins.sort((a, b) => b - a);
  const homeless: SnapshotVm[] = [];
  for (const vm of on(largest).toSorted((a, b) => b.memoryBytes - a.memoryBytes)) {
    if (vm.state !== 'running') continue;
    const bin = bins.findIndex((bytes) => bytes >= vm.memoryBytes);
    if (bin === -1) homeless.push(vm);
    else bins[bin] = (bins[bin] ?? 0) - vm.memoryBytes;
  }
  return Math.max(0, ...bySum, sum(homeless));
}

function heldVms({ vms }: Snapshot): readonly SnapshotVm[] {
  const held = vms.filter((vm) => holdsMemory(vm) && vm.cpuUsedCores >= 0 && vm.memoryBytes >= 0);
  const whole = new Set(held.filter((vm) => vm.state !== 'incoming').map((vm) => vm.vmId));
  return held.filter((vm) => vm.state !== 'incoming' || !whole.has(vm.vmId));
}

/** What is in use beyond the VMs that the host reports stays in use; a host that may take nobody in has nothing free. */
function freeBytes(snapshot: Snapshot, host: SnapshotHost, before: readonly SnapshotVm[], now: readonly SnapshotVm[]): number {
  const isFresh = host.status === 'up' && snapshot.takenAtMs - host.sampledAtMs <= snapshot.policy.sampleAgeMsMax;
  if (!isFresh || host.cordoned || host.unfit !== null) return 0;
  const free = host.capacity.memoryBytes - Math.max(0, host.memoryUsedBytes - sum(before)) - sum(now);
  return Number.isFinite(free) ? Math.max(0, free) : 0;
}

function sum(vms: readonly SnapshotVm[]): number {
  return vms.reduce((bytes, vm) => bytes + vm.memoryBytes, 0);
}
