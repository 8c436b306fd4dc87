/** Starts and kills the real controller and the real agents, each as a process with its own view of the world. */
import { runAgent } from '#agent/agent.ts';
import { startController, type Controller } from '#controller/controller.ts';
import type { TokenMaker } from '#controller/join.ts';
import type { ControllerSettings } from '#controller/parts.ts';
import type { HostId } from '#core/model/host.ts';
import type { Random, Signer, Verifier } from '#core/ports.ts';
import { SimAgentMemory } from './agent-memory.ts';
import type { DecisionLog } from './decision-log.ts';
import { SimGuard } from './guard.ts';
import type { SimHost } from './host.ts';
import { SimHostMeter } from './host-meter.ts';
import { SimHypervisor } from './hypervisor.ts';
import { SimIpsec } from './ipsec.ts';
import { ProbeBoard, SimProber } from './prober.ts';
import { SimProcess } from './process.ts';
import type { Streams } from './random.ts';
import type { SimStore } from './store.ts';
import type { Switchboard } from './switchboard.ts';
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
const tokenLifetimeMs = 60_000;
/** Told better by what becomes durable, see narrator.ts. */
const toldElsewhere = new Set(['plan', 'migration', 'move started']);

interface RunningController {
  readonly process: SimProcess;
  controller: Controller | null;
}

export class Actors {
  readonly #parts: ActorParts;
  readonly #agents = new Map<HostId, SimProcess>();
  readonly #disks: ReadonlyMap<HostId, SimAgentMemory>;
  readonly #probes = new ProbeBoard();
  readonly #starts = new Map<string, number>();
  #running: RunningController | null = null;

  constructor(parts: ActorParts) {
    this.#parts = parts;
    this.#disks = new Map(parts.world.hosts.map(({ hostId }) => [hostId, new SimAgentMemory(parts.world.time)]));
  }

  /** Null while it is dead or has not started yet. */
  get controller(): Controller | null {
    return this.#running?.controller ?? null;
  }

  /** The first controller, all hosts joined by token, then their agents. */
  async boot(): Promise<void> {
    const controller = await this.#startController();
    for (const { hostId, spec } of this.#parts.world.hosts) {
      const { token } = await controller.createToken(hostId, tokenLifetimeMs, 'operator');
      await controller.admit({ token, hostId, addresses: spec.addresses });
    }
    for (const { hostId } of this.#parts.world.hosts) this.startAgent(hostId);
  }

  startController(): void {
    if (this.#running !== null) return;
    void this.#startController().catch((error: unknown) => this.#parts.onCrash('controller', error));
  }

  killController(): void {
    this.#running?.process.kill();
    this.#running = null;
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
    runAgent(this.#agentParts(host, process), settings, new AbortController().signal).catch((error: unknown) =>
      this.#parts.onCrash(process.name, error),
    );
  }

  killAgent(hostId: HostId): void {
    this.#agents.get(hostId)?.kill();
    this.#agents.delete(hostId);
  }

  async #startController(): Promise<Controller> {
    const { world, store, log, switchboard, key, sha256, controllerSettings } = this.#parts;
    const process = new SimProcess('controller');
    const running: RunningController = { process, controller: null };
    this.#running = running;
    const random = this.#randomOf(process);
    const parts = {
      clock: process.clock(world.time.clock()),
      random,
      log: process.port(log.port('controller', (message) => toldElsewhere.has(message))),
      store: process.port(store),
      lines: process.port(switchboard.server(process)),
      signer: key,
      verifier: key,
      sha256,
    };
    running.controller = await startController(parts, controllerSettings, tokenMaker(random, sha256), new AbortController().signal);
    return running.controller;
  }

  #agentParts(host: SimHost, process: SimProcess) {
    const { world, log, switchboard, key } = this.#parts;
    const { hostId } = host;
    const random = this.#randomOf(process);
    const disk = this.#disks.get(hostId) ?? new SimAgentMemory(world.time);
    return {
      clock: process.clock(world.time.clock()),
      random,
      log: process.port(log.port(hostId, () => false)),
      hypervisor: process.port(new SimHypervisor(world, host)),
      ipsec: process.port(new SimIpsec(world, host, random)),
      guard: process.port(new SimGuard(world.time, host.filter)),
      prober: process.port(new SimProber(world, host, this.#probes)),
      hostMeter: process.port(new SimHostMeter(world.time, host)),
      dialer: switchboard.dialer(hostId, process),
      memory: process.port(disk),
      identity: { hostId, certificatePem: 'simulated', privateKeyPem: 'simulated', caPem: 'simulated' },
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
