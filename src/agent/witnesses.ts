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
  #beginning = 0;

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
    await this.stop(watchId);
    if (this.#watches.size + this.#beginning >= watchesMax)
      throw new PlimsollError('migration-limit', 'this host watches too many VMs: try again later');
    const echo = await this.#begin(address, intervalMs, signal);
    if (echo === null) return false;
    if (signal.aborted) {
      // Whoever asked has been told by now that nobody watches.
      await echo.stop();
      signal.throwIfAborted();
    }
    const over = new AbortController();
    const former = this.#watches.get(watchId);
    this.#watches.set(watchId, { echo, over });
    void this.#stopInTime(watchId, over.signal);
    former?.over.abort();
    await former?.echo.stop();
    return true;
  }

  report(watchId: string): EchoReport | null {
    return this.#watches.get(watchId)?.echo.report() ?? null;
  }

  async stop(watchId: string): Promise<EchoReport | null> {
    const watch = this.#watches.get(watchId);
    if (!watch) return null;
    this.#watches.delete(watchId);
    watch.over.abort();
    return watch.echo.stop();
  }

  async #begin(address: string, intervalMs: number, signal: AbortSignal): Promise<Echo | null> {
    this.#beginning += 1;
    try {
      return await this.#witness.watch(address, intervalMs, signal);
    } finally {
      this.#beginning -= 1;
    }
  }

  async #stopInTime(watchId: string, over: AbortSignal): Promise<void> {
    // Nobody waits for what it saw, or is told that it does not stop.
    if (await pause(this.#clock, watchMsMax, over)) await this.stop(watchId).catch(() => undefined);
  }
}
