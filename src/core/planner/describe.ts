import type { LoadChange, Move, Skip, Verdict } from '#core/model/plan.ts';
import { type Policy, standardClass } from '#core/model/policy.ts';
import type { TakenMove } from './bounds.ts';
import type { ClosedTarget } from './closed-target.ts';
import type { ClusterVm } from './cluster.ts';
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
  const best = closed === null ? 'the best room' : 'the best room that is open to it';
  const there = `${destination.hostId} has ${best}: ${change(destination)}${closed === null ? '' : closedText(closed)}`;
  return `${source.hostId} is at ${troubleOf(policy, source)}; ${uses}, and ${there}; ${source.hostId} comes down to ${percent(source.cpuAfterPercent)} CPU, ${percent(source.memoryAfterPercent)} memory${worthOf(taken)}.`;
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

export interface PlanFacts {
  /** Hosts above a start line. */
  readonly over: number;
  /** Hosts below it again, but not yet down to the stop line. */
  readonly relieving: number;
  /** Hosts whose load is not known. */
  readonly frozen: number;
  /** VMs placed against a rule, on hosts whose load is known. */
  readonly misplaced: number;
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
    `${hostsOver(facts)}: ${count(facts.moves.length, 'move')}, score ${facts.scoreBefore.toFixed(1)} to ${facts.scoreAfter.toFixed(1)}`,
  balanced: () => 'No host is over its line, nothing to do',
  'no-beneficial-move': (facts) => {
    const why = facts.skipped[0];
    return `${hostsOver(facts)}, but no move would help enough now${why === undefined ? '' : ` (${why.reason})`}`;
  },
  frozen: () => 'Nothing is planned, because too little is known',
};

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
