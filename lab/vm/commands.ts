import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { LabError } from '#lab/errors.ts';

/**
 * Runs a command in a host over the socket of lab-init's command server. Frames in both directions: a letter, the length
 * (4 bytes, big endian), the data; the letters stand in lab/native/lab-init/commands.c.
 */

export interface CommandOptions {
  readonly input?: string | Uint8Array | undefined;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CommandResult {
  /** 127: cannot be started, 128 + N: ended by signal N. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

const HEAD_BYTES = 5;
const FRAME_BYTES_MAX = 64 * 1024;
const OUTPUT_BYTES_MAX = 64 << 20;
const TIMEOUT_MS_DEFAULT = 60_000;

export function frame(letter: string, data: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(letter, 'latin1');
  head.writeUInt32BE(data.length, 1);
  return Buffer.concat([head, data]);
}

/** The whole frames of a stream, and the rest of it. */
export function takeFrames(stream: Buffer): { readonly frames: readonly { letter: string; data: Buffer }[]; readonly rest: Buffer } {
  const frames: { letter: string; data: Buffer }[] = [];
  let at = 0;
  while (stream.length - at >= HEAD_BYTES) {
    const end = at + HEAD_BYTES + stream.readUInt32BE(at + 1);
    if (stream.length < end) break;
    frames.push({ letter: stream.toString('latin1', at, at + 1), data: stream.subarray(at + HEAD_BYTES, end) });
    at = end;
  }
  return { frames, rest: stream.subarray(at) };
}

function sendRequest(socket: Socket, argv: readonly string[], input: Uint8Array): void {
  socket.write(frame('A', Buffer.from(argv.map((field) => `${field}\0`).join(''))));
  for (let at = 0; at < input.length; at += FRAME_BYTES_MAX) socket.write(frame('I', input.subarray(at, at + FRAME_BYTES_MAX)));
  socket.write(frame('E', Buffer.alloc(0)));
}

/**
 * Runs one command to its end; a non-zero exit code is a value. The command's whole process group is killed in the host
 * when this gives up.
 * @throws LabError `lab-aborted`, `lab-timeout`, or `lab-unknown-host` when the host does not answer.
 */
export async function runCommand(socketPath: string, argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { signal, timeoutMs = TIMEOUT_MS_DEFAULT } = options;
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>();
  if (signal?.aborted === true) throw new LabError('lab-aborted', `'${argv.join(' ')}' was cancelled`);
  const socket = createConnection(socketPath);
  const output: Record<string, Buffer[]> = { O: [], R: [] };
  let rest: Buffer = Buffer.alloc(0);
  let length = 0;
  socket.on('data', (chunk) => {
    const taken = takeFrames(rest.length === 0 ? chunk : Buffer.concat([rest, chunk]));
    rest = taken.rest;
    for (const { letter, data } of taken.frames) {
      if (letter === 'X') resolve({ code: data.readUInt32BE(0), stdout: join(output['O']), stderr: join(output['R']) });
      else if ((length += data.length) <= OUTPUT_BYTES_MAX) output[letter]?.push(data);
    }
  });
  const gone = (cause?: unknown): void =>
    reject(new LabError('lab-unknown-host', `no answer to '${argv.join(' ')}': the host is down, or the lab is`, cause));
  socket.on('error', gone).on('close', () => gone());
  const onAbort = (): void => reject(new LabError('lab-aborted', `'${argv.join(' ')}' was cancelled`));
  signal?.addEventListener('abort', onAbort, { once: true });
  const late = (): void => reject(new LabError('lab-timeout', `'${argv.join(' ')}' did not end within ${timeoutMs} ms`));
  const timer = setTimeout(late, timeoutMs);
  sendRequest(socket, argv, Buffer.from(options.input ?? ''));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    socket.destroy();
  }
}

const join = (parts: readonly Buffer[] | undefined): Buffer => Buffer.concat(parts ?? []);
