import { PlimsollError } from '#core/model/result.ts';
import type { Clock, Echo, EchoReport, Witness } from '#core/ports.ts';
import { pause } from '#core/time.ts';

const watchesMax = 16;
/** What nobody stops (its controller died) ends by itself. */
const watchMsMax = 3_600_000;

interface Watch {
  readonly echo: Echo;
  readonly over: AbortController;
}

/** VMs that this host asks for an answer every few milliseconds, to see how a migration looks from outside. */
export class Witnesses {
  readonly #clock: Clock;
  readonly #witness: Witness;
  readonly #watches = new Map<string, Watch>();
  /** Watches that are about to begin; to end one of them is to have it not begin. */
  readonly #beginning = new Map<string, AbortController>();

  constructor(clock: Clock, witness: Witness) {
    this.#clock = clock;
    this.#witness = witness;
  }

  async look(mac: string, signal: AbortSignal): Promise<{ addresses: string[]; place: 'local' | 'elsewhere' | null }> {
    const [addresses, place] = await Promise.all([this.#witness.addressesOf(mac, signal), this.#witness.seenAt(mac, signal)]);
    return { addresses: [...addresses], place };
  }

  /** False where this host cannot reach the address directly. A later start of the same watch takes its place. Throws `migration-limit`. */
  async start(watchId: string, address: string, intervalMs: number, signal: AbortSignal): Promise<boolean> {
    const former = this.#take(watchId);
    const unwanted = new AbortController();
    const isFull = this.#watches.size + this.#beginning.size >= watchesMax;
    if (!isFull) this.#beginning.set(watchId, unwanted);
    try {
      await former?.echo.stop();
      if (isFull) throw new PlimsollError('migration-limit', 'this host watches too many VMs: try again later');
      return await this.#begin(watchId, { address, intervalMs }, AbortSignal.any([signal, unwanted.signal]));
    } finally {
      if (this.#beginning.get(watchId) === unwanted) this.#beginning.delete(watchId);
    }
  }

  report(watchId: string): EchoReport | null {
    return this.#watches.get(watchId)?.echo.report() ?? null;
  }

  /** Also of one that is about to begin, whose start is refused as `aborted` then. */
  async stop(watchId: string): Promise<EchoReport | null> {
    return (await this.#take(watchId)?.echo.stop()) ?? null;
  }

  /** From here on there is no watch of this name, and none begins that was asked for before. */
  #take(watchId: string): Watch | undefined {
    this.#beginning.get(watchId)?.abort(new PlimsollError('aborted', 'the watch was ended before it had begun'));
    this.#beginning.delete(watchId);
    const watch = this.#watches.get(watchId);
    this.#watches.delete(watchId);
    watch?.over.abort();
    return watch;
  }

  async #begin(watchId: string, { address, intervalMs }: { address: string; intervalMs: number }, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const echo = await this.#witness.watch(address, intervalMs, signal);
    if (echo === null) return false;
    if (signal.aborted) {
      // Whoever asked has been told by now that nobody watches.
      await echo.stop();
      signal.throwIfAborted();
    }
    const over = new AbortController();
    this.#watches.set(watchId, { echo, over });
    void this.#stopInTime(watchId, over.signal);
    return true;
  }

  async #stopInTime(watchId: string, over: AbortSignal): Promise<void> {
    // Nobody waits for what it saw, or is told that it does not stop.
    if (await pause(this.#clock, watchMsMax, over)) await this.stop(watchId).catch(() => undefined);
  }
}
