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

interface Server {
  readonly process: SimProcess;
  readonly accept: (hostId: HostId, line: Line) => void;
}

/** Where agents dial in: the controller process that listens at this moment, if any. */
export class Switchboard {
  readonly #time: VirtualTime;
  readonly #network: Network;
  readonly #random: Random;
  readonly #controllerNowMs: () => number;
  #servers: readonly Server[] = [];

  /** `controllerNowMs`: the wall clock by which certificates are judged. */
  constructor(time: VirtualTime, network: Network, random: Random, controllerNowMs: () => number = () => time.nowMs) {
    this.#time = time;
    this.#network = network;
    this.#random = random;
    this.#controllerNowMs = controllerNowMs;
  }

  /**
   * Who began to listen last is the one that is dialled: the address has moved to it, and moves back when it dies. Lines to another one
   * stay with that.
   */
  server(process: SimProcess): LineServer {
    return {
      onLine: (accept) => {
        this.#servers = [...this.#servers.filter((server) => server.process.alive), { process, accept }];
      },
    };
  }

  dialer(identity: Pick<IdentityKeeper, 'current'>, process: SimProcess): Dialer {
    return { dial: (signal) => process.answer(this.#dial(identity, process, signal)) };
  }

  async #dial(identity: Pick<IdentityKeeper, 'current'>, process: SimProcess, signal: AbortSignal): Promise<Line> {
    const { hostId, notAfterMs } = identity.current();
    const latency = () => Math.round(latencyMs.min + this.#random.fraction() * (latencyMs.max - latencyMs.min));
    if (!this.#network.reaches(hostId, controllerNode)) return this.#noAnswer(signal);
    await this.#time.sleep(latency() + latency() + this.#slownessMs(hostId), signal);
    const server = this.#servers.findLast((one) => one.process.alive);
    if (server === undefined || !process.alive) {
      throw new PlimsollError('link-lost', 'nobody listens where the controller should be: start it');
    }
    // Its kernel takes the connection, and then nobody speaks TLS.
    if (server.process.paused) return this.#noAnswer(signal);
    if (this.#controllerNowMs() >= notAfterMs) throw new PlimsollError('link-lost', `the certificate of ${hostId} has expired: join again`);
    const cable = new Cable(this.#time, this.#network, [hostId, controllerNode], latency);
    connect(cable, 'near', process);
    connect(cable, 'far', server.process);
    server.accept(hostId, server.process.port(cable.far));
    return process.port(cable.near);
  }

  /** A round trip on a bad link takes so much longer. */
  #slownessMs(hostId: HostId): number {
    const link = this.#network.link(hostId, controllerNode);
    return link === undefined ? 0 : link.segmentMs() + link.segmentMs();
  }

  async #noAnswer(signal: AbortSignal): Promise<never> {
    await this.#time.sleep(dialMsMax, signal);
    throw new PlimsollError('link-lost', `the controller did not answer within ${dialMsMax} ms`);
  }
}

/** The end of a line shares the fate of its process, until the line is closed. */
function connect(cable: Cable, end: 'near' | 'far', process: SimProcess): void {
  const part = [process.atDeath(() => cable.sever(end)), process.onPause((paused) => cable.pause(end, paused))];
  cable[end].onClose(() => {
    for (const stop of part) stop();
  });
  if (process.paused) cable.pause(end, true);
}
