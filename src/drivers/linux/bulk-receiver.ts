import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { PlimsollError } from '#core/model/result.ts';
import type { Listening } from '#core/ports.ts';
import { bulkMsMax, drainMsMax, encodeCount, greetingMsMax } from './bulk-stream.ts';
import { decodeProbe, probeBytesMin } from './probe-packet.ts';
import { isDataPort } from './udp-socket.ts';

/** Connections that may wait to be told from the right one. */
const connectionsMax = 4;

const countEveryMs = 50;

/** Longer than any stream that a sender makes. */
const lifeMsMax = bulkMsMax + drainMsMax + greetingMsMax;

/**
 * Listens on a free port (never one of the migration's data ports) of this address and takes in one stream that has the nonce. Rejects
 * with `channel-failed` when it cannot listen, with the signal's reason when aborted.
 */
export async function receiveBulk(address: string, nonce: string, signal: AbortSignal): Promise<Listening & { readonly port: number }> {
  const connections = new Set<Socket>();
  let taken = false;
  const take = (): boolean => {
    if (taken) return false;
    taken = true;
    return true;
  };
  const server = await listenOnFreePort(address, signal, (connection) => {
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
    // A peer that goes away in the middle is the sender's finding.
    connection.on('error', () => connection.destroy());
    greet(connection, nonce, take);
  });
  const close = (): Promise<void> => {
    for (const connection of connections) connection.destroy();
    return closeServer(server);
  };
  return { port: portOf(server), close };
}

/** Waits for the greeting; hands over to `count` the one connection that has the nonce, ends any other. */
function greet(connection: Socket, nonce: string, take: () => boolean): void {
  const wantedBytes = probeBytesMin(nonce);
  const timer = setTimeout(() => connection.destroy(), greetingMsMax);
  connection.on('close', () => clearTimeout(timer));
  let head = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    if (head.length < wantedBytes) return;
    connection.off('data', onData);
    clearTimeout(timer);
    if (decodeProbe(head.subarray(0, wantedBytes), nonce) === null || !take()) connection.destroy();
    else countBytes(connection, head.length - wantedBytes);
  };
  connection.on('data', onData);
}

function countBytes(connection: Socket, startBytes: number): void {
  let bytes = startBytes;
  let toldAtMs = performance.now();
  const timer = setTimeout(() => connection.destroy(), lifeMsMax);
  connection.on('close', () => clearTimeout(timer));
  connection.write(encodeCount(0));
  connection.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (performance.now() - toldAtMs < countEveryMs) return;
    toldAtMs = performance.now();
    connection.write(encodeCount(bytes));
  });
  connection.on('end', () => connection.end(encodeCount(bytes)));
}

async function listenOnFreePort(address: string, signal: AbortSignal, onConnection: (connection: Socket) => void): Promise<Server> {
  const refused: Server[] = [];
  try {
    while (refused.length <= connectionsMax) {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, onConnection);
      server.maxConnections = connectionsMax;
      await listening(server, address, signal);
      if (!isDataPort(portOf(server))) return server;
      refused.push(server);
    }
  } finally {
    await Promise.all(refused.map(closeServer));
  }
  throw new PlimsollError('channel-failed', `No port is free on ${address} but those of migrations; widen net.ipv4.ip_local_port_range.`);
}

async function listening(server: Server, address: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  try {
    server.listen({ host: address, port: 0, ipv6Only: true });
    await once(server, 'listening', { signal });
  } catch (cause) {
    server.close();
    signal.throwIfAborted();
    const detail = cause instanceof Error ? cause.message : String(cause);
    const sentence = `A stream cannot be received on ${address}: ${detail}. Check that the address is on this host.`;
    throw new PlimsollError('channel-failed', sentence, { cause });
  }
}

function portOf(server: Server): number {
  const at = server.address();
  return typeof at === 'object' && at !== null ? at.port : 0;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // An error only says that it is closed already.
    server.close(() => resolve());
  });
}
