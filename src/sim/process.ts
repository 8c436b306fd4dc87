/**
 * A process that can be killed. Killing it is not telling it to stop: from that moment the world neither
 * answers nor calls it, so no line of its code runs any more, no `finally` and no clean-up, as after kill -9.
 * What it had made durable, and jobs that other daemons run for it, go on.
 */
import type { Clock } from '#core/ports.ts';

export class SimProcess {
  readonly name: string;
  #alive = true;
  #atDeath: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  get alive(): boolean {
    return this.#alive;
  }

  kill(): void {
    this.#alive = false;
    const last = this.#atDeath;
    this.#atDeath = [];
    for (const act of last) act();
  }

  /** What its operating system does for a dead process, such as closing its connections. */
  atDeath(act: () => void): void {
    this.#atDeath.push(act);
  }

  /** Settles as the work does; never, once the process is dead. */
  answer<Value>(work: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      work.then(
        (value) => this.#alive && resolve(value),
        (error: unknown) => this.#alive && reject(error instanceof Error ? error : new Error(String(error))),
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

  #listener(listener: (...args: readonly unknown[]) => unknown): (...args: readonly unknown[]) => unknown {
    return (...args) => (this.#alive ? listener(...args) : undefined);
  }
}

function isListener(argument: unknown): argument is (...args: readonly unknown[]) => unknown {
  return typeof argument === 'function';
}
