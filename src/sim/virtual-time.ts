/** Time that passes only when everything that could happen now has happened. */
import type { Clock } from '#core/ports.ts';

/**
 * Resolves when all promise reactions that are due have run. Only the host of a simulation can tell (under Node
 * `setImmediate`, or `process.nextTick` from within a reaction), so it is handed in; it is the only real waiting.
 */
export type Drain = () => Promise<void>;

interface Timer {
  readonly atMs: number;
  /** Timers of the same millisecond fire in the order in which they were set. */
  readonly order: number;
  readonly run: () => void;
  state: 'waiting' | 'fired' | 'cancelled';
}

/** 2026-01-01T00:00:00Z, as the simulation's wall clock begins. */
const epochMs = 1_767_225_600_000;
/** More than this in one millisecond is a loop that never lets time pass. */
const eventsPerMsMax = 20_000;
/** Fewer timers that nobody waits for are not worth clearing away. */
const cancelledMin = 1000;

export class VirtualTime {
  #heap: Timer[] = [];
  /** Timers in the heap that will not fire: deadlines of what was in time. */
  #cancelled = 0;
  #elapsedMs = 0;
  #order = 0;
  #eventsThisMs = 0;
  #eventsTotal = 0;

  /** Since the simulation began; whole milliseconds. */
  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  get eventsTotal(): number {
    return this.#eventsTotal;
  }

  /** Wall-clock time, in milliseconds since the Unix epoch. */
  get nowMs(): number {
    return epochMs + this.#elapsedMs;
  }

  /** Runs `run` in `delayMs` (rounded up to whole milliseconds). Returns the way to cancel it. */
  after(delayMs: number, run: () => void): () => void {
    const timer: Timer = { atMs: this.#elapsedMs + Math.max(0, Math.ceil(delayMs)), order: this.#order, run, state: 'waiting' };
    this.#order += 1;
    this.#push(timer);
    return () => this.#cancel(timer);
  }

  /** Resolves in `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = () => reject(signal?.reason instanceof Error ? signal.reason : new Error(String(signal?.reason)));
      if (signal?.aborted) {
        stop();
        return;
      }
      const cancel = this.after(delayMs, () => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      });
      const giveUp = () => {
        cancel();
        stop();
      };
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  clock(): Clock {
    return {
      nowMs: () => this.nowMs,
      monotonicMs: () => this.#elapsedMs,
      sleep: (durationMs, signal) => this.sleep(durationMs, signal),
    };
  }

  /**
   * Fires every timer up to and including `untilMs` of elapsed time, one at a time; after each one everything
   * that followed from it is drained, and `afterEach` may look at a world that is at rest.
   */
  async runUntil(untilMs: number, drain: Drain, afterEach: () => void = () => undefined): Promise<void> {
    await drain();
    afterEach();
    for (let timer = this.#popDue(untilMs); timer !== null; timer = this.#popDue(untilMs)) {
      this.#advance(timer.atMs);
      timer.run();
      await drain();
      afterEach();
    }
    this.#elapsedMs = Math.max(this.#elapsedMs, untilMs);
  }

  #cancel(timer: Timer): void {
    if (timer.state !== 'waiting') return;
    timer.state = 'cancelled';
    this.#cancelled += 1;
    if (this.#cancelled < cancelledMin || this.#cancelled * 2 < this.#heap.length) return;
    // What is in order is a heap too.
    this.#heap = this.#heap.filter(({ state }) => state === 'waiting').toSorted((a, b) => (isEarlier(a, b) ? -1 : 1));
    this.#cancelled = 0;
  }

  #advance(atMs: number): void {
    this.#eventsThisMs = atMs > this.#elapsedMs ? 1 : this.#eventsThisMs + 1;
    this.#eventsTotal += 1;
    this.#elapsedMs = atMs;
    if (this.#eventsThisMs > eventsPerMsMax) throw new Error(`virtual time stands still at ${atMs} ms: something loops without waiting`);
  }

  #popDue(untilMs: number): Timer | null {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      const isWaiting = first.state === 'waiting';
      if (isWaiting && first.atMs > untilMs) return null;
      this.#removeFirst();
      if (isWaiting) {
        first.state = 'fired';
        return first;
      }
      this.#cancelled -= 1;
    }
    return null;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let place = heap.length;
    heap.push(timer);
    while (place > 0) {
      const parentPlace = (place - 1) >> 1;
      const parent = heap[parentPlace];
      if (parent === undefined || !isEarlier(timer, parent)) break;
      heap[place] = parent;
      place = parentPlace;
    }
    heap[place] = timer;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let place = 0;
    for (;;) {
      let childPlace = 2 * place + 1;
      let child = heap[childPlace];
      const other = heap[childPlace + 1];
      if (child !== undefined && other !== undefined && isEarlier(other, child)) {
        child = other;
        childPlace += 1;
      }
      if (child === undefined || !isEarlier(child, last)) break;
      heap[place] = child;
      place = childPlace;
    }
    heap[place] = last;
  }
}

function isEarlier(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
