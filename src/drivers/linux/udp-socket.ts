import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { dataPorts } from '#core/channel/guard-rules.ts';
import { PlimsollError } from '#core/model/result.ts';

/**
 * A UDP socket bound to one local address; port 0 = any. Rejects with `channel-failed` when the address
 * is not on this host or the port is taken, with the signal's reason when aborted.
 */
export async function openSocket(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const family = isIPv6(address) ? 'udp6' : 'udp4';
  const socket = createSocket(family === 'udp6' ? { type: family, ipv6Only: true } : { type: family });
  try {
    socket.bind(port, address);
    await once(socket, 'listening', { signal });
  } catch (cause) {
    socket.close();
    signal.throwIfAborted();
    const detail = cause instanceof Error ? cause.message : String(cause);
    const sentence = `Probes cannot use ${address} port ${port}: ${detail}. Check that the address is on this host and the port is free.`;
    throw new PlimsollError('channel-failed', sentence, { cause });
  }
  // Errors of single datagrams come back through `send`; one that arrives late must not end the process.
  socket.on('error', () => undefined);
  return socket;
}

/** As `openSocket`, on any free port but the migration's data ports: the guard of the peer keeps those shut. */
export async function openFreeSocket(address: string, signal: AbortSignal): Promise<Socket> {
  const refused: Socket[] = [];
  try {
    // Kept open meanwhile, so that the kernel cannot offer the same port again.
    while (refused.length <= dataPorts.last - dataPorts.first) {
      const socket = await openSocket(address, 0, signal);
      if (!isDataPort(socket.address().port)) return socket;
      refused.push(socket);
    }
  } finally {
    await Promise.all(refused.map(closeSocket));
  }
  throw new PlimsollError('channel-failed', `No port is free on ${address} but those of migrations; widen net.ipv4.ip_local_port_range.`);
}

export function isDataPort(port: number): boolean {
  return port >= dataPorts.first && port <= dataPorts.last;
}

/** False when the local network stack refused it (no route, dropped by the guard, too large). */
export function sendDatagram(socket: Socket, packet: Buffer, to: { readonly address: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    socket.send(packet, to.port, to.address, (error) => resolve(error === null));
  });
}

export function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.close(() => resolve());
  });
}
