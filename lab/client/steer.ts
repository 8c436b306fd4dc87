import { createSocket } from 'node:dgram';
import { CONTROL_PORT } from './protocol.ts';
import type { Steering } from './protocol.ts';

const TRY_MS = 250;
const TRIES_MAX = 40;

/** Sends the order until the guest confirms it: UDP may lose either, and repeating it changes nothing. */
export async function steer(address: string, wanted: Partial<Steering>, id: string): Promise<Steering> {
  const keys = { cpu: wanted.cpuPercent, dirty: wanted.dirtyMbPerSecond, disk: wanted.diskWritesPerSecond };
  const pairs = Object.entries(keys).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${Math.round(value)}`]));
  const order = ['steer', id, ...pairs].join(' ');
  const { promise, resolve, reject } = Promise.withResolvers<Steering>();
  const socket = createSocket('udp4');
  let tries = 0;
  const send = (): void => {
    if (tries++ < TRIES_MAX) socket.send(order, CONTROL_PORT, address);
    else reject(new Error(`guest at ${address} confirmed no order within ${(TRY_MS * TRIES_MAX) / 1000} s`));
  };
  const timer = setInterval(send, TRY_MS);
  socket.on('error', () => undefined); // unreachable for a moment; the next try may pass
  socket.on('message', (bytes) => {
    const match = /^steered (\S+) cpu=(\d+) dirty=(\d+) disk=(\d+)$/.exec(bytes.toString('latin1'));
    if (match?.[1] !== id) return;
    resolve({ cpuPercent: Number(match[2]), dirtyMbPerSecond: Number(match[3]), diskWritesPerSecond: Number(match[4]) });
  });
  send();
  try {
    return await promise;
  } finally {
    clearInterval(timer);
    socket.close();
  }
}
