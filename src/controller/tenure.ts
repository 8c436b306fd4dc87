import type { PlimsollError } from '#core/model/result.ts';
import type { Log } from '#core/ports.ts';
import type { Store } from '#core/store.ts';
import { isReplaced } from '#core/store-rules.ts';

/** How long a controller runs: until it is told to stop, or the store says that another one has taken over. */
export class Tenure {
  readonly store: Store;
  readonly #log: Log;
  readonly #end = new AbortController();
  #replaced: PlimsollError | null = null;

  constructor(parts: { readonly store: Store; readonly log: Log }, stop: AbortSignal) {
    this.#log = parts.log;
    this.store = this.#watched(parts.store);
    if (stop.aborted) this.#end.abort(stop.reason);
    stop.addEventListener('abort', () => this.#end.abort(stop.reason), { once: true, signal: this.#end.signal });
  }

  /** Aborts at the end of it. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** What the store said; null unless it ended this. */
  get replaced(): PlimsollError | null {
    return this.#replaced;
  }

  onReplaced(act: () => void): void {
    if (this.#replaced !== null) act();
    else
      this.#end.signal.addEventListener(
        'abort',
        () => {
          if (this.#replaced !== null) act();
        },
        { once: true },
      );
  }

  /** The same store: whichever call is refused first, everybody hears of it before the caller does. */
  #watched(store: Store): Store {
    return new Proxy(store, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== 'function') return member;
        return async (...args: readonly unknown[]): Promise<unknown> => {
          try {
            return await (Reflect.apply(member, target, args) as Promise<unknown>);
          } catch (error) {
            this.#note(error);
            throw error;
          }
        };
      },
    });
  }

  #note(error: unknown): void {
    if (!isReplaced(error) || this.#replaced !== null) return;
    this.#replaced = error;
    this.#log.error('another controller has taken over: this one ends', { code: error.code, message: error.message });
    this.#end.abort(error);
  }
}
