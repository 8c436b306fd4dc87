import { connect, type Socket } from 'node:net';
import { PlimsollError } from '#core/model/result.ts';
import { bulkMsMax, CountReader, drainMsMax, encodeGreeting, greetingMsMax } from './bulk-stream.ts';
import { pause } from './pause.ts';

interface Stream {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly nonce: string;
  readonly durationMs: number;
}

/** What the receiver has said so far. */
interface Heard {
  bytes: number;
  /** Resolves at the first count, with the connection's end as false. */
  readonly accepted: Promise<boolean>;
  /** Resolves when the receiver has said its last count and ended. */
  readonly finished: Promise<boolean>;
}

const chunk = Buffer.alloc(256 * 1024);

/**
 * Sends for `durationMs` (1 to 60,000, else RangeError). `durationMs` of the result is the time in which the receiver got `bytes`: up to
 * two seconds longer, for what was in the buffers. A path that swallows the packets is no error: it shows as few bytes. Rejects with
 * `channel-failed` when the peer cannot be reached, does not accept the nonce or ends in the middle; with the signal's reason when aborted.
 */
export async function sendBulk(stream: Stream, signal: AbortSignal): Promise<{ readonly bytes: number; readonly durationMs: number }> {
  if (!Number.isInteger(stream.durationMs) || stream.durationMs < 1 || stream.durationMs > bulkMsMax) {
    throw new RangeError(`a stream lasts 1 to ${bulkMsMax} ms, not ${stream.durationMs}`);
  }
  signal.throwIfAborted();
  const socket = connect({ host: stream.to, port: stream.port, localAddress: stream.from, noDelay: true });
  socket.on('error', () => undefined);
  const done = new AbortController();
  const until = AbortSignal.any([signal, done.signal]);
  try {
    const heard = listenTo(socket);
    socket.write(encodeGreeting(stream.nonce));
    const silent = pause(greetingMsMax, until).then(() => false);
    if (!(await Promise.race([heard.accepted, silent]))) throw failed(stream, signal, 'did not accept it');
    const startMs = performance.now();
    await fill(socket, stream.durationMs, signal);
    socket.end();
    const late = pause(drainMsMax, until).then(() => null);
    if ((await Promise.race([heard.finished, late])) === false) throw failed(stream, signal, 'ended it in the middle');
    signal.throwIfAborted();
    return { bytes: heard.bytes, durationMs: Math.max(1, performance.now() - startMs) };
  } finally {
    done.abort();
    socket.destroy();
  }
}

function listenTo(socket: Socket): Heard {
  const counts = new CountReader();
  const accepted = Promise.withResolvers<boolean>();
  const finished = Promise.withResolvers<boolean>();
  const heard = { bytes: 0, accepted: accepted.promise, finished: finished.promise };
  socket.on('data', (data: Buffer) => {
    const count = counts.read(data);
    if (count === null) return;
    heard.bytes = count;
    accepted.resolve(true);
  });
  socket.on('end', () => finished.resolve(socket.writableEnded));
  socket.on('close', () => {
    accepted.resolve(false);
    finished.resolve(false);
  });
  return heard;
}

/** Keeps the connection full until the time is up; ends early when the connection or the caller does. */
async function fill(socket: Socket, durationMs: number, signal: AbortSignal): Promise<void> {
  const stop = AbortSignal.any([signal, AbortSignal.timeout(durationMs)]);
  while (!stop.aborted && !socket.destroyed) {
    if (!socket.write(chunk)) await drained(socket, stop);
  }
}

/** Also when the connection is gone, which never drains, or the time is up. */
function drained(socket: Socket, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      socket.off('drain', end).off('close', end);
      stop.removeEventListener('abort', end);
      resolve();
    };
    socket.on('drain', end).on('close', end);
    stop.addEventListener('abort', end, { once: true });
    if (stop.aborted) end();
  });
}

function failed(stream: Stream, signal: AbortSignal, what: string): Error {
  if (signal.aborted) return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
  const sentence = `${stream.to} port ${stream.port} ${what}; check that the peer listens and that the channel is up.`;
  return new PlimsollError('channel-failed', sentence);
}
