import { setTimeout as sleep } from 'node:timers/promises';
import type { Duplex } from 'node:stream';

import { LibvirtClient, type ClientOptions } from './client.ts';
import { withDeadline } from './deadline.ts';
import { LibvirtError } from './errors.ts';

export interface LinkOptions extends ClientOptions {
  /** Opens the byte stream to the daemon; must observe the signal. */
  readonly openStream: (signal: AbortSignal) => Promise<Duplex>;
  /** Waits between attempts grow from the first to the second, doubling. */
  readonly backoffMs: { readonly first: number; readonly max: number };
  /** One attempt, from socket to opened hypervisor. */
  readonly connectDeadlineMs: number;
  /** Runs on each new connection before it is given out, such as registering events. */
  readonly prepare: (client: LibvirtClient, signal: AbortSignal) => Promise<void>;
  readonly onUp: () => void;
  readonly onDown: (reason: LibvirtError) => void;
}

/**
 * One connection to the daemon that is made again, for ever and by itself, when it is lost:
 *
 *   connecting --ok--> up --lost--> connecting
 *       \--failed--> waiting (backoff) --/
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #attempt: Promise<LibvirtClient | LibvirtError>;
  #settled: LibvirtClient | LibvirtError | null = null;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#attempt = this.#connect();
    this.#loop = this.#run();
  }

  /** The open connection. While an attempt is under way it is waited for; between attempts this rejects at once. */
  async client(signal: AbortSignal): Promise<LibvirtClient> {
    const outcome = this.#settled ?? (await this.#outcome(signal));
    if (outcome instanceof LibvirtError) throw outcome;
    if (outcome.isLost) throw await outcome.lost;
    return outcome;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #outcome(signal: AbortSignal): Promise<LibvirtClient | LibvirtError> {
    const given = new LibvirtError('aborted', 'waiting for the connection to libvirtd was given up');
    if (signal.aborted) throw given;
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(given);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([this.#attempt, promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #run(): Promise<void> {
    let waitMs = this.#options.backoffMs.first;
    while (!this.#stop.signal.aborted) {
      const outcome = await this.#attempt;
      this.#settled = outcome;
      if (outcome instanceof LibvirtClient) {
        waitMs = this.#options.backoffMs.first;
        await this.#serve(outcome);
      } else {
        await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
        waitMs = Math.min(waitMs * 2, this.#options.backoffMs.max);
      }
      this.#settled = null;
      if (!this.#stop.signal.aborted) this.#attempt = this.#connect();
    }
    const closed = closedByUs();
    this.#settled = closed;
    this.#attempt = Promise.resolve(closed);
  }

  async #serve(client: LibvirtClient): Promise<void> {
    this.#options.onUp();
    const onStop = (): void => void client.close();
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    if (this.#stop.signal.aborted) onStop();
    const reason = await client.lost;
    this.#stop.signal.removeEventListener('abort', onStop);
    this.#options.onDown(reason);
  }

  /** Never rejects: the failure is the value. */
  async #connect(): Promise<LibvirtClient | LibvirtError> {
    const deadlineMs = this.#options.connectDeadlineMs;
    try {
      return await withDeadline({ deadlineMs, signal: this.#stop.signal }, async (signal) => this.#open(signal));
    } catch (cause) {
      if (this.#stop.signal.aborted) return closedByUs(cause);
      if (cause instanceof LibvirtError && cause.code !== 'aborted') return cause;
      return new LibvirtError('connect-failed', `libvirtd could not be reached within ${deadlineMs} ms; check that it runs`, { cause });
    }
  }

  async #open(signal: AbortSignal): Promise<LibvirtClient> {
    const client = await LibvirtClient.open(await this.#options.openStream(signal), this.#options, signal);
    try {
      await this.#options.prepare(client, signal);
      return client;
    } catch (error) {
      client.abandon();
      throw error;
    }
  }
}

function closedByUs(cause?: unknown): LibvirtError {
  return new LibvirtError('connection-closed', 'this link to libvirtd was closed by us', { cause });
}
