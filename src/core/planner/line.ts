import type { HostCapacity } from '#core/model/host.ts';
import type { LinePair, Policy } from '#core/model/policy.ts';
import type { Relief, SnapshotHost } from '#core/model/snapshot.ts';
import { percentOf } from '#core/model/units.ts';
import type { Bytes, Cores } from '#core/model/units.ts';

/** Load of one host in percent of its capacity. */
export interface Load {
  readonly cpuPercent: number;
  readonly memoryPercent: number;
}

/** A limit per resource, in percent; a host fits when it is at or below both. */
export interface Limit {
  readonly cpuPercent: number;
  readonly memoryPercent: number;
}

export function loadOf(host: { readonly capacity: HostCapacity; readonly cpuUsedCores: Cores; readonly memoryUsedBytes: Bytes }): Load {
  return {
    cpuPercent: percentOf(host.cpuUsedCores, host.capacity.cpuCores),
    memoryPercent: percentOf(host.memoryUsedBytes, host.capacity.memoryBytes),
  };
}

export function startLimit(policy: Policy): Limit {
  return { cpuPercent: policy.cpuLine.startPercent, memoryPercent: policy.memoryLine.startPercent };
}

export function stopLimit(policy: Policy): Limit {
  return { cpuPercent: policy.cpuLine.stopPercent, memoryPercent: policy.memoryLine.stopPercent };
}

/**
 * How far a target may be filled while somebody suffers: a quarter of the hysteresis below the start line,
 * so that the noise of one sample does not push the relieving host over its own line.
 */
export function fillLimit(policy: Policy): Limit {
  return { cpuPercent: fillPercent(policy.cpuLine), memoryPercent: fillPercent(policy.memoryLine) };
}

function fillPercent(line: LinePair): number {
  return line.startPercent - (line.startPercent - line.stopPercent) / 4;
}

/** Above in any resource. NaN is above nothing: unusable figures are sorted out before (see freeze.ts). */
export function isAbove(load: Load, limit: Limit): boolean {
  return load.cpuPercent > limit.cpuPercent || load.memoryPercent > limit.memoryPercent;
}

export const noRelief: Relief = { cpu: false, memory: false };

/** Over a start line, or on its way from one down to its stop line. */
export function needsRelief(
  host: Pick<SnapshotHost, 'capacity' | 'cpuUsedCores' | 'memoryUsedBytes' | 'relieving'>,
  policy: Policy,
): boolean {
  const { cpuPercent, memoryPercent } = reliefGoal(host, policy);
  const load = loadOf(host);
  return load.cpuPercent > cpuPercent || load.memoryPercent > memoryPercent;
}

/**
 * Down to the stop line in each resource that is over its start line or being relieved; the others are not its trouble. The published
 * threshold rule knows one line only, the start line.
 */
export function reliefGoal(host: Pick<SnapshotHost, 'capacity' | 'cpuUsedCores' | 'memoryUsedBytes' | 'relieving'>, policy: Policy): Limit {
  const load = loadOf(host);
  const { cpuLine, memoryLine, strategy } = policy;
  if (strategy === 'threshold') return startLimit(policy);
  return {
    cpuPercent: host.relieving.cpu || load.cpuPercent > cpuLine.startPercent ? cpuLine.stopPercent : Infinity,
    memoryPercent: host.relieving.memory || load.memoryPercent > memoryLine.startPercent ? memoryLine.stopPercent : Infinity,
  };
}

/**
 * `relieving` of a host for this planning round, `roundsOverLine` being this round's: hysteresis. Relief begins
 * when the host was over a start line for the sustained rounds and ends at the stop line, so that a plan that
 * could not be carried out in one go is not left half-done between the two.
 */
export function nextRelief(
  previous: Relief,
  host: Pick<SnapshotHost, 'status' | 'capacity' | 'cpuUsedCores' | 'memoryUsedBytes' | 'roundsOverLine' | 'quarantine'>,
  policy: Policy,
): Relief {
  if (host.status !== 'up' || host.quarantine !== null) return noRelief;
  const { cpuPercent, memoryPercent } = loadOf(host);
  const sustained = host.roundsOverLine >= policy.sustainedRounds;
  const goesOn = (was: boolean, percent: number, line: LinePair) =>
    (sustained && percent > line.startPercent) || (was && percent > line.stopPercent);
  return {
    cpu: goesOn(previous.cpu, cpuPercent, policy.cpuLine),
    memory: goesOn(previous.memory, memoryPercent, policy.memoryLine),
  };
}

/**
 * `roundsOverLine` of a host for this planning round: one more while it is over a start line, else 0.
 * A host that is not up, or not believed, counts as not over: only evidence in a row may start a move.
 */
export function nextRoundsOverLine(
  previous: number,
  host: Pick<SnapshotHost, 'status' | 'capacity' | 'cpuUsedCores' | 'memoryUsedBytes' | 'quarantine'>,
  policy: Policy,
): number {
  if (host.status !== 'up' || host.quarantine !== null) return 0;
  return isAbove(loadOf(host), startLimit(policy)) ? previous + 1 : 0;
}
