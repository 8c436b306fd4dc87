import net from 'node:net';
import { StrongswanError } from './errors.ts';

/** What a transport tells its one owner. `closed` comes exactly once and last. */
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

/** charon's UNIX socket; the Debian package listens on /var/run/charon.vici, root only. */
export function unixSocket(path: string): OpenTransport {
  return (listener, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(notOpened('strongswan-aborted', path, signal.reason));
        return;
      }
      const socket = net.connect({ path });
      let failure: Error | undefined;
      const giveUp = (): void => {
        socket.destroy();
        reject(notOpened('strongswan-aborted', path, signal.reason));
      };
      signal.addEventListener('abort', giveUp, { once: true });
      socket.on('data', (chunk) => listener.data(chunk));
      socket.on('error', (error) => {
        failure = error;
      });
      socket.on('close', () => {
        signal.removeEventListener('abort', giveUp);
        reject(notOpened('strongswan-unreachable', path, failure));
        listener.closed(failure);
      });
      socket.on('connect', () => {
        signal.removeEventListener('abort', giveUp);
        resolve({ write: (bytes) => void socket.write(bytes), destroy: () => void socket.destroy() });
      });
    });
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
