import type { LoadChange, Move, Skip, Verdict } from '#core/model/plan.ts';
import { type Policy, standardClass } from '#core/model/policy.ts';
import type { TakenMove } from './bounds.ts';
import type { Chain, ChainStep } from './chain.ts';
import type { ClosedTarget } from './closed-target.ts';
import type { ClusterVm } from './cluster.ts';
import type { GroupMove } from './group.ts';
import { coreCount, count, duration, memorySize, milliseconds, percent } from './words.ts';

type MoveFacts = Pick<Move, 'source' | 'destination'>;

/** Why this VM, why there, and what closed a better host: one sentence with the figures. */
export function describeMove(
  policy: Policy,
  vm: ClusterVm,
  taken: TakenMove,
  { source, destination }: MoveFacts,
  closed: ClosedTarget | null = null,
): string {
  const uses = `${vm.name} uses ${coreCount(vm.cpuUsedCores)} and ${memorySize(vm.memoryBytes)}`;
  const best =
    policy.strategy === 'threshold'
      ? 'is the least loaded host with room'
      : `has the best room${closed === null ? '' : ' that is open to it'}`;
  const there = `${destination.hostId} ${best}: ${change(destination)}${closed === null ? '' : closedText(closed)}`;
  return `${source.hostId} is at ${troubleOf(policy, source)}; ${uses}, and ${there}; ${source.hostId} comes down to ${percent(source.cpuAfterPercent)} CPU, ${percent(source.memoryAfterPercent)} memory${worthOf(taken)}.`;
}

/** Why this VM goes to a host that comes over its line, or is over it. */
export function describeOverflow(policy: Policy, vm: ClusterVm, taken: TakenMove, { source, destination }: MoveFacts): string {
  const uses = `${vm.name} uses ${coreCount(vm.cpuUsedCores)} and ${memorySize(vm.memoryBytes)}`;
  const trouble = `${source.hostId} is at ${troubleOf(policy, source)}, its VMs want more CPU than it has, and no host has room below its line`;
  return `${trouble}; ${uses}, and ${destination.hostId} still has what all of its VMs want: ${change(destination)}${worthOf(taken)}.`;
}

/** Why two moves are made together, said of one of them. */
export function describeChained(policy: Policy, { kind, relief }: Chain, { vm }: ChainStep, taken: TakenMove, facts: MoveFacts): string {
  const { source, destination } = facts;
  const uses = `${vm.name} uses ${coreCount(vm.cpuUsedCores)} and ${memorySize(vm.memoryBytes)}`;
  const there = `${destination.hostId}: ${change(destination)}`;
  if (vm.vmId === relief.vm.vmId) {
    const how = kind === 'swap' ? 'it changes places with a smaller one' : 'room has been made for it';
    return `${source.hostId} is at ${troubleOf(policy, source)}, and no single move helps; ${uses}, and ${how} on ${there}${worthOf(taken)}.`;
  }
  const why =
    kind === 'swap'
      ? `${vm.name} changes places with ${relief.vm.name} of ${relief.fromHostId}, which no single move relieves`
      : `${vm.name} makes room on ${source.hostId} for ${relief.vm.name} of ${relief.fromHostId}, which no single move relieves`;
  return `${why}; ${uses}, and goes to ${there}${worthOf(taken)}.`;
}

/** Why this VM of a group goes with the others. */
export function describeTogether(policy: Policy, { vms, rules }: GroupMove, vm: ClusterVm, taken: TakenMove, facts: MoveFacts): string {
  const { source, destination } = facts;
  const [first] = vms;
  const uses = `${vm.name} uses ${coreCount(vm.cpuUsedCores)} and ${memorySize(vm.memoryBytes)}`;
  const how = `moves with ${othersOf(vms, vm)}, because of ${rulesNamed(rules)}`;
  const there = `to ${destination.hostId}: ${change(destination)}`;
  const why = first?.vmId === vm.vmId ? `${source.hostId} is at ${troubleOf(policy, source)}, and no VM may leave alone that helps; ` : '';
  return `${why}${uses}, and ${how}, ${there}; ${source.hostId} comes down to ${percent(source.cpuAfterPercent)} CPU, ${percent(source.memoryAfterPercent)} memory${worthOf(taken)}.`;
}

