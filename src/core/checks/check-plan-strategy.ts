/** The part of the linter that knows what a strategy and a direction allow beside the relief of hosts over their line. */
import type { Move } from '#core/model/plan.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { shortBytes } from './check-plan-rules.ts';
import { fillPercentOf } from './check-plan-overflow.ts';
import { isHeld, percentages, shift, talliesOf, type Tally, wantedBy } from './check-plan-tally.ts';
import { placesOf } from './rule-breaches.ts';
import type { Violation } from './violation.ts';

export type StrategyViolationCode =
  | 'pull-unfounded'
  | 'pull-too-much'
  | 'pack-not-at-rest'
  | 'pack-half'
  | 'pack-to-empty'
  | 'pack-overfull'
  | 'pack-without-headroom';

export interface StrategyCheck {
  readonly violations: readonly Violation<StrategyViolationCode>[];
  /** Of the moves that nothing but their strategy or direction allows. */
  readonly kinds: ReadonlyMap<Move, 'pull' | 'pack'>;
}

const tolerance = 1e-6;

/** `unpushed`: moves that no line of their source and no rule justifies. */
export function checkStrategy(snapshot: Snapshot, moves: readonly Move[], unpushed: ReadonlySet<Move>): StrategyCheck {
  const { strategy, direction } = snapshot.policy;
  const kind = strategy === 'pack' ? 'pack' : direction === 'push' ? null : 'pull';
  if (kind === null || unpushed.size === 0) return { violations: [], kinds: new Map() };
  return {
    kinds: new Map([...unpushed].map((move) => [move, kind])),
    violations: [
      ...checkSteps(snapshot, moves, kind === 'pull' ? unpushed : new Set(), pulled),
      ...checkSteps(snapshot, moves, kind === 'pack' ? unpushed : new Set(), packed),
      ...(kind === 'pack' ? checkPacking(snapshot, moves, unpushed) : []),
    ],
  };
}

type Found = Violation<StrategyViolationCode>;

function found(code: StrategyViolationCode, message: string, move: Move | null, hostId: string | null): Found {
  return { code, message, hostId, vmId: move?.vmId ?? null };
}

interface Step {
  readonly snapshot: Snapshot;
  readonly move: Move;
  readonly source: Tally;
  readonly target: Tally;
  readonly vm: SnapshotVm;
  readonly meanPercent: number;
  /** The VMs that the target has before the move. */
  readonly there: readonly SnapshotVm[];
}

/** Replays all moves, and looks at some of them before each is made. */
function checkSteps(
  snapshot: Snapshot,
  moves: readonly Move[],
  judged: ReadonlySet<Move>,
  judge: (step: Step) => readonly Found[],
): readonly Found[] {
  if (judged.size === 0) return [];
  const { tallies, vms } = talliesOf(snapshot);
  const meanPercent = meanOf(snapshot, tallies);
  const places = placesOf(snapshot);
  const all: Found[] = [];
  for (const move of moves) {
    const [source, target, vm] = [tallies.get(move.fromHostId), tallies.get(move.toHostId), vms.get(move.vmId)];
    if (source === undefined || target === undefined || vm === undefined || source === target) continue;
    const there = [...vms.values()].filter((other) => isHeld(other) && places.get(other.vmId) === move.toHostId);
    if (judged.has(move)) all.push(...judge({ snapshot, move, source, target, vm, meanPercent, there }));
    shift(source, target, vm);
    places.set(move.vmId, move.toHostId);
  }
  return all;
}

/** Of the hosts that are known well enough to be planned on. */
function meanOf(snapshot: Snapshot, tallies: ReadonlyMap<string, Tally>): number {
  let [used, capacity] = [0, 0];
  for (const { host, cores } of tallies.values()) {
    if (!isKnown(snapshot, host)) continue;
    used += cores;
    capacity += host.capacity.cpuCores;
  }
  return (100 * used) / capacity;
}

