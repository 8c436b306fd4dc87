/**
 * The share of the processors' time that this machine wanted and did not get, because its own host ran other machines: `steal` in
 * proc_stat(5). Figures that were measured while much was stolen say more about the neighbours than about what was measured.
 */
import { readFile } from 'node:fs/promises';

export interface ProcessorTime {
  readonly stolenTicks: number;
  readonly totalTicks: number;
}

/** The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user time already. */
export function processorTimeOf(stat: string): ProcessorTime {
  const ticks = (stat.split('\n', 1)[0] ?? '').split(/\s+/).slice(1, 9).map(Number);
  const [stolenTicks] = ticks.slice(7);
  if (stolenTicks === undefined || ticks.some((value) => !Number.isSafeInteger(value)))
    throw new Error('/proc/stat does not begin with the time of all processors');
  return { stolenTicks, totalTicks: ticks.reduce((sum, value) => sum + value, 0) };
}

export async function processorTime(): Promise<ProcessorTime> {
  return processorTimeOf(await readFile('/proc/stat', 'utf8'));
}

/** Between two readings; 0 when no time has passed. */
export function stolenPercent(before: ProcessorTime, after: ProcessorTime): number {
  const totalTicks = after.totalTicks - before.totalTicks;
  return totalTicks <= 0 ? 0 : ((after.stolenTicks - before.stolenTicks) / totalTicks) * 100;
}
