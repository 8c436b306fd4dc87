/** Starts and kills the real controller and the real agents, each as a process with its own view of the world. */
import { runAgent } from '#agent/agent.ts';
import { startController, type Controller } from '#controller/controller.ts';
import type { TokenMaker } from '#controller/join.ts';
import type { ControllerSettings } from '#controller/parts.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import { encodeBase64 } from '#core/access/base64.ts';
import type { Random, Signer, Verifier } from '#core/ports.ts';
import { SimAgentMemory } from './agent-memory.ts';
import { SimAuthority } from './authority.ts';
import { SimCostMeter } from './cost-meter.ts';
import type { DecisionLog } from './decision-log.ts';
import { SimGuard } from './guard.ts';
import type { SimHost } from './host.ts';
import { SimHostMeter } from './host-meter.ts';
import { SimHypervisor } from './hypervisor.ts';
import { SimIdentity } from './identity.ts';
import { SimIpsec } from './ipsec.ts';
import { SimLeaseBook } from './lease-book.ts';
import { controllerNode } from './network.ts';
import { SimPeerNetwork } from './peer-network.ts';
import { ProbeBoard, SimProber } from './prober.ts';
import { SimProcess } from './process.ts';
import { SimIncomingImages, SimKeptImages } from './images.ts';
import { SimTransports } from './transports.ts';
import type { Streams } from './random.ts';
import type { SimStore } from './store.ts';
import type { Switchboard } from './switchboard.ts';
import { SimWitness } from './witness.ts';
import type { World } from './world.ts';

export interface ActorParts {
  readonly world: World;
  readonly store: SimStore;
  readonly log: DecisionLog;
  readonly streams: Streams;
  readonly switchboard: Switchboard;
  readonly key: Signer & Verifier;
  readonly sha256: (text: string) => string;
  readonly controllerSettings: ControllerSettings;
  readonly sampleIntervalMs: number;
  /** The code of a process failed where it must not. */
  readonly onCrash: (process: string, error: unknown) => void;
}

const version = 'simulated';
/** Of a service that has failed. */
const restartMs = 5_000;
const tokenLifetimeMs = 60_000;
/** Told better by what becomes durable, see narrator.ts. */
const toldElsewhere = new Set(['plan', 'migration', 'move started']);

/** What a host keeps while its agents come and go. */
interface HostDisk {
  readonly memory: SimAgentMemory;
  readonly identity: SimIdentity;
  readonly leaseBook: SimLeaseBook;
}

interface RunningController {
  readonly process: SimProcess;
  controller: Controller | null;
}

export class Actors {
  readonly #parts: ActorParts;
  readonly #agents = new Map<HostId, SimProcess>();
  readonly #disks: ReadonlyMap<HostId, HostDisk>;
  readonly #authority: SimAuthority;
  readonly #probes = new ProbeBoard();
  readonly #starts = new Map<string, number>();
  readonly #ends: AbortController[] = [];
  #running: RunningController | null = null;
  /** Controllers that another one was started beside: paused, or gone on since. */
  #former: readonly RunningController[] = [];

