/**
 * The cluster's rules, compiled for one snapshot: every question about a VM costs its own rules only. Groups are counted per
 * placement (`Where`) and remembered for it, so a caller that asks about one state of a plan should use one function for it.
 */
import type { HostId } from '#core/model/host.ts';
import { isLabelSelector, type Labels, matchesLabel } from '#core/model/label.ts';
import type { Skip } from '#core/model/plan.ts';
import { isWithin, matchesPattern } from '#core/model/rule.ts';
import type { PairRefusal, Rule } from '#core/model/rule.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import { compareText } from './cool-down.ts';
import { headroomOf } from './headroom.ts';
import { baseWhere, occupiesMemory, whereWith } from './where.ts';
import type { Where } from './where.ts';
import { count, duration } from './words.ts';

/** Why a rule, a cordon or the cluster's headroom forbids something: a code and a sentence that names it. */
export type RuleFault = Pick<Skip, 'code' | 'reason'>;

type NamedVm = Pick<SnapshotVm, 'vmId' | 'name'>;

export interface RuleBook {
  /** Where each VM is when the migrations under way have ended. */
  readonly where: Where;
  /** Why the balancer may not move the VM now, wherever to; null when it may. */
  readonly vmFault: (vm: NamedVm) => RuleFault | null;
  /** Why the host takes no new VM, whichever it is. */
  readonly hostFault: (hostId: HostId) => RuleFault | null;
  /**
   * Why the VM may not come to this host while the others are as `where` has them. Where the VM breaks a rule already, a place
   * where it breaks it less is allowed.
   */
  readonly placementFault: (vm: NamedVm, hostId: HostId, where: Where) => RuleFault | null;
  /** The same without the cluster's headroom, which a host that is emptied takes away by itself. */
  readonly pairFault: (vm: NamedVm, hostId: HostId, where: Where) => RuleFault | null;
  /** Each rule that the VM would break there, and not less than it does where it is. */
  readonly ruleFaults: (vm: NamedVm, hostId: HostId, where: Where) => readonly RuleFault[];
  /** VMs that have to run on the same host as this one, also by way of others; this one is among them. Null where there are none. */
  readonly groupOf: (vmId: VmId) => AffinityGroup | null;
  /** Why these VMs, each of which breaks an affinity rule while the others have not come yet, may not come to this host one after another. */
  readonly groupFault: (vms: readonly NamedVm[], hostId: HostId, where: Where) => RuleFault | null;
  /** How often the VM breaks a rule on this host: 0 where it breaks none. */
  readonly broken: (vm: NamedVm, hostId: HostId, where: Where) => number;
  /**
   * How often rules are broken in all: VMs that are where they are not pinned to, and pairs that are together though they are to be apart, or
   * apart though they are to be together. A move changes it by the difference of `broken`.
   */
  readonly breaches: (where: Where) => number;
  /** Memory that would find no room if the worst host were lost; 0 where the policy does not ask. */
  readonly headroomShortBytes: (where: Where) => number;
  /** The same with one VM on another host. */
  readonly headroomShortAfter: (vmId: VmId, toHostId: HostId, where: Where) => number;
  /** The first rule, by name, that the VM breaks where it is. */
  readonly brokenRule: (vm: NamedVm, where: Where) => RuleFault | null;
  /** Whether some hosts may be closed to this VM that are open to others. */
  readonly isBound: (vm: NamedVm) => boolean;
  /** Of placement rules: VMs that any of them means. */
  readonly ruled: readonly VmId[];
}

export interface AffinityGroup {
  /** By name. */
  readonly rules: readonly string[];
  readonly vmIds: readonly VmId[];
}

type PlaceRule = Extract<Rule, { readonly kind: 'pin' | 'affinity' | 'anti-affinity' }>;

interface Compiled {
  readonly rule: PlaceRule;
  readonly hosts: ReadonlySet<HostId>;
  /** VMs that take memory somewhere. */
  readonly members: readonly VmId[];
}

