/** Counts the datagrams that reach ADDRESS PORT, and those of them that are not as they were sent; prints both after each one. */
import { createSocket } from 'node:dgram';
import { original } from './datagram.ts';

const [address = '', port = ''] = process.argv.slice(2);
let received = 0;
let changed = 0;
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
socket.on('message', (datagram) => {
  received += 1;
  if (!datagram.equals(original(datagram))) changed += 1;
  process.stdout.write(`${JSON.stringify({ received, changed })}\n`);
});
socket.bind(Number(port), address, () => process.stdout.write('listening\n'));
