/** Sends COUNT datagrams from FROM to TO PORT, one a millisecond, and ends. */
import { createSocket } from 'node:dgram';
import { setTimeout as pause } from 'node:timers/promises';
import { datagram } from './datagram.ts';

const [from = '', to = '', port = '', count = ''] = process.argv.slice(2);
const socket = createSocket(from.includes(':') ? 'udp6' : 'udp4');
await new Promise<void>((resolve) => {
  socket.bind(0, from, resolve);
});
for (let sequence = 0; sequence < Number(count); sequence += 1) {
  await new Promise<void>((resolve, reject) => {
    socket.send(datagram(sequence), Number(port), to, (error) => (error === null ? resolve() : reject(error)));
  });
  // The rate of the attack's own traffic, not a wait for anything.
  await pause(1);
}
socket.close();
