/** Accepts connections on ADDRESS PORT and ends them. */
import { createServer } from 'node:net';

const [address = '', port = ''] = process.argv.slice(2);
const server = createServer((socket) => socket.end());
server.listen(Number(port), address, () => process.stdout.write('listening\n'));
