import type { Duplex } from 'node:stream';

import { CallGate } from './call-gate.ts';
import { withDeadline, type DeadlineOptions, type WaitEnd } from './deadline.ts';
import { LibvirtError, malformed, serverError } from './errors.ts';
import { decodeEvent, type LibvirtEvent } from './events.ts';
import { defaultKeepAlive, KeepAlive, type KeepAliveOptions } from './keep-alive.ts';
import {
  decodeMessage,
  encodeMessage,
  keepAliveProcedure,
  messageStatus,
  messageType,
  PacketSplitter,
  program,
  programVersion,
  type Message,
  type MessageHeader,
} from './message.ts';
import type { Procedure } from './procedures.ts';
import { decodeFault } from './values.ts';
import { XdrDecoder } from './xdr-decoder.ts';
import { EncodeError, XdrEncoder } from './xdr-encoder.ts';

export interface ConnectionOptions {
  /** Calls on the wire at once; libvirtd's own limit for a client is 5. */
  readonly inFlightMax?: number;
  /** Calls that may wait for their turn; more are refused with `queue-full`. */
  readonly waitingMax?: number;
  readonly keepAlive?: KeepAliveOptions;
  /** What the calls go to; the default is `program.remote`. */
  readonly program?: number;
}

/** Each call has a deadline. The daemon still works on a call that was given up. */
export type CallOptions = DeadlineOptions;

/** What this connection did not expect and set aside; grows, never resets. */
export interface ConnectionCounters {
  readonly callsSent: number;
  readonly lateReplies: number;
  readonly unknownMessages: number;
  readonly malformedEvents: number;
  readonly pingsAnswered: number;
  readonly pongsHeard: number;
}

interface PendingCall {
  readonly name: string;
  readonly succeed: (body: Uint8Array) => void;
  readonly fail: (error: LibvirtError) => void;
}

/**
 * One connection to a libvirtd over any byte stream: packets, serials, deadlines, keep-alive, events.
 *
 * A call that was given up (deadline, abort) keeps its place in flight until the daemon answers it, because the daemon counts it
 * too. When every place is held by such calls the daemon is stuck and the connection is declared lost.
 */
export class Connection {
  readonly #stream: Duplex;
  readonly #program: number;
  readonly #splitter = new PacketSplitter();
  readonly #gate: CallGate;
  readonly #inFlightMax: number;
  readonly #keepAlive: KeepAlive;
  readonly #pending = new Map<number, PendingCall>();
  /** Serials of calls that were given up and are not answered yet. */
  readonly #abandoned = new Set<number>();
  readonly #eventListeners = new Set<(event: LibvirtEvent) => void>();
  readonly #lost = Promise.withResolvers<LibvirtError>();
  #lostBy: LibvirtError | null = null;
  #serial = 0;
  #counters = { callsSent: 0, lateReplies: 0, unknownMessages: 0, malformedEvents: 0, pingsAnswered: 0, pongsHeard: 0 };