function isKnown({ hosts, ledger, policy, takenAtMs }: Snapshot, host: SnapshotHost): boolean {
  const isFresh = host.status === 'up' && host.quarantine === null && takenAtMs - host.sampledAtMs <= policy.sampleAgeMsMax;
  const isUsable = host.cpuUsedCores >= 0 && host.memoryUsedBytes >= 0 && host.capacity.cpuCores > 0 && host.capacity.memoryBytes > 0;
  const isSettled = ledger
    .filter(({ outcome, fromHostId, toHostId }) => outcome !== 'stayed' && [fromHostId, toHostId].includes(host.hostId))
    .every(({ endedAtMs }) => host.sampledAtMs - endedAtMs >= policy.smoothingHalfLifeMs);
  return isFresh && isUsable && isSettled && hosts.filter(({ hostId }) => hostId === host.hostId).length === 1;
}

/** Taken by a host with little to do, from one far above the mean, and the two are closer to each other with it. */
function pulled({ snapshot: { policy }, move, source, target, vm, meanPercent }: Step): readonly Found[] {
  const { belowPercent, marginPercent } = policy.pull;
  const [from, to] = [percentages(source).cpu, percentages(target).cpu];
  const line = meanPercent + marginPercent;
  const [fromAfter, toAfter] = [percentages(withVm(source, vm, -1)).cpu, percentages(withVm(target, vm, 1))];
  const all: Found[] = [];
  const { host } = source;
  const isSuffering = isOver({ policy }, { ...host, relieving: { cpu: false, memory: false } });
  if (vm.forecast === null && !isSuffering) all.push(found('pull-unfounded', `${vm.name} has no forecast yet`, move, move.fromHostId));
  if (!(from >= line - tolerance && to < belowPercent + tolerance)) {
    const said = `${move.fromHostId} is at ${from} % CPU and ${move.toHostId} at ${to} %, the mean is ${meanPercent} %`;
    all.push(found('pull-unfounded', said, move, move.toHostId));
  }
  const isBelow = toAfter.cpu <= policy.cpuLine.stopPercent + tolerance;
  const isCloser = Math.abs(fromAfter - toAfter.cpu) < Math.abs(from - to) + tolerance;
  if (!(isBelow && isCloser && toAfter.memory <= policy.memoryLine.stopPercent + tolerance)) {
    all.push(
      found('pull-too-much', `${move.toHostId} would be at ${toAfter.cpu} % CPU and ${toAfter.memory} % memory`, move, move.toHostId),
    );
  }
  return all;
}

/** Another tally: the first stays as it is. */
function withVm(tally: Tally, vm: SnapshotVm, sign: 1 | -1): Tally {
  const copy = { ...tally };
  if (sign === 1) shift(undefined, copy, vm);
  else shift(copy, undefined, vm);
  return copy;
}

/** To a host in use that stays below its stop lines now, and below its fill limit in nine of ten of what is expected. */
function packed({ snapshot: { policy }, move, target, vm, there }: Step): readonly Found[] {
  const { cpuLine, memoryLine } = policy;
  const all: Found[] = [];
  if (there.length === 0) all.push(found('pack-to-empty', `${move.toHostId} is empty`, move, move.toHostId));
  const after = percentages(withVm(target, vm, 1));
  const vms = [...there, vm];
  const capacity = target.host.capacity.cpuCores;
  // What belongs to no VM goes on as it is.
  const other = Math.max(0, target.cores - there.reduce((total, one) => total + one.cpuUsedCores, 0));
  const wanted = (100 * (other + vms.reduce((total, one) => total + wantedBy(one), 0))) / capacity;
  const high = (100 * (other + highCores(vms))) / capacity;
  const fill = fillPercentOf(policy);
  const isBelow = Math.max(after.cpu, wanted) <= cpuLine.stopPercent + tolerance && after.memory <= memoryLine.stopPercent + tolerance;
  if (!(isBelow && high <= fill + 1e-3)) {
    const said = `${move.toHostId} would want ${wanted} % CPU, up to ${high} %, and have ${after.memory} % of its memory in use`;
    all.push(found('pack-overfull', said, move, move.toHostId));
  }
  return all;
}

