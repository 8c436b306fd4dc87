/** Stands between an agent and its charon and writes down what the agent says: the one place where pre-shared keys have to pass. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LabHost } from '#lab/api.ts';
import type { Secret } from './needles.ts';

/** As the host sees it; goes into agent.yaml. */
export const tapSocket = '/run/vici-tap.sock';

/** The begin of a packet after its length in four bytes: a command (type 0) with the length of its name, and the name. */
const loadShared = Buffer.from('\x00\x0bload-shared', 'latin1');
/** A key-value of VICI: type 3, the length of its name, the name, the length of its value in two bytes, the value. */
const dataKey = Buffer.from('\x03\x04data', 'latin1');
const lengthBytes = 4;

export class ViciTap {
  readonly #server: Server;
  readonly #path: string;
  readonly #sockets = new Set<Socket>();
  /** Of each connection. */
  readonly #said: Buffer[][] = [];
  readonly #host: string;

  private constructor(host: LabHost, path: string) {
    this.#host = host.name;
    this.#path = path;
    this.#server = createServer((agent) => {
      const charon = createConnection(host.viciSocket);
      const said: Buffer[] = [];
      this.#said.push(said);
      agent.on('data', (chunk) => said.push(chunk));
      this.#join(agent, charon);
      this.#join(charon, agent);
    });
  }

  static async start(host: LabHost): Promise<ViciTap> {
    const tap = new ViciTap(host, join(host.directory, tapSocket));
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    tap.#server.once('error', reject).listen(tap.#path, () => resolve(undefined));
    await promise;
    return tap;
  }

  /** Every value of `load-shared`, in the order in which charon got it. */
  sharedKeys(): readonly Secret[] {
    const values = this.#said.flatMap((said) => sharedKeysIn(Buffer.concat(said)));
    return values.map((bytes, index) => ({ name: `shared key ${index + 1} of ${this.#host}`, bytes }));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#server.close(() => resolve(undefined));
    await promise;
    await rm(this.#path, { force: true });
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

/** Packets of VICI, one after the other; the last one may be cut. */
function sharedKeysIn(stream: Buffer): readonly Buffer[] {
  const keys: Buffer[] = [];
  for (let at = 0; at + lengthBytes <= stream.length; at += lengthBytes + stream.readUInt32BE(at)) {
    const packet = stream.subarray(at + lengthBytes, at + lengthBytes + stream.readUInt32BE(at));
    const data = packet.subarray(0, loadShared.length).equals(loadShared) ? packet.indexOf(dataKey) : -1;
    if (data < 0) continue;
    const begins = data + dataKey.length + 2;
    keys.push(packet.subarray(begins, begins + packet.readUInt16BE(begins - 2)));
  }
  return keys;
}
