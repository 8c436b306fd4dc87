import { Call, type CallOptions } from './call.ts';
import { Connection, type Reply } from './connection.ts';
import { StrongswanError } from './errors.ts';
import type { Section } from './message.ts';
import { type SessionLimits, sessionLimits } from './session-limits.ts';
import { Subscriptions } from './subscriptions.ts';
import type { OpenTransport } from './transport.ts';

/** What a session tells about its connection. After `lost`, events may have been missed until the next `connected`. */
export type SessionState = { readonly kind: 'connected' } | { readonly kind: 'lost'; readonly error: StrongswanError };

export interface Subscription {
  /** Resolves when charon confirmed; rejects when it could not be asked yet, or with `strongswan-unknown-event`. */
  readonly ready: Promise<void>;
  /** Idempotent. */
  stop(): void;
}

/** The connection of the moment with what it has registered. */
interface Line {
  readonly connection: Connection;
  readonly registered: Set<string>;
}

/** Receives the records that a streamed command sends before its reply. */
interface Stream {
  readonly event: string;
  readonly record: (message: Section) => void;
}

/**
 * Calls and event subscriptions over one connection at a time, opened when needed.
 *
 *   idle --call--> opening --connected--> exchanging --reply--> next call, or idle (connection kept)
 *                     |                       |
 *                  refused               deadline, abort, garbage or cut: the connection is dropped, because a late
 *                     |                  reply could not be told from the next one; waiting calls go to a new one
 *                     +--- call rejects; with subscribers the session dials again by itself, with growing pauses
 */
export class Session {
  readonly #open: OpenTransport;
  readonly #limits: SessionLimits;
  readonly #queue: Call<Line, unknown>[] = [];
  readonly #subscriptions = new Subscriptions();
  readonly #stateListeners = new Set<(state: SessionState) => void>();
  #line: Line | undefined;
  #stream: Stream | undefined;
  #current: Call<Line, unknown> | undefined;
  #working = false;
  #closed = false;
  #redialTimer: NodeJS.Timeout | undefined;
  #redialPauseMs: number;
  #generation = 0;

  constructor(open: OpenTransport, limits: Partial<SessionLimits> = {}) {
    this.#open = open;
    this.#limits = { ...sessionLimits, ...limits };
    this.#redialPauseMs = this.#limits.redialPauseMsMin;
  }

  /** Grows with each connection made; what was loaded in an older generation may be gone. */
  get generation(): number {
    return this.#generation;
  }

  /** Runs a command. Rejects with a StrongswanError; `strongswan-command-failed` carries charon's reason. */
  call(command: string, message: Section = {}, options: CallOptions = {}): Promise<Section> {
    return this.#enqueue(command, (line) => this.#command(line, command, message), options);
  }

  /** Runs a command that streams `event` records before its reply, such as list-sas; `record` gets each as it comes. */
  async stream(
    command: string,
    event: string,
    message: Section,
    record: (message: Section) => void,
    options: CallOptions = {},
  ): Promise<Section> {
    const work = async (line: Line): Promise<Section> => {
      await this.#register(line, event);
      this.#stream = { event, record: this.#bounded(command, record) };
      try {
        return await this.#command(line, command, message);
      } finally {
        this.#stream = undefined;
      }
    };
    return this.#enqueue(command, work, options);
  }

