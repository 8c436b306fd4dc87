import type { HostReading } from '#core/model/sample.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { HostMeter } from '#core/ports.ts';
import type { SimHost } from './host.ts';
import type { VirtualTime } from './virtual-time.ts';

const unmeasured = {
  netReceivedBytesPerSecond: null,
  netSentBytesPerSecond: null,
  diskReadBytesPerSecond: null,
  diskWrittenBytesPerSecond: null,
};

/** One agent's reading of its host's own load. */
export class SimHostMeter implements HostMeter {
  readonly #time: VirtualTime;
  readonly #host: SimHost;
  #previous: { readonly atMs: number; readonly busyCoreSeconds: number } | null = null;

  constructor(time: VirtualTime, host: SimHost) {
    this.#time = time;
    this.#host = host;
  }

  read(_signal: AbortSignal): Promise<HostReading> {
    const atMs = this.#time.elapsedMs;
    const { busyCoreSeconds, spec } = this.#host;
    const previous = this.#previous;
    const seconds = previous ? (atMs - previous.atMs) / 1000 : 0;
    this.#previous = { atMs, busyCoreSeconds };
    const reading: HostReading = {
      cpuUsedCores: previous && seconds > 0 ? cores(Math.max(0, (busyCoreSeconds - previous.busyCoreSeconds) / seconds)) : null,
      memoryUsedBytes: bytes(this.#host.memoryUsedBytes),
      capacity: { cpuCores: cores(spec.cpuCores), memoryBytes: bytes(spec.memoryBytes) },
      pressure: { cpuSomePercent: this.#host.cpuPressurePercent, memorySomePercent: 0, ioSomePercent: 0 },
      // A simulated machine has nobody below it; its cards and disks carry migrations only, which are not counted here.
      rates: { ...unmeasured, cpuStealCores: previous && seconds > 0 ? cores(0) : null },
    };
    return Promise.resolve(this.#host.lies.ofHost(reading));
  }
}
