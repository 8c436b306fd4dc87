/** Whether a process stands still (SIGSTOP), and who waits for it. */
import type { VirtualTime } from './virtual-time.ts';

export class Standstill {
  #paused = false;
  readonly #waiting = new Set<() => void>();

  get paused(): boolean {
    return this.#paused;
  }

  pause(): void {
    this.#paused = true;
  }

  /** SIGCONT, or the end of the process: nobody waits for that one either. */
  end(): void {
    this.#paused = false;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const act of waiting) act();
  }

  /** Calls back once, when it is over. */
  onceOver(act: () => void): void {
    this.#waiting.add(act);
  }

  /** True as soon as it does not stand still, false when it does for `limitMs`. Rejects with the signal's reason. */
  async over(time: VirtualTime, limitMs: number, signal: AbortSignal): Promise<boolean> {
    if (!this.#paused) return true;
    const enough = new AbortController();
    const moves = () => enough.abort();
    const late = time.sleep(limitMs, AbortSignal.any([signal, enough.signal]));
    this.#waiting.add(moves);
    try {
      await late;
      return false;
    } catch (error) {
      if (enough.signal.aborted) return true;
      throw error;
    } finally {
      this.#waiting.delete(moves);
    }
  }
}