  /**
   * Calls `listener` for each event of this name until `stop`, also after the connection was lost and made again, and
   * also when charon is not there yet. Only an event that charon does not have ends the subscription by itself.
   */
  subscribe(event: string, listener: (message: Section) => void, options: CallOptions = {}): Subscription {
    const remove = this.#subscriptions.add(event, listener);
    const stop = (): void => {
      remove();
      if (this.#subscriptions.size === 0) this.#stopRedialling();
    };
    const ready = this.#enqueue(`register ${event}`, (line) => this.#register(line, event), options);
    ready.catch((error: unknown) => {
      if (error instanceof StrongswanError && error.code === 'strongswan-unknown-event') stop();
    });
    return { ready, stop };
  }

  onState(listener: (state: SessionState) => void): () => void {
    this.#stateListeners.add(listener);
    return () => void this.#stateListeners.delete(listener);
  }

  /** Ends the connection; calls under way and waiting reject with `strongswan-closed`. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopRedialling();
    const error = closedError();
    for (const call of this.#queue.splice(0)) call.giveUp(error);
    this.#current?.giveUp(error);
    this.#line?.connection.close(error);
  }

  #enqueue<Result>(command: string, work: (line: Line) => Promise<Result>, options: CallOptions): Promise<Result> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.#queue.length >= this.#limits.waitingCallsMax) return Promise.reject(queueFull(command, this.#limits.waitingCallsMax));
    const call = new Call(command, work, options.deadlineMs ?? this.#limits.callDeadlineMs, options.signal);
    this.#queue.push(call as Call<Line, unknown>);
    void this.#work();
    return call.result;
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    for (let call = this.#queue.shift(); call !== undefined; call = this.#queue.shift()) {
      if (!call.settled) await this.#run(call);
    }
    this.#working = false;
  }

  async #run(call: Call<Line, unknown>): Promise<void> {
    this.#current = call;
    const drop = (): void => this.#line?.connection.close(call.givenUp.reason as StrongswanError);
    call.givenUp.addEventListener('abort', drop, { once: true });
    try {
      const line = this.#line ?? (await this.#dial(call.givenUp));
      call.resolve(await call.work(line));
    } catch (error) {
      call.reject(error);
      this.#redialLater();
    } finally {
      call.givenUp.removeEventListener('abort', drop);
      this.#current = undefined;
    }
  }

  /** Opens a connection and registers what subscribers wait for, so that no event is missed after `connected`. */
  async #dial(signal: AbortSignal): Promise<Line> {
    const registered = new Set<string>();
    const connection = await Connection.open(
      this.#open,
      { event: (name, message) => this.#event(name, message), closed: (error) => this.#lost(registered, error) },
      signal,
    );
    const line: Line = { connection, registered };
    this.#line = line;
    this.#generation += 1;
    for (const event of this.#subscriptions.names()) await this.#register(line, event);
    this.#redialPauseMs = this.#limits.redialPauseMsMin;
    this.#tell({ kind: 'connected' });
    return line;
  }

  #lost(registered: Set<string>, error: StrongswanError): void {
    if (this.#line?.registered !== registered) return;
    this.#line = undefined;
    // Whoever closed the session knows; its end says nothing about the daemon.
    if (this.#closed) return;
    this.#tell({ kind: 'lost', error });
    this.#redialLater();
  }

  /** Without subscribers there is nothing to miss: the next call dials. */
  #redialLater(): void {
    if (this.#closed || this.#line !== undefined || this.#redialTimer !== undefined || this.#subscriptions.size === 0) return;
    this.#redialTimer = setTimeout(() => {
      this.#redialTimer = undefined;
      if (this.#line !== undefined || this.#closed) return;
      // Its failure has been told: dialling fails into #redialLater, and whoever calls meanwhile gets the reason.
      void this.#enqueue('connect', () => Promise.resolve(), {}).catch(() => undefined);
    }, this.#redialPauseMs);
    this.#redialPauseMs = Math.min(this.#redialPauseMs * 2, this.#limits.redialPauseMsMax);
  }

  #stopRedialling(): void {
    clearTimeout(this.#redialTimer);
    this.#redialTimer = undefined;
  }

  /** An event that cannot be read ends the connection like any other garbage; another error is a listener's own fault. */
  #event(name: string, message: Section): void {
    try {
      if (this.#stream?.event === name) this.#stream.record(message);
      this.#subscriptions.deliver(name, message);
    } catch (error) {
      if (error instanceof StrongswanError) this.#line?.connection.close(error);
      else
        queueMicrotask(() => {
          throw error;
        });
    }
  }

  #bounded(command: string, record: (message: Section) => void): (message: Section) => void {
    let count = 0;
    return (message) => {
      count += 1;
      if (count <= this.#limits.streamRecordsMax) record(message);
      else this.#line?.connection.close(malformed(command, `over ${this.#limits.streamRecordsMax} records`));
    };
  }

  #tell(state: SessionState): void {
    for (const listener of this.#stateListeners) queueMicrotask(() => listener(state));
  }

  async #command(line: Line, command: string, message: Section): Promise<Section> {
    const reply = await line.connection.exchange({ type: 'command-request', name: command, message });
    if (reply.type === 'command-unknown') throw unknownCommand(command);
    if (reply.type !== 'command-response') throw this.#wrongReply(line, command, reply);
    const { success, errmsg } = reply.message;
    if (success === 'no') throw commandFailed(command, typeof errmsg === 'string' ? errmsg : undefined);
    return reply.message;
  }

  async #register(line: Line, event: string): Promise<void> {
    if (line.registered.has(event)) return;
    const reply = await line.connection.exchange({ type: 'event-register', name: event });
    if (reply.type === 'event-unknown') throw unknownEvent(event);
    if (reply.type !== 'event-confirm') throw this.#wrongReply(line, event, reply);
    line.registered.add(event);
  }

  #wrongReply(line: Line, command: string, reply: Reply): StrongswanError {
    const error = malformed(command, reply.type);
    line.connection.close(error);
    return error;
  }
}

function closedError(): StrongswanError {
  return new StrongswanError('strongswan-closed', 'The session with charon was closed by its owner: open a new one.');
}

function queueFull(command: string, waitingCallsMax: number): StrongswanError {
  return new StrongswanError(
    'strongswan-queue-full',
    `${command} was refused, because ${waitingCallsMax} calls wait for charon already: check whether the daemon hangs.`,
    { command },
  );
}

function unknownCommand(command: string): StrongswanError {
  return new StrongswanError(
    'strongswan-unknown-command',
    `charon does not know the command ${command}: check that strongSwan 5.9 or later runs with the plugin that provides it.`,
    { command },
  );
}

function unknownEvent(event: string): StrongswanError {
  return new StrongswanError(
    'strongswan-unknown-event',
    `charon does not know the event ${event}: check that strongSwan 5.9 or later runs with the plugin that provides it.`,
    { command: event },
  );
}

function commandFailed(command: string, daemonMessage: string | undefined): StrongswanError {
  return new StrongswanError(
    'strongswan-command-failed',
    `charon refused ${command}: ${daemonMessage ?? 'no reason given'}. Its log has the details.`,
    daemonMessage === undefined ? { command } : { command, daemonMessage },
  );
}

function malformed(command: string, what: string): StrongswanError {
  return new StrongswanError(
    'strongswan-malformed-reply',
    `charon answered ${command} with ${what}: check that the socket belongs to strongSwan 5.9 or later.`,
    { command },
  );
}
