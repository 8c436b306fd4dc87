import { Standstill } from './standstill.ts';

/** A daemon that can be away, or stand still: then it is there and does not answer. */
export class Daemon {
  readonly standstill = new Standstill();
  #alive = true;
  readonly #listeners = new Set<(alive: boolean) => void>();

  get alive(): boolean {
    return this.#alive;
  }

  /** Whether it answers at this moment. */
  get runs(): boolean {
    return this.#alive && !this.standstill.paused;
  }

  kill(): void {
    this.#set(false);
    this.standstill.end();
  }

  start(): void {
    this.#set(true);
  }

  pause(): void {
    if (this.#alive) this.standstill.pause();
  }

  goOn(): void {
    this.standstill.end();
  }

  /** Returns the way to stop. */
  onChange(listener: (alive: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #set(alive: boolean): void {
    if (this.#alive === alive) return;
    this.#alive = alive;
    for (const listener of Array.from(this.#listeners)) listener(alive);
  }
}