/** Why this VM goes where the others of its group are, or go with it. `fault`: the rule that is broken now. */
export function describeGathered(vms: readonly ClusterVm[], rules: readonly string[], vm: ClusterVm, facts: MoveFacts): string {
  const { destination } = facts;
  const uses = `${vm.name} uses ${coreCount(vm.cpuUsedCores)} and ${memorySize(vm.memoryBytes)}`;
  return `${rulesNamed(rules)} is broken and no single move mends it; ${uses}, and moves with ${othersOf(vms, vm)} to ${destination.hostId}: ${change(destination)}.`;
}

function othersOf(vms: readonly ClusterVm[], vm: ClusterVm): string {
  return vms
    .filter(({ vmId }) => vmId !== vm.vmId)
    .map(({ name }) => name)
    .join(', ');
}

function rulesNamed(rules: readonly string[]): string {
  return `${rules.length === 1 ? 'the rule' : 'the rules'} ${rules.join(', ')}`;
}

function closedText({ hostId, load, reason }: ClosedTarget): string {
  return `; ${hostId} would have more, at ${percent(load.cpuPercent)} CPU and ${percent(load.memoryPercent)} memory, but ${reason}`;
}

/** Empty where nothing is known but what the VM may use. */
export function worthOf({ cost, remark }: TakenMove): string {
  const { bytes, durationMs, downtimeMs, slaClass, priceCoreSeconds, savedCoreSeconds } = cost;
  const size = memorySize(bytes);
  const takes = durationMs === null ? '' : `, which takes about ${duration(durationMs)}`;
  const stands = downtimeMs === null ? '' : ` and stops it for about ${milliseconds(downtimeMs)}`;
  const ofClass = slaClass === standardClass ? '' : ` (class ${slaClass})`;
  if (priceCoreSeconds === null || savedCoreSeconds === null)
    return durationMs === null ? remark : `; its copy sends ${size}${takes}${stands}${remark}`;
  const [saved, price] = [Math.round(savedCoreSeconds), Math.round(priceCoreSeconds)];
  return `; that saves ${saved} core-seconds of shortage, copying ${size}${takes === '' ? '' : `${takes}${stands},`} must save ${price}${ofClass}${remark}`;
}

/** Why this VM leaves a host on which no load troubles it. `fault`: the rule it breaks there. */
export function describeRepair(vm: ClusterVm, fault: string, destination: LoadChange): string {
  return `${fault}; ${vm.name} uses ${coreCount(vm.cpuUsedCores)} and ${memorySize(vm.memoryBytes)}, and ${destination.hostId} is the least loaded host that mends it: ${change(destination)}.`;
}

/** Why a host with little to do takes this VM from one that has more. `mean`: of the cluster's CPU, in percent. */
export function describePulled(policy: Policy, vm: ClusterVm, mean: number, { source, destination }: MoveFacts): string {
  const { belowPercent } = policy.pull;
  const idle = `${destination.hostId} is at ${percent(destination.cpuBeforePercent)} CPU, below ${percent(belowPercent)}`;
  const busy = `${source.hostId} at ${percent(source.cpuBeforePercent)}, the mean is ${percent(mean)}`;
  return `${idle}, and ${busy}; ${vm.name} uses ${coreCount(vm.cpuUsedCores)} and ${memorySize(vm.memoryBytes)}; ${destination.hostId}: ${change(destination)}; ${source.hostId} comes down to ${percent(source.cpuAfterPercent)}.`;
}

/** Why this VM leaves a host that is emptied, and why there. `highPercent`: what the target is expected to want at most with it. */
export function describePacked(vm: ClusterVm, emptied: Emptied, destination: LoadChange, highPercent: number): string {
  const cost = `${count(emptied.vms, 'VM')}, ${memorySize(emptied.bytes)}`;
  const uses = `${vm.name} uses ${coreCount(vm.cpuUsedCores)} and ${memorySize(vm.memoryBytes)}`;
  const there = `${destination.hostId} is the fullest host with room: ${change(destination)}, up to ${percent(highPercent)} CPU expected`;
  return `${emptied.hostId} is the cheapest that can be emptied: ${cost}; ${uses}, and ${there}.`;
}

function troubleOf(policy: Policy, source: LoadChange): string {
  const { cpuLine, memoryLine } = policy;
  const resources = [
    { name: 'CPU', at: source.cpuBeforePercent, line: cpuLine },
    { name: 'memory', at: source.memoryBeforePercent, line: memoryLine },
  ];
  const over = resources.filter(({ at, line }) => at > line.startPercent);
  if (over.length > 0)
    return over.map(({ name, at, line }) => `${percent(at)} ${name}, over its start line of ${percent(line.startPercent)}`).join(' and ');
  return resources
    .filter(({ at, line }) => at > line.stopPercent)
    .map(({ name, at, line }) => `${percent(at)} ${name}, not yet down to its stop line of ${percent(line.stopPercent)}`)
    .join(' and ');
}

