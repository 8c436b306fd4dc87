/** Hand-written ports for the agent's own tests: a host whose parts can be broken one by one. */
import { emptyMemory } from '#core/access/ticket-gate.ts';
import type { GuardState, IpsecErrors, PeerTuning, SecurityAssociation, WayFacts } from '#core/model/channel.ts';
import type { PlimsollError } from '#core/model/result.ts';
import { bytes, cores } from '#core/model/units.ts';
import type {
  AgentMemory,
  AgentMemoryState,
  ChannelPeer,
  Clock,
  Guard,
  HostIdentity,
  IdentityKeeper,
  Ipsec,
  Line,
  Network,
  Prober,
  TrustUpdate,
  Verifier,
} from '#core/ports.ts';
import { association, checksum, controllerKey, fakeSha256, pemOf, rekeyed } from './examples.ts';
import { FakeHypervisor } from './fake-hypervisor.ts';
import { FakeCostMeter, FakeWitness } from './fake-meters.ts';
import { FakeTransports } from './fake-transports.ts';
import { FakeLeaseBook } from './fake-lease-book.ts';
import type { AgentParts } from './parts.ts';

/** On vitest's fake timers. */
export const timerClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => Date.now(),
  sleep: (durationMs, signal) =>
    new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(new Error('the sleep was ended'));
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop);
        resolve();
      }, durationMs);
      if (signal?.aborted) stop();
      else signal?.addEventListener('abort', stop, { once: true });
    }),
};

export const ignored = () => undefined;

const ticketVerifier: Verifier = {
  verify: (data, signature) => new TextDecoder().decode(signature) === new TextDecoder().decode(checksum(controllerKey, data)),
};

/** The agent's disk; outlives the agents that use it. */
export class FakeMemory implements AgentMemory {
  saved: AgentMemoryState = emptyMemory;
  fault: Error | null = null;

  load(): Promise<AgentMemoryState> {
    return Promise.resolve(this.saved);
  }

  async save(state: AgentMemoryState): Promise<void> {
    if (this.fault) throw this.fault;
    this.saved = state;
  }
}

export class FakeIpsec implements Ipsec {
  sas: readonly SecurityAssociation[] = [association()];
  counted: IpsecErrors | null = null;
  fault: PlimsollError | null = null;
  /** Readings neither come back nor fail. */
  hangs = false;
  carrier: 'kernel' | 'libipsec' = 'kernel';
  /** What was prepared and established, with its secrets. */
  readonly prepared: ChannelPeer[] = [];
  readonly established: ChannelPeer[] = [];
  readonly removed: string[] = [];
  readonly trusted: HostIdentity[] = [];

  backend = async () => {
    if (this.fault) throw this.fault;
    return this.carrier;
  };
  version = () => Promise.resolve('fake 1.0');
  prepare = async (peer: ChannelPeer) => void this.prepared.push(peer);
  establish = async (peer: ChannelPeer) => {
    this.established.push(peer);
    return association();
  };
  rekey = async () => {
    this.sas = this.sas.map((sa) => rekeyed(sa));
  };
  errors = () => Promise.resolve(this.counted);
  updateTrust = async (identity: HostIdentity) => {
    if (this.fault) throw this.fault;
    this.trusted.push(identity);
  };
  listSas = async () => {
    if (this.hangs) await new Promise(ignored);
    if (this.fault) throw this.fault;
    return this.sas;
  };
  remove = async (peerHostId: string) => {
    if (this.fault) throw this.fault;
    this.removed.push(peerHostId);
    this.sas = this.sas.filter((sa) => sa.peerHostId !== peerHostId);
  };
  onSaChange = () => ignored;
  close = () => Promise.resolve();
}

export class FakeGuard implements Guard {
  installed = true;
  droppedOutPackets = 0;
  /** Whoever takes it away does so again and again. */
  isFoughtOver = false;
  installs = 0;
  readonly exemptPeers: string[] = [];

  install = async () => {
    this.installs += 1;
    if (!this.isFoughtOver) this.installed = true;
  };
  inspect = (): Promise<GuardState> => {
    const { installed, droppedOutPackets, exemptPeers } = this;
    return Promise.resolve({ installed, droppedInPackets: 0, droppedOutPackets, droppedProbePackets: 0, exemptPeers: [...exemptPeers] });
  };
  exempt = async (peerUnderlay: string) => void this.exemptPeers.push(peerUnderlay);
  remove = () => Promise.resolve();
}

/** A path that carries packets up to `pathMtuBytes`; with `tellsMtu` a router says so, else it swallows what is larger. */
export class FakeNetwork implements Network {
  interfaceMtuBytes = 9000;
  pathMtuBytes = 9000;
  tellsMtu = false;
  learnedMtuBytes: number | null = null;
  fault: PlimsollError | null = null;
  settings: readonly PeerTuning[] = [];
  readonly restored: (string | null)[] = [];

  way = (): Promise<WayFacts> =>
    Promise.resolve({
      interface: 'eth0',
      interfaceMtuBytes: this.interfaceMtuBytes,
      interfaceMtuBytesMax: null,
      routeMtuBytes: this.learnedMtuBytes,
      tunnelMtuBytes: null,
    });
  tune = async (tuning: PeerTuning) => {
    this.settings = [...this.settings, tuning];
  };
  restore = async (peerHostId: string | null) => {
    if (this.fault) throw this.fault;
    this.restored.push(peerHostId);
  };
  tuned = () => Promise.resolve(this.settings);

  /** Whether a packet crosses: in fragments, once the host knows the path's MTU. */
  crosses(packetBytes: number): boolean {
    if (packetBytes <= this.pathMtuBytes || this.learnedMtuBytes !== null) return true;
    if (this.tellsMtu) this.learnedMtuBytes = this.pathMtuBytes;
    return false;
  }
}

