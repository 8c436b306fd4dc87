import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '#core/ports.ts';

/** Node's timers wrap around above this. */
const timerMsMax = 2 ** 31 - 1;

/** This machine's time. */
export class SystemClock implements Clock {
  nowMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const endMs = performance.now() + durationMs;
    try {
      for (let leftMs = durationMs; leftMs > 0; leftMs = endMs - performance.now()) {
        await wait(Math.min(leftMs, timerMsMax), undefined, signal ? { signal } : {});
      }
    } catch (error) {
      // Node rejects with its own AbortError; the port promises the signal's reason.
      signal?.throwIfAborted();
      throw error;
    }
  }
}
