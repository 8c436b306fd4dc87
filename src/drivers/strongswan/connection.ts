import { DecodeError, StrongswanError } from './errors.ts';
import { FrameReader, encodeFrame } from './framing.ts';
import type { Section } from './message.ts';
import { type Packet, decodePacket, encodePacket } from './packet.ts';
import type { OpenTransport, Transport } from './transport.ts';

/** What charon may answer to one request. */
export type Reply = Extract<Packet, { type: 'command-response' | 'command-unknown' | 'event-confirm' | 'event-unknown' }>;
export type Request = Extract<Packet, { type: 'command-request' | 'event-register' | 'event-unregister' }>;

export interface ConnectionListener {
  event(name: string, message: Section): void;
  /** Once, when the connection ends for whatever reason. */
  closed(error: StrongswanError): void;
}

/**
 * One connection to charon. VICI replies carry no number and "only one command can be active at a time on a single
 * connection", so exactly one request is under way: whoever stops waiting for its reply has to close the connection.
 */
export class Connection {
  readonly #listener: ConnectionListener;
  readonly #frames = new FrameReader();
  #transport: Transport | undefined;
  #waiting: PromiseWithResolvers<Reply> | undefined;
  #ended: StrongswanError | undefined;

  private constructor(listener: ConnectionListener) {
    this.#listener = listener;
  }

  /** Rejects with `strongswan-unreachable` or `strongswan-aborted`. */
  static async open(open: OpenTransport, listener: ConnectionListener, signal: AbortSignal): Promise<Connection> {
    const connection = new Connection(listener);
    connection.#transport = await open(
      {
        data: (chunk) => connection.#receive(chunk),
        closed: (cause) => connection.close(lost(cause)),
      },
      signal,
    );
    if (connection.#ended !== undefined) throw connection.#ended;
    return connection;
  }

  /** Sends a request and waits for its reply; rejects with the error that ends the connection. */
  exchange(request: Request): Promise<Reply> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#waiting !== undefined) throw new Error('a VICI connection carries one request at a time');
    const frame = encodeFrame(encodePacket(request));
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#transport?.write(frame);
    return promise;
  }

  /** Ends the connection; a request under way is rejected with this error. Idempotent. */
  close(error: StrongswanError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#transport?.destroy();
    this.#waiting?.reject(error);
    this.#waiting = undefined;
    this.#listener.closed(error);
  }

  #receive(chunk: Uint8Array): void {
    try {
      for (const frame of this.#frames.push(chunk)) {
        if (this.#ended !== undefined) return;
        this.#packet(decodePacket(frame));
      }
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause;
      this.close(malformed(cause.code, cause));
    }
  }

  #packet(packet: Packet): void {
    switch (packet.type) {
      case 'event':
        this.#listener.event(packet.name, packet.message);
        return;
      case 'command-response':
      case 'command-unknown':
      case 'event-confirm':
      case 'event-unknown':
        this.#reply(packet);
        return;
      case 'command-request':
      case 'event-register':
      case 'event-unregister':
        this.close(malformed(`a ${packet.type} from the server`));
    }
  }

  #reply(reply: Reply): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.close(malformed(`a ${reply.type} that nobody asked for`));
    else waiting.resolve(reply);
  }
}

function lost(cause: Error | undefined): StrongswanError {
  return new StrongswanError(
    'strongswan-connection-lost',
    'charon closed the VICI connection: check whether the daemon was stopped or crashed; the driver connects again by itself.',
    { cause },
  );
}

function malformed(what: string, cause?: DecodeError): StrongswanError {
  return new StrongswanError(
    'strongswan-malformed-reply',
    `charon sent something that is not VICI (${what}): check that the socket belongs to strongSwan 5.9 or later.`,
    { cause },
  );
}
