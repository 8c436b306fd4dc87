/**
 * A process that can be killed and paused. Killing it is not telling it to stop: from that moment the world neither
 * answers nor calls it, so no line of its code runs any more, no `finally` and no clean-up, as after kill -9.
 * What it had made durable, and jobs that other daemons run for it, go on. A paused one (SIGSTOP) gets all that it has
 * missed, timers too, in order and at once when it goes on.
 */
import type { Clock } from '#core/ports.ts';

export class SimProcess {
  readonly name: string;
  #alive = true;
  #atDeath = new Set<() => void>();
  /** What came while it was paused; null while it runs. */
  #missed: (() => void)[] | null = null;
  readonly #pauseListeners = new Set<(paused: boolean) => void>();

  constructor(name: string) {
    this.name = name;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#missed !== null;
  }

  /** Whether it answers at this moment. */
  get runs(): boolean {
    return this.#alive && this.#missed === null;
  }

  kill(): void {
    this.#alive = false;
    this.#missed = null;
    const last = this.#atDeath;
    this.#atDeath = new Set();
    for (const act of last) act();
  }

  pause(): void {
    if (!this.runs) return;
    this.#missed = [];
    this.#tellPaused(true);
  }

  goOn(): void {
    if (this.#missed === null) return;
    const missed = this.#missed;
    this.#missed = null;
    this.#tellPaused(false);
    for (const act of missed) this.#soon(act);
  }

  /** What its operating system does for a dead process, such as closing its connections. Returns the way to take it back. */
  atDeath(act: () => void): () => void {
    this.#atDeath.add(act);
    return () => this.#atDeath.delete(act);
  }

  /** Called when it is paused and when it goes on. Returns the way to stop. */
  onPause(listener: (paused: boolean) => void): () => void {
    this.#pauseListeners.add(listener);
    return () => this.#pauseListeners.delete(listener);
  }

  /** Settles as the work does, and not before the process goes on; never, once the process is dead. */
  answer<Value>(work: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      work.then(
        (value) => this.#soon(() => resolve(value)),
        (error: unknown) => this.#soon(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }

  clock(clock: Clock): Clock {
    return { ...clock, sleep: (durationMs, signal) => this.answer(clock.sleep(durationMs, signal)) };
  }

  /** The port as this process sees it: its answers and its calls of listeners end with the process. */
  port<Port extends object>(port: Port): Port {
    return new Proxy(port, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== 'function') return member;
        return (...args: readonly unknown[]): unknown => {
          const given = args.map((argument) => (isListener(argument) ? this.#listener(argument) : argument));
          const result: unknown = Reflect.apply(member, target, given);
          return result instanceof Promise ? this.answer(result) : result;
        };
      },
    });
  }

  #listener(listener: (...args: readonly unknown[]) => unknown): (...args: readonly unknown[]) => void {
    return (...args) => this.#soon(() => void listener(...args));
  }

  #soon(act: () => void): void {
    if (!this.#alive) return;
    if (this.#missed === null) act();
    else this.#missed.push(act);
  }

  #tellPaused(paused: boolean): void {
    for (const listener of Array.from(this.#pauseListeners)) listener(paused);
  }
}

function isListener(argument: unknown): argument is (...args: readonly unknown[]) => unknown {
  return typeof argument === 'function';
}
