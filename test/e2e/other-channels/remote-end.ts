import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { PlimsollError, type RefusalCode } from '#core/model/result.ts';
import type { ImageDigest } from '#drivers/transports/image-line.ts';
import type { ImageDestination, ImageOffer, ImageSource, RestoreVerdict } from '#drivers/transports/sealed-image.ts';
import type { TransportOutcome, TransportRequest } from '#drivers/transports/transport.ts';
import { type LabHost, waitFor } from '#lab/api.ts';

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly code: RefusalCode; readonly message: string };
}

/** The test's line to `host-end.ts` in a host of the lab. */
export class RemoteEnd {
  readonly #host: LabHost;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 1;

  private constructor(host: LabHost, child: ChildProcess) {
    this.#host = host;
    this.#child = child;
    if (child.stdout === null) throw new Error('no pipe');
    // How the other side ended is told by its end.
    child.stdin?.on('error', () => undefined);
    createInterface({ input: child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    child.on('exit', () => {
      for (const [id, settle] of this.#waiting) settle({ id, error: { code: 'link-lost', message: 'the end of this host is gone' } });
      this.#waiting.clear();
    });
  }

  static async start(host: LabHost): Promise<RemoteEnd> {
    const program = fileURLToPath(new URL('host-end.ts', import.meta.url));
    const [file = '', ...args] = await host.machine.execArgv([process.execPath, program, host.underlay]);
    return new RemoteEnd(host, spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: process.env['PATH'] } }));
  }

  /** As the death of an agent. */
  async kill(): Promise<void> {
    const pid = await this.call('pid', [], AbortSignal.timeout(10_000));
    await this.#host.exec(['kill', '-9', String(pid)]);
    await waitFor(() => this.#isGone(), { what: `the death of the end on ${this.#host.name}`, timeoutMs: 10_000 });
  }

  async stop(): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      if (this.#isGone()) resolve();
      else this.#child.once('exit', () => resolve());
    });
    this.#child.stdin?.end();
    await gone;
  }

  async call(method: string, args: readonly unknown[], signal: AbortSignal): Promise<unknown> {
    const id = this.#next;
    this.#next += 1;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, resolve);
    if (this.#isGone()) throw new PlimsollError('link-lost', 'no end on this host');
    this.#write({ id, method, args });
    const onAbort = (): void => this.#write({ id, abort: true });
    signal.addEventListener('abort', onAbort, { once: true });
    const answer = await promise.finally(() => signal.removeEventListener('abort', onAbort));
    if (answer.error !== undefined) throw new PlimsollError(answer.error.code, answer.error.message);
    return answer.value;
  }

  async migrate(kind: string, request: TransportRequest, signal: AbortSignal): Promise<TransportOutcome> {
    return (await this.call('migrate', [kind, request], signal)) as TransportOutcome;
  }

  get source(): ImageSource {
    return {
      save: async (vmId, _onProgress, signal) => void (await this.call('source.save', [vmId], signal)),
      send: async (vmId, offer, _onBytes, signal) => (await this.call('source.send', [vmId, offer], signal)) as ImageDigest,
      giveAway: async (vmId, signal) => void (await this.call('source.giveAway', [vmId], signal)),
      takeBack: async (vmId, signal) => void (await this.call('source.takeBack', [vmId], signal)),
      forget: async (vmId, signal) => void (await this.call('source.forget', [vmId], signal)),
    };
  }

  get destination(): ImageDestination {
    return {
      offer: async (vmId, signal) => (await this.call('destination.offer', [vmId], signal)) as ImageOffer,
      open: async (vmId, sent, signal) => void (await this.call('destination.open', [vmId, sent], signal)),
      restore: async (vmId, signal) => (await this.call('destination.restore', [vmId], signal)) as RestoreVerdict,
      discard: async (vmId, signal) => void (await this.call('destination.discard', [vmId], signal)),
    };
  }

  #isGone(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  #write(order: object): void {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
  }
}
