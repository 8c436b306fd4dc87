import type { JobOutcome } from '#core/model/migration.ts';
import type { VirtualTime } from './virtual-time.ts';

/** When what happened to a VM that is on its way; milliseconds of elapsed time. */
export class JobTimes {
  readonly #time: VirtualTime;
  readonly #startedAtMs: number;
  #haltedAtMs: number | null = null;
  #switchedAtMs = 0;
  #runsAtMs = 0;

  constructor(time: VirtualTime) {
    this.#time = time;
    this.#startedAtMs = time.elapsedMs;
  }

  get sinceStartMs(): number {
    return this.#time.elapsedMs - this.#startedAtMs;
  }

  get sinceSwitchMs(): number {
    return this.#time.elapsedMs - this.#switchedAtMs;
  }

  halts(): void {
    this.#haltedAtMs = this.#time.elapsedMs;
  }

  switches(): void {
    this.#switchedAtMs = this.#time.elapsedMs;
  }

  runs(): void {
    this.#runsAtMs = this.#time.elapsedMs;
  }

  /** After a post-copy libvirt's statistics of the finished job are empty (measured). */
  outcome(sentBytes: number, rounds: number, isPostCopy: boolean): JobOutcome {
    return {
      totalMs: this.sinceStartMs,
      downtimeMs: isPostCopy || this.#haltedAtMs === null ? null : this.#runsAtMs - this.#haltedAtMs,
      memorySentBytes: Math.round(sentBytes),
      iterations: isPostCopy ? null : rounds,
    };
  }
}
