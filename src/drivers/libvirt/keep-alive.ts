/** How a dead daemon is noticed: a ping each `intervalMs` of silence, and after `missesMax` of them unanswered it is dead. */
export interface KeepAliveOptions {
  readonly intervalMs: number;
  readonly missesMax: number;
}

/** libvirt's own defaults: 5 s and 5. */
export const defaultKeepAlive: KeepAliveOptions = { intervalMs: 5_000, missesMax: 5 };

/** Watches one connection: any message that arrives is a sign of life, not only a pong. */
export class KeepAlive {
  readonly #options: KeepAliveOptions;
  readonly #ping: () => void;
  readonly #dead: (silentMs: number) => void;
  #misses = 0;
  #heard = true;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: KeepAliveOptions, ping: () => void, dead: (silentMs: number) => void) {
    this.#options = options;
    this.#ping = ping;
    this.#dead = dead;
  }

  start(): void {
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => this.#tick(), this.#options.intervalMs);
    // Never the only reason for the process to live on.
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  heard(): void {
    this.#heard = true;
    this.#misses = 0;
  }

  #tick(): void {
    if (this.#heard) {
      this.#heard = false;
      return;
    }
    if (this.#misses >= this.#options.missesMax) {
      this.stop();
      this.#dead(this.#options.intervalMs * (this.#misses + 1));
      return;
    }
    this.#misses += 1;
    this.#ping();
  }
}