export class FakeIdentity implements IdentityKeeper {
  identity: HostIdentity = identityOf('first');
  fault: PlimsollError | null = null;
  readonly updates: TrustUpdate[] = [];

  current = () => this.identity;
  request = () => Promise.resolve('request');
  install = async (certificatePem: string) => {
    if (this.fault) throw this.fault;
    this.identity = { ...this.identity, certificatePem };
    return this.identity;
  };
  updateTrust = async (update: TrustUpdate) => {
    if (this.fault) throw this.fault;
    this.updates.push(update);
    this.identity = { ...this.identity, ...update };
    return this.identity;
  };
}

function identityOf(text: string): HostIdentity {
  const nothing = { caPem: '', intermediatesPem: '', crlPems: [], notAfterMs: 86_400_000 };
  return { hostId: 'a', certificatePem: pemOf(text), privateKeyPem: 'canary-private-key', ...nothing };
}

export interface FakeWorld {
  readonly parts: AgentParts;
  readonly hypervisor: FakeHypervisor;
  readonly ipsec: FakeIpsec;
  readonly guard: FakeGuard;
  readonly network: FakeNetwork;
  readonly transports: FakeTransports;
  readonly costMeter: FakeCostMeter;
  readonly witness: FakeWitness;
  readonly identity: FakeIdentity;
  readonly memory: FakeMemory;
  readonly leaseBook: FakeLeaseBook;
  /** Lines that the agent has dialled. */
  readonly lines: FakeLine[];
  readonly logged: string[];
  /** Nonces that are listened for at this moment. */
  readonly heardNonces: string[];
}

export function fakeWorld(): FakeWorld {
  const hypervisor = new FakeHypervisor();
  const ipsec = new FakeIpsec();
  const guard = new FakeGuard();
  const network = new FakeNetwork();
  const transports = new FakeTransports(hypervisor, timerClock);
  const costMeter = new FakeCostMeter();
  const witness = new FakeWitness();
  const identity = new FakeIdentity();
  const memory = new FakeMemory();
  const leaseBook = new FakeLeaseBook();
  const lines: FakeLine[] = [];
  const logged: string[] = [];
  const heardNonces: string[] = [];
  const note = (message: string, fields?: object) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const parts: AgentParts = {
    clock: timerClock,
    random: { id: () => 'boot1', fraction: () => 0.5 },
    log: { info: note, warn: note, error: note },
    hypervisor,
    ipsec,
    guard,
    prober: fakeProber(ipsec, network, heardNonces),
    network,
    transports,
    hostMeter: {
      read: async () => ({
        cpuUsedCores: cores(1),
        memoryUsedBytes: bytes(2 ** 30),
        capacity: { cpuCores: cores(4), memoryBytes: bytes(4 * 2 ** 30) },
        pressure: null,
      }),
    },
    costMeter,
    witness,
    dialer: {
      dial: async () => {
        const line = new FakeLine();
        lines.push(line);
        return line;
      },
    },
    memory,
    leaseBook,
    identity,
    sha256: fakeSha256,
    ticketVerifier,
  };
  return {
    parts,
    hypervisor,
    ipsec,
    guard,
    network,
    transports,
    costMeter,
    witness,
    identity,
    memory,
    leaseBook,
    lines,
    logged,
    heardNonces,
  };
}

/** Probes and streams go through whatever SAs there are; nonces that are listened for come and go in `heardNonces`. */
function fakeProber(ipsec: FakeIpsec, network: FakeNetwork, heardNonces: string[]): Prober {
  const listening = (nonce: string) => {
    heardNonces.push(nonce);
    return { close: async () => void heardNonces.splice(heardNonces.indexOf(nonce), 1) };
  };
  const count = (packets: number, bytesEach: number) => {
    ipsec.sas = ipsec.sas.map((sa) => ({
      ...sa,
      packetsOut: sa.packetsOut + packets,
      bytesOut: sa.bytesOut + packets * bytesEach,
      packetsIn: sa.packetsIn + packets,
    }));
    return packets;
  };
  return {
    listen: async (_addresses, nonce) => ({ ...listening(nonce), counts: () => ({ protectedProbes: 8, plainProbes: 0 }) }),
    sendProtected: async (options) => count(options.count, options.sizeBytes),
    sendPlain: async (options) => options.count,
    answerPath: async (_addresses, nonce) => listening(nonce),
    probePath: async ({ packetBytes }) => network.crosses(packetBytes),
    receiveStream: async (_addresses, nonce) => ({ ...listening(nonce), port: 40_000 }),
    sendStream: async ({ durationMs }) => ({ bytes: count(100, 1400) * 1300, durationMs }),
  };
}

/** The agent's end of a line; the test is the controller. */
export class FakeLine implements Line {
  readonly sent: { readonly type: string; readonly [key: string]: unknown }[] = [];
  closedFor: string | null = null;
  #message: (message: unknown) => void = ignored;
  #close: (reason: string) => void = ignored;

  send(message: unknown): void {
    if (this.closedFor === null) this.sent.push(structuredClone(message) as { type: string });
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#message = listener;
  }

  onClose(listener: (reason: string) => void): void {
    if (this.closedFor === null) this.#close = listener;
    else listener(this.closedFor);
  }

  close(reason: string): void {
    if (this.closedFor !== null) return;
    this.closedFor = reason;
    this.#close(reason);
  }

  deliver(message: unknown): void {
    this.#message(message);
  }

  replies(): readonly unknown[] {
    return this.sent.filter(({ type }) => type === 'reply');
  }
}
