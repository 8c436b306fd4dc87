import { DecodeError, EncodeError, StrongswanError } from './errors.ts';

/** Limits of one call. Both cover the wait in the queue too. */
export interface CallOptions {
  /** Default: the session's `callDeadlineMs`. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * One queued piece of work: settles exactly once, by its own result, its deadline, its signal or the session's end,
 * whichever comes first.
 */
export class Call<Work, Result> {
  readonly command: string;
  readonly work: (work: Work) => Promise<Result>;
  readonly result: Promise<Result>;
  readonly #settle: PromiseWithResolvers<Result> = Promise.withResolvers();
  readonly #given: AbortController = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #unlisten: () => void;
  #settled = false;

  constructor(command: string, work: (work: Work) => Promise<Result>, deadlineMs: number, signal: AbortSignal | undefined) {
    this.command = command;
    this.work = work;
    this.result = this.#settle.promise;
    this.#timer = setTimeout(() => this.giveUp(timedOut(command, deadlineMs)), deadlineMs);
    const onAbort = (): void => this.giveUp(aborted(command, signal?.reason));
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#unlisten = () => signal?.removeEventListener('abort', onAbort);
    if (signal?.aborted === true) onAbort();
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** Fires when nobody waits for this call any more: the reply's place on the wire has to be given up too. */
  get givenUp(): AbortSignal {
    return this.#given.signal;
  }

  resolve(value: Result): void {
    if (this.#finish()) this.#settle.resolve(value);
  }

  reject(error: unknown): void {
    if (this.#finish()) this.#settle.reject(asStrongswanError(this.command, error));
  }

  giveUp(error: StrongswanError): void {
    this.reject(error);
    this.#given.abort(error);
  }

  #finish(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#unlisten();
    return true;
  }
}

function timedOut(command: string, deadlineMs: number): StrongswanError {
  return new StrongswanError(
    'strongswan-timed-out',
    `charon did not answer ${command} within ${deadlineMs} ms: check its load and that it runs with at least 16 threads.`,
    { command },
  );
}

function aborted(command: string, cause: unknown): StrongswanError {
  return new StrongswanError('strongswan-aborted', `Waiting for charon's answer to ${command} was given up.`, { command, cause });
}

function asStrongswanError(command: string, error: unknown): unknown {
  if (error instanceof EncodeError) {
    return new StrongswanError('strongswan-invalid-request', `${command} was not sent, because it ${error.message}.`, {
      command,
      cause: error,
    });
  }
  if (error instanceof DecodeError) {
    return new StrongswanError('strongswan-malformed-reply', `charon's answer to ${command} is ${error.message}.`, {
      command,
      cause: error,
    });
  }
  return error;
}
