import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { connect, createServer, isIPv6, type Server, type Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';

import { PlimsollError } from '#core/model/result.ts';
import type { ImageDigest } from '#core/transports.ts';

export type { ImageDigest } from '#core/transports.ts';

/**
 * One sealed image over one TCP connection: 32 bytes of a token that the receiver made and the sender was told elsewhere, then
 * the image until the connection ends. The token only keeps strangers from using up the receiver; the image protects itself.
 */
export interface Receiving {
  readonly port: number;
  /** Hex. */
  readonly token: string;
  /** Settles when the sender has ended; rejects with `channel-failed`. */
  readonly done: Promise<ImageDigest>;
  close(): void;
}

export interface ReceiveOptions {
  readonly address: string;
  readonly port: number;
  readonly bytesMax: number;
  /** The sender comes within this time: it first has to save the VM. */
  readonly arrivalMsMax: number;
  /** The longest silence of a sender. */
  readonly silenceMsMax: number;
}

const tokenBytes = 32;
const connectionsMax = 4;
/** Who connects and does not show the token within this time is no sender. */
const tokenMsMax = 5_000;

/** Waits for one sender and hands the sealed bytes to `sink`, which is ended with them. */
export async function receiveImage(options: ReceiveOptions, sink: Writable): Promise<Receiving> {
  const token = randomBytes(tokenBytes);
  const { promise: done, resolve, reject } = Promise.withResolvers<ImageDigest>();
  const server = createServer();
  const strangers = new Set<Socket>();
  let taken = false;
  // What it says is heard by whoever writes to it.
  sink.on('error', () => undefined);
  const fail = (why: string): void => reject(new PlimsollError('channel-failed', `the sealed image did not arrive: ${why}`));
  const lonely = setTimeout(() => fail(`no sender within ${options.arrivalMsMax} ms`), options.arrivalMsMax);
  server.maxConnections = connectionsMax;
  server.on('connection', (socket) => {
    strangers.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => strangers.delete(socket));
    socket.setTimeout(Math.min(tokenMsMax, options.silenceMsMax), () => socket.destroy());
    void hasToken(socket, token).then((isSender) => {
      if (!isSender || taken) return void socket.destroy();
      taken = true;
      socket.setTimeout(options.silenceMsMax);
      clearTimeout(lonely);
      return void drain(socket, sink, options.bytesMax).then(resolve, (error: unknown) => fail(String(error)));
    });
  });
  await listen(server, options);
  const address = server.address();
  // Nobody need be waiting when it fails.
  done.catch(() => undefined);
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    token: token.toString('hex'),
    done,
    close: () => {
      clearTimeout(lonely);
      fail('the receiver was closed');
      server.close();
      for (const socket of strangers) socket.destroy();
    },
  };
}

/** Sends everything that `source` gives; resolves when the receiver has taken the last byte. */
export async function sendImage(
  options: { readonly address: string; readonly port: number; readonly token: string; readonly silenceMsMax: number },
  source: Readable,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<ImageDigest> {
  const { address: host, port, silenceMsMax } = options;
  const socket = connect({ host, port });
  const hash = createHash('sha256');
  let bytes = 0;
  let trouble: Error | null = null;
  const end = (error: Error): void => {
    trouble ??= error;
    socket.destroy();
    source.destroy();
  };
  const onAbort = (): void => end(new Error('given up'));
  socket.on('error', end);
  socket.setTimeout(silenceMsMax, () => end(new Error(`no progress within ${silenceMsMax} ms`)));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await written(socket, Buffer.from(options.token, 'hex'));
    for await (const chunk of source) {
      if (!(chunk instanceof Uint8Array)) throw new TypeError('a sealed image is bytes');
      hash.update(chunk);
      bytes += chunk.length;
      await written(socket, chunk);
      onBytes(bytes);
    }
    await closed(socket);
    if (trouble !== null) throw trouble;
    return { sha256: hash.digest('hex'), bytes };
  } catch (error) {
    if (signal.aborted) throw new PlimsollError('aborted', 'sending the sealed image was given up', { cause: signal.reason });
    const why = trouble ?? error;
    throw new PlimsollError('channel-failed', `the sealed image could not be sent: ${why instanceof Error ? why.message : String(why)}`, {
      cause: error,
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket.destroy();
  }
}

async function listen(server: Server, { address, port }: ReceiveOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once('error', (cause) => {
    const where = `${isIPv6(address) ? `[${address}]` : address}:${port}`;
    reject(new PlimsollError('channel-failed', `cannot listen at ${where} for a sealed image: ${cause.message}`, { cause }));
  });
  server.listen({ host: address, port }, () => resolve(undefined));
  await promise;
}

/** Reads exactly the token's bytes; what follows stays in the socket. */
async function hasToken(socket: Socket, token: Buffer): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const look = (): void => {
    const bytes: unknown = socket.read(tokenBytes);
    if (!Buffer.isBuffer(bytes)) return;
    socket.off('readable', look);
    resolve(bytes.length === tokenBytes && timingSafeEqual(bytes, token));
  };
  socket.on('readable', look);
  socket.once('close', () => resolve(false));
  return promise;
}

async function drain(socket: Socket, sink: Writable, bytesMax: number): Promise<ImageDigest> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of socket) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('a socket gives bytes');
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Error(`it is larger than ${bytesMax} bytes`);
    hash.update(chunk);
    await written(sink, chunk);
  }
  await finished(sink);
  return { sha256: hash.digest('hex'), bytes };
}

/** Resolves when everything that was written has arrived. */
async function finished(sink: Writable): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  sink.once('error', reject);
  sink.end(() => resolve(undefined));
  await promise;
}

/** Resolves when the stream has taken the chunk; rejects when it is gone. */
async function written(stream: Writable, chunk: Uint8Array): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  stream.write(chunk, (error) => (error === null || error === undefined ? resolve(undefined) : reject(error)));
  await promise;
}

/** Ends our half; resolves when the receiver has ended its own, which it does after it has read everything. */
async function closed(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  socket.once('close', () => resolve(undefined));
  socket.resume();
  socket.end();
  await promise;
}
