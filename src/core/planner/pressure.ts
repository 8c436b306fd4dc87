/**
 * Pressure of a host, in percentage points above what a busy host has anyway, and what a move is taken to make of it. How tasks wait cannot
 * be told from how much is used, so the rule is simple and careful: the points of a host rise and fall with the use of their resource, as if
 * each VM had its share of them. What really waits falls faster than that when load leaves. And a host without points is not expected to get
 * any: its lines see to that. Pressure begins no move; it says which of two good ones is better.
 */
import type { HostCapacity } from '#core/model/host.ts';
import type { Pressure } from '#core/model/sample.ts';

/** `some` lines of ten seconds, in percent of the time. Waiting for memory is costly long before waiting for a turn on a CPU is. */
const usualPercent = { cpuSomePercent: 25, memorySomePercent: 10, ioSomePercent: 25 } as const satisfies Readonly<
  Record<keyof Pressure, number>
>;

/** Less use than this share of the capacity says nothing of what more of it would do. */
const tellingShare = 0.25;

/** How many points go with each unit of use. */
export interface PressureSlopes {
  readonly perCore: number;
  readonly perMemoryByte: number;
  readonly perDiskPercent: number;
  /** What nothing that moves would change. */
  readonly fixed: number;
}

export interface Use {
  readonly capacity: HostCapacity;
  readonly cpuUsedCores: number;
  readonly memoryUsedBytes: number;
  /** Null where it is not known. */
  readonly diskAbovePercent: number | null;
  readonly evenDiskPercent: number;
}

/** Null where there are no points. */
export function pressureSlopes(pressure: Pressure | null, use: Use): PressureSlopes | null {
  if (pressure === null) return null;
  const cpu = excess(pressure, 'cpuSomePercent');
  const memory = excess(pressure, 'memorySomePercent');
  const io = excess(pressure, 'ioSomePercent');
  if (cpu + memory + io === 0) return null;
  const { capacity, cpuUsedCores, memoryUsedBytes, evenDiskPercent } = use;
  const diskAbovePercent = use.diskAbovePercent ?? 0;
  const perCore = cpu / Math.max(cpuUsedCores, capacity.cpuCores * tellingShare);
  const perMemoryByte = memory / Math.max(memoryUsedBytes, capacity.memoryBytes * tellingShare);
  // Disks have no capacity: what an even share is stands for it.
  const disk = use.diskAbovePercent === null ? 0 : Math.max(diskAbovePercent + evenDiskPercent, evenDiskPercent);
  const perDiskPercent = disk > 0 ? io / disk : 0;
  const fixed = cpu + memory + io - perCore * cpuUsedCores - perMemoryByte * memoryUsedBytes - perDiskPercent * diskAbovePercent;
  return { perCore, perMemoryByte, perDiskPercent, fixed };
}

/** Linear, so that what a VM costs a host does not depend on what came before it. */
export function pressurePointsOf(
  slopes: PressureSlopes | null,
  cpuUsedCores: number,
  memoryUsedBytes: number,
  diskAbovePercent: number,
): number {
  if (slopes === null) return 0;
  const { fixed, perCore, perMemoryByte, perDiskPercent } = slopes;
  return Math.max(0, fixed + perCore * cpuUsedCores + perMemoryByte * memoryUsedBytes + perDiskPercent * diskAbovePercent);
}

/** Whether no VM costs the first host more points than the second. */
export function isNoSteeper(first: PressureSlopes | null, second: PressureSlopes | null): boolean {
  if (first === null) return true;
  if (second === null) return false;
  return first.perCore <= second.perCore && first.perMemoryByte <= second.perMemoryByte && first.perDiskPercent <= second.perDiskPercent;
}

/** Figures that are none count for nothing. */
function excess(pressure: Pressure, kind: keyof Pressure): number {
  const percent = pressure[kind];
  return Number.isFinite(percent) ? Math.max(0, Math.min(100, percent) - usualPercent[kind]) : 0;
}