export function ruleBookOf(snapshot: Snapshot): RuleBook {
  const vms = uniqueVms(snapshot);
  const rules = snapshot.rules.toSorted((a, b) => compareText(a.name, b.name));
  const labels = new Map(snapshot.vmFacts.map((facts) => [facts.vmId, facts.labels]));
  const memberships = rules.map((rule) => ({ rule, members: membersOf(rule, vms, labels) }));
  const placed: Compiled[] = [];
  const placing = new Map<VmId, Compiled[]>();
  const staying = new Map<VmId, RuleFault>();
  for (const { rule, members } of memberships) {
    if (!isPlaceRule(rule)) {
      const fault = stayFault(rule, snapshot.takenAtMs);
      if (fault !== null) for (const { vmId } of members) if (!staying.has(vmId)) staying.set(vmId, fault);
      continue;
    }
    const hosts = new Set(rule.kind === 'pin' ? rule.hosts : []);
    // One that is shut off runs nowhere: it neither breaks a rule nor makes others break it.
    const compiled = { rule, hosts, members: members.filter(({ state }) => occupiesMemory(state)).map(({ vmId }) => vmId) };
    placed.push(compiled);
    for (const vmId of compiled.members) append(placing, vmId, compiled);
  }
  const groups = groupsOf(placing);
  const refused = refusalsOf(snapshot);
  const closed = closedHosts(snapshot);
  const headroom = headroomOf(snapshot);
  const where = baseWhere(snapshot);
  const counts = countsByPlacement();
  const rulesOf = (vm: NamedVm): readonly Compiled[] => placing.get(vm.vmId) ?? [];
  const brokenBy = (compiled: Compiled, vmId: VmId, hostId: HostId, at: Where) => {
    if (compiled.rule.kind === 'pin') return compiled.hosts.has(hostId) ? 0 : 1;
    const { total, byHost } = counts(compiled, at);
    const own = at(vmId);
    const othersHere = (byHost.get(hostId) ?? 0) - (own === hostId ? 1 : 0);
    return compiled.rule.kind === 'anti-affinity' ? othersHere : total - (own === undefined ? 0 : 1) - othersHere;
  };
  const ruleFaults = (vm: NamedVm, hostId: HostId, at: Where): readonly RuleFault[] => {
    const now = at(vm.vmId);
    return rulesOf(vm).flatMap((compiled): readonly RuleFault[] => {
      const then = brokenBy(compiled, vm.vmId, hostId, at);
      if (then === 0 || (now !== undefined && then < brokenBy(compiled, vm.vmId, now, at))) return [];
      return [{ code: `rule-${compiled.rule.kind}`, reason: placeSentence(compiled.rule, vm, hostId, then) }];
    });
  };
  const pairFault = (vm: NamedVm, hostId: HostId, at: Where): RuleFault | null =>
    closed.get(hostId) ?? ruleFaults(vm, hostId, at)[0] ?? refusedFault(refused.get(vm.vmId), vm, hostId, snapshot.takenAtMs);
  return {
    where,
    vmFault: ({ vmId, name }) => named(staying.get(vmId), name),
    hostFault: (hostId) => closed.get(hostId) ?? null,
    ruleFaults,
    pairFault,
    placementFault: (vm, hostId, at) => pairFault(vm, hostId, at) ?? headroom?.fault(vm.vmId, hostId, at) ?? null,
    groupOf: (vmId) => groups.get(vmId) ?? null,
    groupFault: (moving, hostId, at) => {
      const ids = new Set(moving.map(({ vmId }) => vmId));
      for (const vm of moving) {
        const own: Where = (vmId) => (vmId !== vm.vmId && ids.has(vmId) ? undefined : at(vmId));
        const fault = apartFault(rulesOf(vm), vm, ids) ?? pairFault(vm, hostId, own);
        if (fault !== null) return fault;
      }
      const moved = new Map<VmId, HostId>();
      for (const { vmId } of headroom === null ? [] : moving) {
        const fault = headroom?.fault(vmId, hostId, whereWith(at, new Map(moved)));
        if (fault) return fault;
        moved.set(vmId, hostId);
      }
      return null;
    },
    broken: (vm, hostId, at) => rulesOf(vm).reduce((sum, compiled) => sum + brokenBy(compiled, vm.vmId, hostId, at), 0),
    breaches: (at) => placed.reduce((sum, compiled) => sum + breachesOf(compiled, at, brokenBy), 0),
    headroomShortBytes: (at) => headroom?.shortBytes(at) ?? 0,
    headroomShortAfter: (vmId, hostId, at) => headroom?.shortBytesAfter(vmId, hostId, at) ?? 0,
    brokenRule: (vm, at) => {
      const now = at(vm.vmId);
      if (now === undefined) return null;
      for (const compiled of rulesOf(vm)) {
        const times = brokenBy(compiled, vm.vmId, now, at);
        if (times > 0) return { code: `rule-${compiled.rule.kind}`, reason: placeSentence(compiled.rule, vm, now, times) };
      }
      return null;
    },
    isBound: ({ vmId }) => headroom !== null || placing.has(vmId) || refused.has(vmId),
    ruled: [...placing.keys()].toSorted(compareText),
  };
}

