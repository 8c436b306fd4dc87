import { WebSocket, type RawData } from 'ws';
import { PlimsollError } from '#core/model/result.ts';
import type { Line } from '#core/ports.ts';
import type { LineLimits } from './limits.ts';

/** Private range of RFC 6455 section 7.4.2: the reason text says what happened. */
const closeCode = 4000;
const invalidPayloadCode = 1007;
/** RFC 6455 section 5.5: a control frame carries 125 bytes, 2 of them the code. */
const reasonBytesMax = 123;

const reasonOfCode = new Map([
  [1001, 'server-closed'],
  [1006, 'link-lost'],
  [1007, 'message-invalid'],
  [1009, 'message-too-large'],
]);

const reasonOfError = new Map([
  ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'message-too-large'],
  ['WS_ERR_INVALID_UTF8', 'message-invalid'],
]);

/** The connection below the WebSocket. */
export interface Transport {
  readonly bytesRead: number;
}

/**
 * One open WebSocket as a Line. Reading starts with the first message listener, so nothing that arrives early is
 * lost; `send` after the end does nothing, because `onClose` has already said that the line is gone.
 */
export class WsLine implements Line {
  readonly #socket: WebSocket;
  readonly #limits: LineLimits;
  readonly #transport: Transport;
  readonly #expiresAtMs: number;
  readonly #heartbeat: NodeJS.Timeout;
  readonly #ended: Promise<void>;
  #messageListeners: readonly ((message: unknown) => void)[] = [];
  #closeListeners: readonly ((reason: string) => void)[] = [];
  #closedFor: string | null = null;
  #heardAtMs = performance.now();
  #bytesRead = 0;

  /** `socket` was opened in this very tick; `expiresAtMs` is when the peer's certificate ends, which the line does not outlive. */
  constructor(socket: WebSocket, transport: Transport, limits: LineLimits, expiresAtMs: number) {
    this.#socket = socket;
    this.#transport = transport;
    this.#limits = limits;
    this.#expiresAtMs = expiresAtMs;
    this.#ended = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('error', (error) => this.#finish(reasonOfError.get(errorCode(error)) ?? 'link-lost'));
    socket.on('close', (code, reason) => this.#finish(reason.toString('utf8') || (reasonOfCode.get(code) ?? `closed-${code}`)));
    this.#heartbeat = setInterval(() => this.#beat(), limits.pingIntervalMs);
    socket.pause();
  }

  /** Resolves when the connection below is gone. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Throws `message-invalid` for what is no JSON value or too large; that line stays open. */
  send(message: unknown): void {
    if (this.#closedFor !== null) return;
    const text: string | undefined = JSON.stringify(message);
    if (text === undefined) throw new PlimsollError('message-invalid', 'Only JSON values can be sent over a line.');
    const sizeBytes = Buffer.byteLength(text);
    if (sizeBytes > this.#limits.messageBytesMax) {
      throw new PlimsollError(
        'message-invalid',
        `A message of ${sizeBytes} bytes is over the line's limit of ${this.#limits.messageBytesMax}; send it in parts.`,
      );
    }
    if (this.#socket.bufferedAmount + sizeBytes > this.#limits.bufferedBytesMax) {
      this.close('backpressure');
      return;
    }
    this.#socket.send(text);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#messageListeners = [...this.#messageListeners, listener];
    this.#socket.resume();
  }

  onClose(listener: (reason: string) => void): void {
    const reason = this.#closedFor;
    if (reason === null) this.#closeListeners = [...this.#closeListeners, listener];
    else queueMicrotask(() => listener(reason));
  }

  close(reason: string): void {
    this.#close(closeCode, reason);
  }

  #close(code: number, reason: string): void {
    if (this.#closedFor !== null) return;
    // Paused, the peer's part of the closing handshake would never be read.
    this.#socket.resume();
    this.#socket.close(code, reason.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, reasonBytesMax));
    this.#finish(reason);
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#closedFor !== null) return;
    const parsed = isBinary ? null : parseJson(data);
    if (parsed === null) {
      this.#close(invalidPayloadCode, 'message-invalid');
      return;
    }
    for (const listener of this.#messageListeners) listener(parsed.value);
  }

  #beat(): void {
    // Any byte is a sign of life: a large message on a slow link delays the pongs behind it.
    if (this.#transport.bytesRead !== this.#bytesRead) {
      this.#bytesRead = this.#transport.bytesRead;
      this.#heardAtMs = performance.now();
    }
    if (Date.now() >= this.#expiresAtMs) {
      this.close('certificate-expired');
    } else if (performance.now() - this.#heardAtMs > this.#limits.deadPeerMs) {
      this.#finish('dead-peer');
      this.#socket.terminate();
    } else if (this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.ping();
    }
  }

  #finish(reason: string): void {
    if (this.#closedFor !== null) return;
    this.#closedFor = reason;
    clearInterval(this.#heartbeat);
    const listeners = this.#closeListeners;
    if (this.#socket.readyState !== WebSocket.CLOSED) {
      const cut = setTimeout(() => this.#socket.terminate(), this.#limits.closeMsMax);
      this.#socket.once('close', () => clearTimeout(cut));
    }
    this.#messageListeners = [];
    this.#closeListeners = [];
    for (const listener of listeners) listener(reason);
  }
}

function parseJson(data: RawData): { readonly value: unknown } | null {
  // With ws's default binary type a text message is always one Buffer.
  if (!Buffer.isBuffer(data)) return null;
  try {
    return { value: JSON.parse(data.toString('utf8')) as unknown };
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function errorCode(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
