import type { Clock } from '#core/ports.ts';
import type { VirtualTime } from './virtual-time.ts';

/**
 * The clocks of one node. The wall clock may be set to another time; both it and the monotonic one may go a little too fast or too slow, as
 * crystals do. A wait that has begun keeps its length.
 */
export class NodeClock {
  readonly #time: VirtualTime;
  #offsetMs = 0;
  #rate = 1;
  /** True time, and this node's monotonic time, when the rate was set. */
  #since = { elapsedMs: 0, monotonicMs: 0 };

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  /** Since this node began; whole milliseconds, never back. */
  get monotonicMs(): number {
    return this.#rate === 1 && this.#since.elapsedMs === 0 ? this.#time.elapsedMs : Math.floor(this.#exactMs());
  }

  /** Milliseconds since the Unix epoch, as this node believes. */
  get nowMs(): number {
    return this.#time.nowMs - this.#time.elapsedMs + this.monotonicMs + this.#offsetMs;
  }

  /** Forward, or back when it is negative. */
  jump(ms: number): void {
    this.#offsetMs += ms;
  }

  /** Both clocks gain so many microseconds in each true second from now on. */
  drift(ppm: number): void {
    this.#since = { elapsedMs: this.#time.elapsedMs, monotonicMs: this.#exactMs() };
    this.#rate = 1 + ppm / 1e6;
  }

  clock(): Clock {
    return {
      nowMs: () => this.nowMs,
      monotonicMs: () => this.monotonicMs,
      sleep: (durationMs, signal) => this.#time.sleep(durationMs / this.#rate, signal),
    };
  }

  #exactMs(): number {
    return this.#since.monotonicMs + (this.#time.elapsedMs - this.#since.elapsedMs) * this.#rate;
  }
}