type BrokenBy = (compiled: Compiled, vmId: VmId, hostId: HostId, at: Where) => number;

/** Each VM of a pair says that it is broken. */
function breachesOf(compiled: Compiled, at: Where, brokenBy: BrokenBy): number {
  const said = compiled.members.reduce((sum, vmId) => {
    const hostId = at(vmId);
    return hostId === undefined ? sum : sum + brokenBy(compiled, vmId, hostId, at);
  }, 0);
  return compiled.rule.kind === 'pin' ? said : said / 2;
}

function isPlaceRule(rule: Rule): rule is PlaceRule {
  return rule.kind === 'pin' || rule.kind === 'affinity' || rule.kind === 'anti-affinity';
}

/** A VM that two hosts report counts once; the running copy says its name. */
function uniqueVms({ vms }: Snapshot): readonly SnapshotVm[] {
  const byId = new Map<VmId, SnapshotVm>();
  for (const vm of vms) if (vm.state !== 'incoming' || !byId.has(vm.vmId)) byId.set(vm.vmId, vm);
  return [...byId.values()];
}

function membersOf(rule: Rule, vms: readonly SnapshotVm[], labels: ReadonlyMap<VmId, Labels | undefined>): readonly SnapshotVm[] {
  const wanted = rule.vms.filter(isLabelSelector);
  const others = rule.vms.filter((selector) => !isLabelSelector(selector));
  const exact = new Set(others.filter((selector) => !selector.includes('*')));
  const patterns = others.filter((selector) => selector.includes('*'));
  return vms.filter(
    ({ vmId, name }) =>
      exact.has(vmId) ||
      exact.has(name) ||
      patterns.some((pattern) => matchesPattern(pattern, name)) ||
      wanted.some((selector) => matchesLabel(selector, labels.get(vmId))),
  );
}

/** VMs that are linked by affinity rules, over however many of them. */
function groupsOf(placing: ReadonlyMap<VmId, readonly Compiled[]>): ReadonlyMap<VmId, AffinityGroup> {
  const groups = new Map<VmId, AffinityGroup>();
  for (const first of placing.keys()) {
    if (groups.has(first)) continue;
    const vmIds = new Set([first]);
    const rules = new Set<string>();
    // A set is walked over what is added to it on the way.
    for (const vmId of vmIds) {
      for (const { rule, members } of placing.get(vmId) ?? []) {
        if (rule.kind !== 'affinity' || rules.has(rule.name)) continue;
        rules.add(rule.name);
        for (const member of members) vmIds.add(member);
      }
    }
    if (vmIds.size < 2) continue;
    const group = { rules: [...rules].toSorted(compareText), vmIds: [...vmIds].toSorted(compareText) };
    for (const vmId of group.vmIds) groups.set(vmId, group);
  }
  return groups;
}

/** Wishes that contradict each other: together by one rule, apart by another. */
function apartFault(rules: readonly Compiled[], vm: NamedVm, ids: ReadonlySet<VmId>): RuleFault | null {
  for (const { rule, members } of rules) {
    if (rule.kind !== 'anti-affinity' || !members.some((vmId) => vmId !== vm.vmId && ids.has(vmId))) continue;
    return { code: 'rule-anti-affinity', reason: `rule ${rule.name} keeps ${vm.name} apart from VMs that it has to run together with` };
  }
  return null;
}

