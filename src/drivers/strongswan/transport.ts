import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { StrongswanError } from './errors.ts';

/** What a transport tells its one owner. `closed` comes exactly once and last, for a stream that was opened. */
export interface TransportListener {
  data(chunk: Uint8Array): void;
  closed(cause: Error | undefined): void;
}

/** A reliable byte stream to charon. */
export interface Transport {
  write(bytes: Uint8Array): void;
  /** Frees the stream at once; nothing more is delivered but `closed`. */
  destroy(): void;
}

/** Opens a stream; rejects with `strongswan-unreachable`, or `strongswan-aborted` when the signal fires first. */
export type OpenTransport = (listener: TransportListener, signal: AbortSignal) => Promise<Transport>;

/** charon has a backlog of three connections and refuses a fourth that it has not accepted yet; soon there is room again. */
const backlogPauseMs = 20;

/** charon's UNIX socket; the Debian package listens on /var/run/charon.vici, root only. */
export function unixSocket(path: string): OpenTransport {
  return async (listener, signal) => {
    for (;;) {
      try {
        return await connect(path, listener, signal);
      } catch (cause) {
        if (signal.aborted) throw notOpened('strongswan-aborted', path, cause);
        if (codeOf(cause) !== 'EAGAIN') throw notOpened('strongswan-unreachable', path, cause);
      }
      // Ends with the caller's deadline; an abort is seen by the next attempt.
      await sleep(backlogPauseMs, undefined, { signal }).catch(() => undefined);
    }
  };
}

/** One attempt; rejects with the socket's error or the signal's reason. */
function connect(path: string, listener: TransportListener, signal: AbortSignal): Promise<Transport> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(asError(signal.reason));
      return;
    }
    const socket = net.connect({ path });
    let opened = false;
    let failure: Error | undefined;
    const giveUp = (): void => void socket.destroy(asError(signal.reason));
    signal.addEventListener('abort', giveUp, { once: true });
    socket.on('data', (chunk) => listener.data(chunk));
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => {
      signal.removeEventListener('abort', giveUp);
      if (opened) listener.closed(failure);
      else reject(failure ?? new Error('closed before it was open'));
    });
    socket.on('connect', () => {
      signal.removeEventListener('abort', giveUp);
      opened = true;
      resolve({ write: (bytes) => void socket.write(bytes), destroy: () => void socket.destroy() });
    });
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('given up', { cause: reason });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function notOpened(code: 'strongswan-unreachable' | 'strongswan-aborted', path: string, cause: unknown): StrongswanError {
  return new StrongswanError(
    code,
    code === 'strongswan-aborted'
      ? `Connecting to charon at ${path} was given up before it answered.`
      : `charon does not answer at ${path}: check that strongSwan runs with the vici plugin and that this process may open the socket.`,
    { cause },
  );
}
