import { LibvirtError } from './errors.ts';

interface Waiter {
  readonly enter: () => void;
  readonly refuse: (error: LibvirtError) => void;
}

/**
 * Lets at most `inFlightMax` calls onto the wire, in order, and lets at most `waitingMax` wait for their turn. libvirtd stops
 * reading a client with more than `max_client_requests` (5) unanswered calls, and then cannot see its keep-alive either.
 */
export class CallGate {
  readonly #inFlightMax: number;
  readonly #waitingMax: number;
  readonly #waiters = new Set<Waiter>();
  #inFlight = 0;
  #closedBy: LibvirtError | null = null;

  constructor(inFlightMax: number, waitingMax: number) {
    this.#inFlightMax = inFlightMax;
    this.#waitingMax = waitingMax;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Resolves when the caller may send; it must call `leave` once afterwards. Rejects with the signal's reason. */
  async enter(signal: AbortSignal): Promise<void> {
    if (this.#closedBy !== null) throw this.#closedBy;
    signal.throwIfAborted();
    if (this.#inFlight < this.#inFlightMax) {
      this.#inFlight += 1;
      return;
    }
    if (this.#waiters.size >= this.#waitingMax) {
      throw new LibvirtError('queue-full', `${this.#waitingMax} calls already wait for libvirtd; it answers too slowly, try again later`);
    }
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const waiter: Waiter = { enter: () => resolve(undefined), refuse: reject };
    const onAbort = (): void => {
      // At once, not in `finally`: a place handed over in between would go to nobody and be lost.
      this.#waiters.delete(waiter);
      reject(signal.reason);
    };
    this.#waiters.add(waiter);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Frees a place: the longest waiting caller takes it over. */
  leave(): void {
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      waiter.enter();
      return;
    }
    this.#inFlight -= 1;
  }

  /** Refuses everyone who waits and everyone who comes. */
  close(error: LibvirtError): void {
    this.#closedBy ??= error;
    for (const waiter of this.#waiters) waiter.refuse(this.#closedBy);
    this.#waiters.clear();
  }
}
