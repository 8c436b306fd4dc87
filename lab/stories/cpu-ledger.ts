/** The kernel's account of every host's CPU while a story is told: what Plimsoll says of loads is held against it. */
import type { Lab } from '#lab/api.ts';
import { coresOf } from '#lab/options.ts';
import { type CpuReading, cpuPercentBetween, readCpu } from './loads.ts';

const readMs = 1000;

export class CpuLedger {
  readonly #lab: Lab;
  readonly #readings = new Map<string, CpuReading[]>();
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Reads all hosts when the last reading is a second old. */
  async look(): Promise<void> {
    if (performance.now() - this.#readAtMs < readMs) return;
    this.#readAtMs = performance.now();
    for (const host of this.#lab.hosts) {
      const readings = this.#readings.get(host.name) ?? [];
      readings.push(await readCpu(host));
      this.#readings.set(host.name, readings);
    }
  }

  /** The largest mean over `windowMs` since then, in percent of the host's cores; 0 when no window is full. Times are `performance.now()`. */
  peakPercent(host: string, sinceMs: number, windowMs: number): number {
    const readings = this.#since(host, sinceMs);
    const means = readings.map((first) => {
      const last = readings.find(({ atMs }) => atMs >= first.atMs + windowMs);
      return last === undefined ? 0 : this.#percent(host, first, last);
    });
    return Math.max(0, ...means);
  }

  /** Mean since then; 0 before there are two readings. */
  meanPercent(host: string, sinceMs: number): number {
    const readings = this.#since(host, sinceMs);
    const [first, last] = [readings[0], readings.at(-1)];
    return first === undefined || last === undefined || first === last ? 0 : this.#percent(host, first, last);
  }

  #since(host: string, sinceMs: number): readonly CpuReading[] {
    return (this.#readings.get(host) ?? []).filter(({ atMs }) => atMs >= sinceMs);
  }

  #percent(host: string, first: CpuReading, last: CpuReading): number {
    return cpuPercentBetween(first, last, coresOf(this.#lab.record.options, host));
  }
}
