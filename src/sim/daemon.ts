/** A daemon that can be away. */
export class Daemon {
  #alive = true;
  readonly #listeners = new Set<(alive: boolean) => void>();

  get alive(): boolean {
    return this.#alive;
  }

  kill(): void {
    this.#set(false);
  }

  start(): void {
    this.#set(true);
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
