import type { HostRates, HostReading } from '#core/model/sample.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { HostMeter } from '#core/ports.ts';
import type { SimHost } from './host.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Since the beginning. */
interface Counters {
  readonly atMs: number;
  readonly busyCoreSeconds: number;
  readonly netBytes: number;
  readonly diskBytes: number;
}

/** One agent's reading of its host's own load. */
export class SimHostMeter implements HostMeter {
  readonly #time: VirtualTime;
  readonly #host: SimHost;
  #previous: Counters | null = null;

  constructor(time: VirtualTime, host: SimHost) {
    this.#time = time;
    this.#host = host;
  }

  read(_signal: AbortSignal): Promise<HostReading> {
    const { spec, busyCoreSeconds, vmTraffic } = this.#host;
    const now: Counters = { atMs: this.#time.elapsedMs, busyCoreSeconds, ...vmTraffic };
    const previous = this.#previous;
    this.#previous = now;
    const seconds = previous ? (now.atMs - previous.atMs) / 1000 : 0;
    const rate = (counter: Exclude<keyof Counters, 'atMs'>): number | null =>
      previous && seconds > 0 ? Math.max(0, (now[counter] - previous[counter]) / seconds) : null;
    const cpu = rate('busyCoreSeconds');
    const reading: HostReading = {
      cpuUsedCores: cpu === null ? null : cores(cpu),
      memoryUsedBytes: bytes(this.#host.memoryUsedBytes),
      capacity: { cpuCores: cores(spec.cpuCores), memoryBytes: bytes(spec.memoryBytes) },
      pressure: { cpuSomePercent: this.#host.cpuPressurePercent, memorySomePercent: 0, ioSomePercent: 0 },
      // A simulated machine has nobody below it.
      rates: { cpuStealCores: cpu === null ? null : cores(0), ...bothWays(rate('netBytes'), rate('diskBytes')) },
    };
    return Promise.resolve(this.#host.lies.ofHost(reading));
  }
}

/** Copies of migrations are not counted: a real machine's cards carry them too, and what that adds is left out again by the controller. */
function bothWays(net: number | null, disk: number | null): Omit<HostRates, 'cpuStealCores'> {
  const [netHalf, diskHalf] = [net && net / 2, disk && disk / 2];
  return {
    netReceivedBytesPerSecond: netHalf,
    netSentBytesPerSecond: netHalf,
    diskReadBytesPerSecond: diskHalf,
    diskWrittenBytesPerSecond: diskHalf,
  };
}
