/** A QMP monitor of one QEMU that may not exist yet, may be killed or stopped: asked again and again, never waited for. */
import { createConnection, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { CopyState } from './words.ts';

interface Answer {
  readonly id?: unknown;
  readonly return?: {
    readonly status?: string;
    readonly ram?: { readonly transferred?: number; readonly remaining?: number; readonly 'dirty-sync-count'?: number };
  };
  readonly event?: string;
  readonly data?: { readonly status?: string };
}

export interface MonitorEvents {
  readonly onEvent: (name: string, status: string | null) => void;
  readonly onTransfer: (sentBytes: number, remainingBytes: number, pass: number) => void;
}

export class Monitor {
  readonly #socketPath: string;
  readonly #events: MonitorEvents;
  #socket: Socket | undefined;
  /** One at a time: QEMU serves the first and lets a second wait, which on a busy machine was begun before the first was told of. */
  #isConnecting = false;
  #isReady = false;
  #isAsked = false;
  #state: CopyState = 'absent';

  constructor(socketPath: string, events: MonitorEvents) {
    this.#socketPath = socketPath;
    this.#events = events;
  }

  /** What it said since the last call, and asks it anew. */
  tick(): CopyState {
    const state = this.#socket === undefined ? 'absent' : this.#state;
    this.#state = 'silent';
    if (this.#socket === undefined && !this.#isConnecting) this.#connect();
    else if (this.#isReady && !this.#isAsked) this.#ask();
    return state;
  }

  #connect(): void {
    const socket = createConnection(this.#socketPath);
    this.#isConnecting = true;
    // Only one that listened counts as a copy: a socket file outlives the QEMU that was killed.
    socket.once('connect', () => {
      this.#isConnecting = false;
      this.#socket = socket;
      this.#state = 'silent';
      socket.write('{"execute":"qmp_capabilities","id":"hello"}\n');
    });
    // QEMU resets the connection as it ends.
    socket.on('error', () => undefined);
    socket.once('close', () => this.#forget(socket));
    const lines = createInterface({ input: socket });
    lines.on('error', () => undefined);
    lines.on('line', (line) => this.#take(line));
  }

  #forget(socket: Socket): void {
    // Also of one that never came about.
    this.#isConnecting = false;
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.#isReady = false;
    this.#isAsked = false;
    this.#state = 'absent';
  }

  #ask(): void {
    this.#isAsked = true;
    this.#socket?.write('{"execute":"query-migrate","id":"transfer"}\n{"execute":"query-status","id":"status"}\n');
  }

  #take(line: string): void {
    const answer = parse(line);
    if (answer?.event !== undefined) this.#events.onEvent(answer.event, answer.data?.status ?? null);
    else if (answer?.id === 'hello') this.#isReady = true;
    else if (answer?.id === 'transfer') this.#takeTransfer(answer);
    else if (answer?.id === 'status') {
      this.#isAsked = false;
      this.#state = answer.return?.status === 'running' ? 'running' : 'halted';
    }
  }

  #takeTransfer({ return: given }: Answer): void {
    const { transferred, remaining, 'dirty-sync-count': pass } = given?.ram ?? {};
    if (given?.status !== 'active' || transferred === undefined || remaining === undefined) return;
    this.#events.onTransfer(transferred, remaining, pass ?? 0);
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
