/**
 * A process of its own inside a host's network; each line on its standard input is one order, answered by a line:
 *   probes FROM TO COUNT    packets from and to the ports that every channel carries
 *   raw TO PORT HEX         one datagram of any content
 */
import { type Socket, createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import { createInterface } from 'node:readline';
import { probePorts } from '#core/ports.ts';

const socketFor = (address: string): Socket => createSocket({ type: isIP(address) === 6 ? 'udp6' : 'udp4' });

// A host that drops what it cannot protect says so with an error: for a test that is an answer, not a failure.
const sendOne = (socket: Socket, payload: Uint8Array, port: number, to: string): Promise<void> =>
  new Promise((resolve) => {
    socket.send(payload, port, to, () => resolve());
  });

async function probes(from: string, to: string, count: number): Promise<void> {
  const socket = socketFor(from);
  await new Promise<void>((resolve) => void socket.bind(probePorts.sender, from, resolve));
  for (let left = count; left > 0; left -= 1) await sendOne(socket, Buffer.from('probe!'), probePorts.protected, to);
  await new Promise<void>((resolve) => void socket.close(resolve));
}

async function raw(to: string, port: number, hex: string): Promise<void> {
  const socket = socketFor(to);
  await sendOne(socket, Buffer.from(hex, 'hex'), port, to);
  socket.close();
}

for await (const line of createInterface({ input: process.stdin })) {
  const [order, one = '', two = '', three = ''] = line.split(' ');
  if (order === 'probes') await probes(one, two, Number(three));
  else await raw(one, Number(two), three);
  process.stdout.write('done\n');
}