  constructor(parts: ActorParts) {
    this.#parts = parts;
    const { time, hosts } = parts.world;
    this.#authority = new SimAuthority(time, (data) => this.#sha256(data));
    this.#disks = new Map(
      hosts.map(({ hostId }) => {
        const disk = parts.world.disk(hostId);
        const identity = new SimIdentity(disk, hostId, parts.streams.stream(`identity ${hostId}`));
        const leaseBook = new SimLeaseBook(time, hostId, parts.world.clock(hostId));
        return [hostId, { memory: new SimAgentMemory(disk), identity, leaseBook }];
      }),
    );
  }

  /** The one that has the address: the newest. Null while there is none, or that one stands still or has not started yet. */
  get controller(): Controller | null {
    const newest = this.#controllers.at(-1);
    return newest?.process.paused === false ? newest.controller : null;
  }

  /** The first controller, all hosts joined by token, then their agents. */
  async boot(): Promise<void> {
    const controller = await this.#startController();
    for (const { hostId } of this.#parts.world.hosts) await this.#join(controller, hostId);
    for (const { hostId } of this.#parts.world.hosts) this.startAgent(hostId);
  }

  /** Lets a host (again) into the cluster, with a new key and certificate. */
  async rejoin(hostId: HostId): Promise<void> {
    if (this.controller === null) throw new PlimsollError('link-lost', 'the controller does not answer: start it');
    this.killAgent(hostId);
    await this.#join(this.controller, hostId);
    this.startAgent(hostId);
  }

  async #join(controller: Controller, hostId: HostId): Promise<void> {
    const { identity } = this.#disk(hostId);
    const { addresses } = this.#parts.world.host(hostId).spec;
    const { token } = await controller.createToken(hostId, tokenLifetimeMs, 'operator');
    const requestPem = await identity.request();
    const { certificatePem, intermediatesPem, crlPems } = await controller.join({ token, hostId, addresses, requestPem });
    await identity.install(certificatePem, intermediatesPem);
    await identity.updateTrust({ intermediatesPem, crlPems });
  }

  #disk(hostId: HostId): HostDisk {
    const disk = this.#disks.get(hostId);
    if (!disk) throw new RangeError(`the cluster has no host ${hostId}`);
    return disk;
  }

  /** Everything that is hashed in here is text. */
  #sha256(data: Uint8Array): string {
    return this.#parts.sha256(new TextDecoder().decode(data));
  }

  /** Where one stands still another one takes its place; then there are two, as soon as the first goes on. */
  startController(): void {
    if (this.#running?.process.paused === false) return;
    if (this.#running !== null) this.#former = [...this.#former, this.#running];
    this.#running = null;
    void this.#startController().catch((error: unknown) => this.#startFailed(error));
  }

  /** Nothing goes on after this. What still waits is let go: signals that others were made of are kept for as long as somebody listens. */
  end(): void {
    for (const { process } of this.#controllers) process.kill();
    for (const process of this.#agents.values()) process.kill();
    for (const ended of this.#ends) ended.abort();
    this.#ends.length = 0;
  }

  /** Of a process: nobody asks it to stop before the end of the simulation, it is killed. */
  #signal(): AbortSignal {
    const ended = new AbortController();
    this.#ends.push(ended);
    return ended.signal;
  }

  /** The newest. One that it was started beside has the address again, until somebody starts another. */
  killController(): void {
    const newest = this.#controllers.at(-1);
    if (newest === undefined) return;
    newest.process.kill();
    this.#former = this.#former.filter((former) => former !== newest);
    this.#running = null;
    this.#lose(controllerNode, 'the controller');
  }

  pauseController(): void {
    this.#running?.process.pause();
  }

  /** Each that stands still, the oldest first. */
  goOnController(): void {
    for (const { process } of this.#controllers) process.goOn();
  }

  get #controllers(): readonly RunningController[] {
    return this.#running === null ? this.#former : [...this.#former, this.#running];
  }

  /** No disk, no start: whoever keeps services up tries again. Anything else must not happen. */
  #startFailed(error: unknown): void {
    const { world, log } = this.#parts;
    if (world.disk(controllerNode).condition !== 'full') {
      this.#parts.onCrash('controller', error);
      return;
    }
    log.port('event', () => false).warn(`the controller does not start: ${refusalOf(error).message}`);
    const failed = this.#running;
    failed?.process.kill();
    world.time.after(restartMs, () => {
      if (this.#running !== failed) return;
      this.#running = null;
      this.startController();
    });
  }

  /** By itself, which it does when it was replaced and for nothing else. */
  #controllerEnded(running: RunningController, error: unknown): void {
    const { code, message } = refusalOf(error);
    if (code !== 'controller-replaced') {
      this.#parts.onCrash('controller', error);
      return;
    }
    this.#parts.log.note('event', `a controller has ended: ${message}`);
    running.process.kill();
    this.#former = this.#former.filter((former) => former !== running);
    if (this.#running === running) this.#running = null;
  }

  /** What its process had begun to write and never heard of again. */
  #lose(node: string, who: string): void {
    const { world, log } = this.#parts;
    const lost = world.disk(node).lose();
    if (lost === 0) return;
    world.touch();
    log.note('event', `${lost} of what ${who} was writing is not on the disk`);
  }

  startAgent(hostId: HostId): void {
    if (this.#agents.has(hostId)) return;
    const host = this.#parts.world.host(hostId);
    const process = new SimProcess(`agent ${hostId}`);
    this.#agents.set(hostId, process);
    const settings = {
      hostId,
      addresses: host.spec.addresses,
      sampleIntervalMs: this.#parts.sampleIntervalMs,
      memoryCapacityBytes: null,
      version,
    };
    runAgent(this.#agentParts(host, process), settings, this.#signal()).catch((error: unknown) => this.#parts.onCrash(process.name, error));
  }

  /** The machine stops, with all that runs on it. */
  powerOff(hostId: HostId): void {
    const { world } = this.#parts;
    const host = world.host(hostId);
    this.killAgent(hostId);
    host.libvirtd.kill();
    host.charon.kill();
    for (const copy of host.copies) world.killCopy(host, copy, 'unknown');
    this.#disk(hostId).leaseBook.reboot();
  }

  powerOn(hostId: HostId): void {
    const host = this.#parts.world.host(hostId);
    host.libvirtd.start();
    host.charon.start();
    this.startAgent(hostId);
  }

  killAgent(hostId: HostId): void {
    const process = this.#agents.get(hostId);
    if (process === undefined) return;
    process.kill();
    this.#agents.delete(hostId);
    this.#lose(hostId, `the agent on ${hostId}`);
  }

  pauseAgent(hostId: HostId): void {
    this.#agents.get(hostId)?.pause();
  }

  goOnAgent(hostId: HostId): void {
    this.#agents.get(hostId)?.goOn();
  }

  async #startController(): Promise<Controller> {
    const { world, store, log, switchboard, key, sha256, controllerSettings } = this.#parts;
    const process = new SimProcess('controller');
    // A second one beside it is told apart.
    const subject = this.#former.length === 0 ? 'controller' : `controller ${this.#former.length + 1}`;
    const running: RunningController = { process, controller: null };
    this.#running = running;
    const random = this.#randomOf(process);
    const parts = {
      clock: process.clock(world.clock(controllerNode).clock()),
      random,
      log: process.port(log.port(subject, (message) => toldElsewhere.has(message))),
      store: process.port(store.open()),
      lines: process.port(switchboard.server(process)),
      signer: key,
      verifier: key,
      authority: process.port(this.#authority),
      sha256,
      randomKey: (bytes: number) => encodeBase64(Uint8Array.from({ length: bytes }, () => Math.floor(random.fraction() * 256))),
    };
    running.controller = await startController(parts, controllerSettings, tokenMaker(random, sha256), this.#signal());
    running.controller.stopped.catch((error: unknown) => this.#controllerEnded(running, error));
    return running.controller;
  }

  #agentParts(host: SimHost, process: SimProcess) {
    const { world, log, switchboard, key } = this.#parts;
    const { hostId } = host;
    const random = this.#randomOf(process);
    const { memory, identity, leaseBook } = this.#disk(hostId);
    const hypervisor = process.port(new SimHypervisor(world, host));
    const clock = process.clock(world.clock(hostId).clock());
    const witness = new SimWitness(world, host);
    process.atDeath(() => witness.close());
    // Each end is a port: the order of their steps is the agent's and dies with it.
    const images = { kept: process.port(new SimKeptImages(world, host)), incoming: process.port(new SimIncomingImages(world, host)) };
    return {
      clock,
      random,
      log: process.port(log.port(hostId, () => false)),
      hypervisor,
      ipsec: process.port(new SimIpsec(world, host, random)),
      guard: process.port(new SimGuard(world.time, host.filter)),
      prober: process.port(new SimProber(world, host, this.#probes, process)),
      network: process.port(new SimPeerNetwork(world, host)),
      transports: new SimTransports(hypervisor, images, clock),
      hostMeter: process.port(new SimHostMeter(world.time, host)),
      costMeter: process.port(new SimCostMeter(world.time, host)),
      witness: process.port(witness),
      dialer: switchboard.dialer(identity, process),
      memory: process.port(memory),
      leaseBook: process.port(leaseBook),
      identity: process.port(identity),
      sha256: (data: Uint8Array) => this.#sha256(data),
      ticketVerifier: key,
    };
  }

  /** Each start of a process draws from a stream of its own: ids of an earlier start never come again. */
  #randomOf(process: SimProcess): Random {
    const start = (this.#starts.get(process.name) ?? 0) + 1;
    this.#starts.set(process.name, start);
    return this.#parts.streams.stream(`${process.name} #${start}`);
  }
}

function tokenMaker(random: Random, sha256: (text: string) => string): TokenMaker {
  return {
    createToken: () => {
      const token = random.id();
      return { token, tokenHash: sha256(token) };
    },
    hashToken: sha256,
    caFingerprint: 'simulated',
    controllerUrl: 'https://controller.invalid',
  };
}
