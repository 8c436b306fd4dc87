import { createSocket } from 'node:dgram';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { Collector } from './collector.ts';
import { Probe } from './probe.ts';
import { COLLECTOR_PORT } from './protocol.ts';
import type { ClientCalls, ClientOperation, ClientReply, ClientRequest, ProbeReport } from './protocol.ts';
import { steer } from './steer.ts';

/** The lab's outside client: hears every guest's beats, probes and steers guests. Usage: main.ts SOCKET */

const [socketPath = ''] = process.argv.slice(2);
const collector = new Collector();
const probes = new Map<string, Probe>();
let orders = 0;

function probeOf(guest: string): Probe {
  const probe = probes.get(guest);
  if (probe === undefined) throw new Error(`no probe of '${guest}' runs: start one first`);
  return probe;
}

type Handlers = {
  readonly [K in ClientOperation]: (params: ClientCalls[K]['params']) => ClientCalls[K]['result'] | Promise<ClientCalls[K]['result']>;
};

const handlers: Handlers = {
  beats: () => collector.report(performance.now(), Date.now()),
  reset: ({ guest }) => {
    collector.reset(guest);
    return null;
  },
  steer: ({ address, ...wanted }) => steer(address, wanted, `${process.pid}.${orders++}`),
  startProbe: ({ guest, address, intervalMs }) => {
    probes.get(guest)?.stop();
    probes.set(guest, new Probe(guest, address, intervalMs));
    return null;
  },
  probe: ({ guest }) => probeOf(guest).report(),
  stopProbe: ({ guest }): ProbeReport => {
    const probe = probeOf(guest);
    probes.delete(guest);
    return probe.stop();
  },
};

async function answer(line: string): Promise<ClientReply> {
  const request = JSON.parse(line) as ClientRequest;
  try {
    const handler = handlers[request.op] as (params: unknown) => unknown;
    return { id: request.id, result: await handler(request.params) };
  } catch (error) {
    return { id: request.id, error: error instanceof Error ? error.message : String(error) };
  }
}

function serve(socket: Socket): void {
  socket.on('error', () => socket.destroy());
  const reply = (value: ClientReply): boolean => socket.writable && socket.write(`${JSON.stringify(value)}\n`);
  const lines = createInterface({ input: socket });
  lines.on('line', (line) => void answer(line).then(reply, () => socket.destroy()));
}

const beats = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
beats.on('message', (bytes) => collector.take(bytes.toString('latin1'), performance.now(), Date.now()));
beats.bind(COLLECTOR_PORT, () => {
  rmSync(socketPath, { force: true });
  createServer(serve).listen(socketPath);
});
