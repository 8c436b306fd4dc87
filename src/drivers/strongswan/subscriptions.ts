import type { Section } from './message.ts';

type Listener = (message: Section) => void;

/** Who listens to which event. */
export class Subscriptions {
  readonly #listeners = new Map<string, Set<Listener>>();

  get size(): number {
    return this.#listeners.size;
  }

  names(): readonly string[] {
    return [...this.#listeners.keys()];
  }

  /** Returns the way to stop; calling it twice is harmless. */
  add(event: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    // A wrapper of its own, so that the same function may subscribe twice and leave once.
    const entry: Listener = (message) => listener(message);
    listeners.add(entry);
    this.#listeners.set(event, listeners);
    return () => {
      listeners.delete(entry);
      if (listeners.size === 0 && this.#listeners.get(event) === listeners) this.#listeners.delete(event);
    };
  }

  /** Calls every listener, then throws the first error that one of them threw. */
  deliver(event: string, message: Section): void {
    const errors: unknown[] = [];
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(message);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