function change(load: LoadChange): string {
  const cpu = `${percent(load.cpuBeforePercent)} CPU and ${percent(load.memoryBeforePercent)} memory`;
  return `${cpu} now, ${percent(load.cpuAfterPercent)} and ${percent(load.memoryAfterPercent)} with it`;
}

/** What emptying a host takes. */
interface Emptied {
  readonly hostId: string;
  readonly vms: number;
  readonly bytes: number;
}

export interface PackFacts {
  readonly emptied: readonly Emptied[];
  /** What keeps packing waiting; null when nothing does. */
  readonly waits: string | null;
}

export interface PlanFacts {
  /** Hosts above a start line. */
  readonly over: number;
  /** Hosts below it again, but not yet down to the stop line. */
  readonly relieving: number;
  /** Hosts whose load is not known. */
  readonly frozen: number;
  /** VMs placed against a rule, on hosts whose load is known. */
  readonly misplaced: number;
  /** VMs that hosts with little to do take. */
  readonly pulled: number;
  /** Null where the strategy is not to pack. */
  readonly packing: PackFacts | null;
  readonly moves: readonly Move[];
  readonly skipped: readonly Skip[];
  readonly scoreBefore: number;
  readonly scoreAfter: number;
}

/** The plan in one sentence. */
export function describePlan(verdict: Verdict, facts: PlanFacts): string {
  const unknown = facts.frozen === 0 ? '' : `; the load of ${count(facts.frozen, 'host')} is not known`;
  return `${headline[verdict](facts)}${unknown}.`;
}

const headline: Readonly<Record<Verdict, (facts: PlanFacts) => string>> = {
  moves: (facts) =>
    `${causeOf(facts)}: ${count(facts.moves.length, 'move')}, score ${facts.scoreBefore.toFixed(1)} to ${facts.scoreAfter.toFixed(1)}`,
  balanced: ({ packing }) => {
    if (packing === null) return 'No host is over its line, nothing to do';
    if (packing.waits !== null) return `No host is over its line; nothing is packed while ${packing.waits}`;
    return 'No host is over its line and none can be emptied, nothing to do';
  },
  'no-beneficial-move': (facts) => {
    const why = facts.skipped[0];
    return `${hostsOver(facts)}, but no move would help enough now${why === undefined ? '' : ` (${why.reason})`}`;
  },
  frozen: () => 'Nothing is planned, because too little is known',
};

function causeOf(facts: PlanFacts): string {
  const { over, relieving, misplaced, pulled, packing } = facts;
  return [
    ...(over + relieving + misplaced > 0 ? [hostsOver(facts)] : []),
    ...(pulled > 0 ? [`${count(pulled, 'VM')} for hosts with little to do`] : []),
    ...(packing === null || packing.emptied.length === 0 ? [] : [emptiedBy(facts, packing.emptied)]),
  ].join(', ');
}

const namedMax = 8;

function emptiedBy({ moves }: PlanFacts, emptied: readonly Emptied[]): string {
  const names = emptied.slice(0, namedMax).map(({ hostId }) => hostId);
  const more = emptied.length > namedMax ? ` and ${emptied.length - namedMax} more` : '';
  const cost = memorySize(emptied.reduce((sum, { bytes }) => sum + bytes, 0));
  const vms = emptied.reduce((sum, host) => sum + host.vms, 0);
  const part = moves.length < vms ? ` of which this plan has the first ${moves.length}` : '';
  return `${names.join(', ')}${more} would be empty for ${count(vms, 'VM')} and ${cost} copied${part}`;
}

function hostsOver({ over, relieving, misplaced }: PlanFacts): string {
  const against = misplaced === 1 ? '1 VM is placed against a rule' : `${misplaced} VMs are placed against rules`;
  if (over === 0 && relieving === 0) return against;
  const hosts =
    over === 0
      ? `${count(relieving, 'host')} not yet down to the stop line`
      : over === 1
        ? '1 host is over its line'
        : `${over} hosts are over their line`;
  return misplaced === 0 ? hosts : `${hosts}, ${against}`;
}
