import type { HostCapacity } from '#core/model/host.ts';
import type { LinePair, Policy } from '#core/model/policy.ts';
import type { SnapshotHost } from '#core/model/snapshot.ts';
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

/**
 * `roundsOverLine` of a host for this planning round: one more while it is over a start line, else 0.
 * A host that is not up counts as not over: only evidence in a row may start a move.
 */
export function nextRoundsOverLine(
  previous: number,
  host: Pick<SnapshotHost, 'status' | 'capacity' | 'cpuUsedCores' | 'memoryUsedBytes'>,
  policy: Policy,
): number {
  if (host.status !== 'up') return 0;
  return isAbove(loadOf(host), startLimit(policy)) ? previous + 1 : 0;
}
