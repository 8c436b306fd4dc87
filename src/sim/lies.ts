/** What one host says that is wrong, while it lies. */
import type { HostReading } from '#core/model/sample.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { VmSample } from '#core/model/vm.ts';
import type { Guest } from './guest.ts';
import type { VirtualTime } from './virtual-time.ts';

/** One VM that runs there is hidden, or one that does not is claimed. */
export interface FalsePresence {
  readonly kind: 'hides' | 'claims';
  readonly guest: Guest;
}

/** Too much is said for so long, then nothing for as long, and so on. */
const phaseMs = 30_000;
const emptyBytes = 256 * 2 ** 20;
const tooMuch = { cpuFactor: 4, memoryFactor: 2 };

export class Lies {
  readonly #time: VirtualTime;
  #loadSinceMs: number | null = null;
  /** It says of itself that it is all but empty. */
  aboutRoom = false;
  /** Its hypervisor says of each transfer that it has completed, and the VM stays. */
  aboutOutcome = false;
  presence: FalsePresence | null = null;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  set aboutLoad(on: boolean) {
    this.#loadSinceMs = on ? this.#time.elapsedMs : null;
  }

  ofHost(reading: HostReading): HostReading {
    const { cpuCores, memoryBytes } = reading.capacity;
    if (this.aboutRoom) return { ...reading, cpuUsedCores: cores(0), memoryUsedBytes: bytes(emptyBytes), pressure: null };
    switch (this.#phase) {
      case null:
        return reading;
      case 'too much':
        return {
          ...reading,
          cpuUsedCores: cores(cpuCores * tooMuch.cpuFactor),
          memoryUsedBytes: bytes(memoryBytes * tooMuch.memoryFactor),
        };
      case 'nothing':
        return { ...reading, cpuUsedCores: cores(0), memoryUsedBytes: bytes(0), pressure: null };
      default:
        return this.#phase satisfies never;
    }
  }

  ofVm(sample: VmSample): VmSample {
    switch (this.#phase) {
      case null:
        return sample;
      case 'too much':
        return { ...sample, cpuUsedCores: cores(sample.vcpus * tooMuch.cpuFactor) };
      case 'nothing':
        return { ...sample, cpuUsedCores: cores(0), cpuDelayCores: cores(0), memoryResidentBytes: bytes(0) };
      default:
        return this.#phase satisfies never;
    }
  }

  get #phase(): 'too much' | 'nothing' | null {
    if (this.#loadSinceMs === null) return null;
    return Math.floor((this.#time.elapsedMs - this.#loadSinceMs) / phaseMs) % 2 === 0 ? 'too much' : 'nothing';
  }
}
