import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Dialer, IdentityKeeper, Line, LineServer, Random } from '#core/ports.ts';
import { Cable } from './cable.ts';
import { controllerNode, type Network } from './network.ts';
import type { SimProcess } from './process.ts';
import type { VirtualTime } from './virtual-time.ts';

const dialMsMax = 10_000;
/** One way between two machines of a cluster; each line draws its own. */
const latencyMs = { min: 1, max: 3 };

/** Where agents dial in: the controller process that listens at this moment, if any. */
export class Switchboard {
  readonly #time: VirtualTime;
  readonly #network: Network;
  readonly #random: Random;
  #server: { readonly process: SimProcess; readonly accept: (hostId: HostId, line: Line) => void } | null = null;

  constructor(time: VirtualTime, network: Network, random: Random) {
    this.#time = time;
    this.#network = network;
    this.#random = random;
  }

  server(process: SimProcess): LineServer {
    return {
      onLine: (listener) => {
        this.#server = { process, accept: listener };
      },
    };
  }

  dialer(identity: Pick<IdentityKeeper, 'current'>, process: SimProcess): Dialer {
    return { dial: (signal) => process.answer(this.#dial(identity, process, signal)) };
  }

  async #dial(identity: Pick<IdentityKeeper, 'current'>, process: SimProcess, signal: AbortSignal): Promise<Line> {
    const { hostId, notAfterMs } = identity.current();
    const latency = () => Math.round(latencyMs.min + this.#random.fraction() * (latencyMs.max - latencyMs.min));
    if (!this.#network.reaches(hostId, controllerNode)) {
      await this.#time.sleep(dialMsMax, signal);
      throw new PlimsollError('link-lost', `the controller did not answer within ${dialMsMax} ms`);
    }
    await this.#time.sleep(latency() + latency(), signal);
    const server = this.#server;
    if (server === null || !server.process.alive || !process.alive) {
      throw new PlimsollError('link-lost', 'nobody listens where the controller should be: start it');
    }
    if (this.#time.nowMs >= notAfterMs) throw new PlimsollError('link-lost', `the certificate of ${hostId} has expired: join again`);
    const cable = new Cable(this.#time, this.#network, [hostId, controllerNode], latency);
    process.atDeath(() => cable.sever('near'));
    server.process.atDeath(() => cable.sever('far'));
    server.accept(hostId, server.process.port(cable.far));
    return process.port(cable.near);
  }
}