  constructor(stream: Duplex, options: ConnectionOptions = {}) {
    this.#stream = stream;
    this.#program = options.program ?? program.remote;
    this.#inFlightMax = options.inFlightMax ?? 4;
    this.#gate = new CallGate(this.#inFlightMax, options.waitingMax ?? 64);
    this.#keepAlive = new KeepAlive(
      options.keepAlive ?? defaultKeepAlive,
      () => this.#sendKeepAlive(keepAliveProcedure.ping),
      (silentMs) => this.#lose(lostError(`libvirtd has been silent for ${silentMs} ms; check that it runs and is not stuck`)),
    );
    stream.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    stream.on('error', (cause) => this.#lose(lostError('the connection to libvirtd broke; check that libvirtd runs', cause)));
    stream.on('end', () => this.#lose(lostError('libvirtd ended the connection; check that libvirtd runs')));
    stream.on('close', () => this.#lose(lostError('libvirtd closed the connection; check that libvirtd runs')));
  }

  /** Resolves, once, when the connection is gone: `connection-lost`, `connection-closed` or `malformed-message`. */
  get lost(): Promise<LibvirtError> {
    return this.#lost.promise;
  }

  get isLost(): boolean {
    return this.#lostBy !== null;
  }

  get counters(): ConnectionCounters {
    return { ...this.#counters };
  }

  /** Starts pinging; only after the daemon said that it knows the keep-alive program. */
  startKeepAlive(): void {
    if (this.#lostBy === null) this.#keepAlive.start();
  }

  onEvent(listener: (event: LibvirtEvent) => void): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  /** Runs one procedure. Rejects with `LibvirtError` only. */
  async call<Args, Result>(procedure: Procedure<Args, Result>, args: Args, options: CallOptions): Promise<Result> {
    const body = encodeArguments(procedure, args);
    try {
      return await withDeadline(options, async (signal) => {
        await this.#gate.enter(signal);
        return decodeReply(procedure, await this.#exchange(procedure, body, signal));
      });
    } catch (error) {
      throw error instanceof LibvirtError ? error : givenUp(procedure.name, options, error);
    }
  }

  /** Closes at once; calls under way reject with `connection-closed`. */
  close(): void {
    this.#lose(new LibvirtError('connection-closed', 'this connection to libvirtd was closed by us'));
  }

  async #exchange(
    procedure: { readonly number: number; readonly name: string },
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    if (this.#lostBy !== null || signal.aborted) {
      this.#gate.leave();
      throw this.#lostBy ?? signal.reason;
    }
    const serial = this.#nextSerial();
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#pending.set(serial, { name: procedure.name, succeed: resolve, fail: reject });
    const onAbort = (): void => {
      this.#pending.delete(serial);
      this.#abandoned.add(serial);
      reject(signal.reason);
      this.#checkStuck();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#send({ program: this.#program, procedure: procedure.number, type: messageType.call, serial }, body);
    this.#counters.callsSent += 1;
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #checkStuck(): void {
    if (this.#abandoned.size < this.#inFlightMax) return;
    this.#lose(lostError(`libvirtd left ${this.#inFlightMax} calls unanswered beyond their deadline; check that it is not stuck`));
  }

  #nextSerial(): number {
    do {
      this.#serial = this.#serial === 0xffff_ffff ? 1 : this.#serial + 1;
    } while (this.#pending.has(this.#serial) || this.#abandoned.has(this.#serial));
    return this.#serial;
  }

  #send(header: Pick<MessageHeader, 'program' | 'procedure' | 'type' | 'serial'>, body: Uint8Array): void {
    this.#stream.write(encodeMessage({ ...header, version: programVersion, status: messageStatus.ok }, body));
  }

  #sendKeepAlive(procedure: number): void {
    this.#send({ program: program.keepAlive, procedure, type: messageType.message, serial: 0 }, new Uint8Array());
  }

  #receive(chunk: Uint8Array): void {
    if (this.#lostBy !== null) return;
    try {
      for (const packet of this.#splitter.push(chunk)) this.#dispatch(decodeMessage(packet));
    } catch (cause) {
      // The place in the stream is lost: nothing after this point can be trusted.
      const error = malformed('message stream', cause);
      this.#lose(error instanceof LibvirtError ? error : lostError('a message from libvirtd could not be handled', cause));
    }
  }

  #dispatch(message: Message): void {
    this.#keepAlive.heard();
    const { header } = message;
    if (header.version !== programVersion) {
      this.#counters.unknownMessages += 1;
    } else if (header.program === program.keepAlive && header.type === messageType.message) {
      this.#dispatchKeepAlive(header.procedure);
    } else if (header.program === this.#program && header.type === messageType.reply) {
      this.#dispatchReply(message);
    } else if (header.program === program.remote && header.type === messageType.message) {
      this.#dispatchEvent(message);
    } else {
      this.#counters.unknownMessages += 1;
    }
  }

  #dispatchKeepAlive(procedure: number): void {
    if (procedure === keepAliveProcedure.ping) {
      this.#sendKeepAlive(keepAliveProcedure.pong);
      this.#counters.pingsAnswered += 1;
    } else if (procedure === keepAliveProcedure.pong) {
      this.#counters.pongsHeard += 1;
    } else {
      this.#counters.unknownMessages += 1;
    }
  }

  #dispatchReply({ header, body }: Message): void {
    const call = this.#pending.get(header.serial);
    if (call === undefined) {
      if (!this.#abandoned.delete(header.serial)) {
        this.#counters.unknownMessages += 1;
        return;
      }
      this.#counters.lateReplies += 1;
      this.#gate.leave();
      return;
    }
    this.#pending.delete(header.serial);
    this.#gate.leave();
    if (header.status === messageStatus.ok) call.succeed(body);
    else call.fail(decodeServerError(call.name, body));
  }

  #dispatchEvent({ header, body }: Message): void {
    let event: LibvirtEvent | null;
    try {
      event = decodeEvent(header.procedure, new XdrDecoder(body));
    } catch {
      // One event that cannot be read is a lost hint, not a reason to drop the calls under way; the counter tells.
      this.#counters.malformedEvents += 1;
      return;
    }
    if (event === null) {
      this.#counters.unknownMessages += 1;
      return;
    }
    for (const listener of this.#eventListeners) listener(event);
  }

  #lose(error: LibvirtError): void {
    if (this.#lostBy !== null) return;
    this.#lostBy = error;
    this.#keepAlive.stop();
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    this.#abandoned.clear();
    this.#gate.close(error);
    this.#stream.destroy();
    for (const call of calls) call.fail(error);
    this.#eventListeners.clear();
    this.#lost.resolve(error);
  }
}

function lostError(message: string, cause?: unknown): LibvirtError {
  return new LibvirtError('connection-lost', message, { cause });
}

function encodeArguments<Args>(procedure: Procedure<Args, unknown>, args: Args): Uint8Array {
  const encoder = new XdrEncoder();
  try {
    procedure.encode(encoder, args);
  } catch (cause) {
    if (!(cause instanceof EncodeError)) throw cause;
    throw new LibvirtError('bad-argument', `${procedure.name} cannot be sent: ${cause.message}`, { cause });
  }
  return encoder.finish();
}

function decodeReply<Result>(procedure: { readonly name: string; decode(decoder: XdrDecoder): Result }, body: Uint8Array): Result {
  const decoder = new XdrDecoder(body);
  try {
    const result = procedure.decode(decoder);
    decoder.end();
    return result;
  } catch (cause) {
    throw malformed(`reply to ${procedure.name}`, cause);
  }
}

function decodeServerError(name: string, body: Uint8Array): LibvirtError {
  try {
    return serverError(name, decodeFault(new XdrDecoder(body)));
  } catch (cause) {
    const error = malformed(`error reply to ${name}`, cause);
    return error instanceof LibvirtError
      ? error
      : new LibvirtError('malformed-message', `the error reply to ${name} could not be read`, { cause });
  }
}

/** `end` is what the signal of `withDeadline` was aborted with. */
function givenUp(name: string, options: CallOptions, end: unknown): LibvirtError {
  if (end === ('aborted' satisfies WaitEnd))
    return new LibvirtError('aborted', `the wait for ${name} was given up`, { cause: options.signal?.reason });
  if (end === ('deadline' satisfies WaitEnd)) {
    return new LibvirtError('deadline-exceeded', `libvirtd did not answer ${name} within ${options.deadlineMs} ms; check its load and log`);
  }
  return new LibvirtError('server-error', `${name} failed unexpectedly`, { cause: end });
}