/** Sum of normal distributions: means add up, and so do squares of deviations. A VM without a forecast may want all of its CPUs. */
function highCores(vms: readonly SnapshotVm[]): number {
  const known = vms.flatMap(({ forecast, cpuUsedCores }) => (forecast === null ? [] : [{ forecast, cpuUsedCores }]));
  const unknown = vms.filter(({ forecast }) => forecast === null);
  const means = known.map(
    ({ forecast, cpuUsedCores }) =>
      (forecast.meanCores * forecast.confidencePercent + cpuUsedCores * (100 - forecast.confidencePercent)) / 100,
  );
  // Squares of what is above the mean in nine of ten: in units of 1.2816 deviations they add up in the same way.
  const above = known.map(({ forecast }) => Math.max(0, forecast.highCores - forecast.meanCores) ** 2);
  const all = unknown.map((vm) => Math.max(vm.vcpus, wantedBy(vm)));
  return sumOf(means) + sumOf(all) + Math.sqrt(sumOf(above));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Nothing else goes on, hosts are emptied whole, and those that stay in use can lose one of them. */
function checkPacking(snapshot: Snapshot, moves: readonly Move[], packing: ReadonlySet<Move>): readonly Found[] {
  const { hosts, vms, inFlight, policy } = snapshot;
  const all: Found[] = [];
  const troubled = hosts.find((host) => (isKnown(snapshot, host) ? isOver(snapshot, host) : holdsVm(snapshot, host.hostId)));
  if (troubled !== undefined || inFlight.length > 0 || moves.some((move) => !packing.has(move))) {
    all.push(found('pack-not-at-rest', 'hosts are emptied while something else goes on', null, troubled?.hostId ?? null));
  }
  const sources = new Set(moves.map(({ fromHostId }) => fromHostId));
  const left = (hostId: string) =>
    vms.filter(
      (vm) => vm.hostId === hostId && isHeld(vm) && !moves.some(({ vmId, fromHostId }) => vmId === vm.vmId && fromHostId === hostId),
    );
  const halves = [...sources].filter((hostId) => left(hostId).length > 0);
  const isFull = moves.length >= policy.movesPerPlanMax;
  if (halves.length > 0 && !(isFull && sources.size === 1)) {
    all.push(...halves.map((hostId) => found('pack-half', `${hostId} would keep ${left(hostId).length} VMs`, null, hostId)));
  }
  const filled = moves.find(({ toHostId }) => sources.has(toHostId));
  if (filled !== undefined) all.push(found('pack-to-empty', `${filled.toHostId} is to be emptied`, filled, filled.toHostId));
  if (halves.length === 0) all.push(...checkHeadroom(snapshot, moves));
  return all;
}

function checkHeadroom(snapshot: Snapshot, moves: readonly Move[]): readonly Found[] {
  const places = placesOf(snapshot);
  for (const { vmId, toHostId } of moves) places.set(vmId, toHostId);
  const used = new Set(snapshot.vms.filter(isHeld).map(({ vmId }) => places.get(vmId)));
  const hosts = snapshot.hosts.map((host) => (used.has(host.hostId) ? host : { ...host, cordoned: true }));
  const short = shortBytes({ ...snapshot, hosts }, places);
  return short <= 2 ? [] : [found('pack-without-headroom', `a lost host would leave ${short} bytes without room`, null, null)];
}

function isOver({ policy }: Pick<Snapshot, 'policy'>, { capacity, cpuUsedCores, memoryUsedBytes, relieving }: SnapshotHost): boolean {
  const [cpu, memory] = [(100 * cpuUsedCores) / capacity.cpuCores, (100 * memoryUsedBytes) / capacity.memoryBytes];
  const { cpuLine, memoryLine } = policy;
  return (
    cpu > (relieving.cpu ? cpuLine.stopPercent : cpuLine.startPercent) ||
    memory > (relieving.memory ? memoryLine.stopPercent : memoryLine.startPercent)
  );
}

function holdsVm({ vms }: Snapshot, hostId: string): boolean {
  return vms.some((vm) => vm.hostId === hostId && isHeld(vm));
}
