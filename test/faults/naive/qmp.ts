/** A driver's connection to one QEMU: commands with a deadline, and what QEMU tells unasked. */
import { createConnection, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const answerMsMax = 5_000;

/** Such as STOP, RESUME, or MIGRATION with its status. */
export interface QmpEvent {
  readonly name: string;
  readonly status: string | null;
}

/** What the drivers use of it. */
export interface Qmp {
  /** The answer's `return`. @throws when QEMU refuses, does not answer in time, or has ended. */
  execute(command: string, given?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** The same, out of band: also while QEMU's main loop is stuck. Few commands can do that. */
  executeOutOfBand(command: string, given?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Called in the moment of an event, in the order in which listeners came; returns what ends that. */
  listen(listener: (event: QmpEvent) => void): () => void;
  /** Resolves when QEMU has closed the connection: it has ended. */
  readonly closed: Promise<void>;
}

interface Answer {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly desc?: string };
  readonly event?: string;
  readonly data?: { readonly status?: string };
}

type Reply = (answer: Answer) => void;

export class QmpConnection implements Qmp {
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #replies = new Map<number, Reply>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  #isClosed = false;
  #lastId = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    // QEMU resets the connection as it ends.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#isClosed = true;
      for (const reply of this.#replies.values()) reply({ error: { desc: 'QEMU has ended' } });
      resolve();
    });
    const lines = createInterface({ input: socket });
    lines.on('error', () => undefined);
    lines.on('line', (line) => this.#take(line));
  }

  /** @throws when nobody listens there. */
  static async open(socketPath: string): Promise<QmpConnection> {
    const socket = createConnection(socketPath);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once('connect', resolve);
    socket.once('error', reject);
    await promise;
    const connection = new QmpConnection(socket);
    await connection.execute('qmp_capabilities', { enable: ['oob'] });
    return connection;
  }

  execute(command: string, given: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.#ask(command, { execute: command, arguments: given });
  }

  executeOutOfBand(command: string, given: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.#ask(command, { 'exec-oob': command, arguments: given });
  }

  listen(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #ask(command: string, request: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#isClosed) throw new Error(`${command}: QEMU has ended`);
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const timer = setTimeout(() => resolve({ error: { desc: `no answer within ${answerMsMax} ms` } }), answerMsMax);
    this.#replies.set(id, resolve);
    this.#socket.write(`${JSON.stringify({ ...request, id })}\n`);
    const answer = await promise;
    clearTimeout(timer);
    this.#replies.delete(id);
    if (answer.error !== undefined) throw new Error(`${command}: ${answer.error.desc ?? 'refused'}`);
    return answer.return;
  }

  #take(line: string): void {
    const answer = parse(line);
    if (answer?.event !== undefined) {
      for (const listener of this.#listeners) listener({ name: answer.event, status: answer.data?.status ?? null });
    } else if (answer?.id !== undefined) {
      this.#replies.get(answer.id)?.(answer);
    }
  }
}

function parse(line: string): Answer | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined; // cut off by QEMU's end
  }
}