function append<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

interface Counts {
  /** Members whose place is known. */
  readonly total: number;
  readonly byHost: ReadonlyMap<HostId, number>;
}

/** Counts the members of a group once for each placement that is asked about. */
function countsByPlacement(): (compiled: Compiled, where: Where) => Counts {
  const known = new WeakMap<Where, Map<Compiled, Counts>>();
  return (compiled, where) => {
    const ofPlacement = known.get(where) ?? new Map<Compiled, Counts>();
    known.set(where, ofPlacement);
    const counted = ofPlacement.get(compiled) ?? countMembers(compiled, where);
    ofPlacement.set(compiled, counted);
    return counted;
  };
}

function countMembers({ members }: Compiled, where: Where): Counts {
  const byHost = new Map<HostId, number>();
  let total = 0;
  for (const vmId of members) {
    const hostId = where(vmId);
    if (hostId === undefined) continue;
    total += 1;
    byHost.set(hostId, (byHost.get(hostId) ?? 0) + 1);
  }
  return { total, byHost };
}

function stayFault(rule: Exclude<Rule, PlaceRule>, nowMs: number): RuleFault | null {
  if (rule.kind === 'ignore') return { code: 'rule-ignore', reason: `rule ${rule.name} keeps it out of balancing` };
  const inside = isWithin(rule.when, nowMs);
  if (rule.kind === 'blackout')
    return inside ? { code: 'rule-window', reason: `rule ${rule.name} lets the balancer move nothing at this time` } : null;
  return inside ? null : { code: 'rule-window', reason: `rule ${rule.name} lets the balancer move it at another time only` };
}

function named(fault: RuleFault | undefined, vmName: string): RuleFault | null {
  return fault === undefined ? null : { code: fault.code, reason: `${vmName} stays: ${fault.reason}` };
}

function placeSentence(rule: PlaceRule, vm: NamedVm, hostId: HostId, times: number): string {
  if (rule.kind === 'pin') return `rule ${rule.name} keeps ${vm.name} on ${rule.hosts.join(', ')}: not on ${hostId}`;
  const others = count(times, 'VM');
  return rule.kind === 'affinity'
    ? `rule ${rule.name} keeps ${vm.name} together with ${others} that would not be with it on ${hostId}`
    : `rule ${rule.name} keeps ${vm.name} apart from ${others} on ${hostId}`;
}

function refusalsOf({ refusals, takenAtMs }: Snapshot): ReadonlyMap<VmId, readonly PairRefusal[]> {
  const byVm = new Map<VmId, PairRefusal[]>();
  for (const refusal of refusals) if (refusal.untilMs > takenAtMs) append(byVm, refusal.vmId, refusal);
  return byVm;
}

function refusedFault(refusals: readonly PairRefusal[] | undefined, vm: NamedVm, hostId: HostId, nowMs: number): RuleFault | null {
  const refusal = refusals?.find((one) => one.hostId === hostId);
  if (refusal === undefined) return null;
  const wait = duration(refusal.untilMs - nowMs);
  if (refusal.code === 'plan-rejected') return { code: 'rejected', reason: `${refusal.reason}; not proposed again for ${wait}` };
  return { code: 'refused', reason: `${hostId} refused ${vm.name} (${refusal.code}): ${refusal.reason}; asked again in ${wait}` };
}

function closedHosts({ hosts }: Snapshot): ReadonlyMap<HostId, RuleFault> {
  const closed = new Map<HostId, RuleFault>();
  for (const { hostId, cordoned, unfit } of hosts) {
    if (unfit !== null) closed.set(hostId, { code: 'unfit', reason: `${hostId} takes part in no migration: ${unfit}` });
    if (cordoned) closed.set(hostId, { code: 'cordoned', reason: `${hostId} is cordoned: it takes no new VMs` });
  }
  return closed;
}
