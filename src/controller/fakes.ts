/** Hand-written ports for the controller's own tests: a store and agents that can be made to fail. */
import type { ChannelReading, GuardState, ProofFacts, SecurityAssociation } from '#core/model/channel.ts';
import type { HostOffer, VmDefinition } from '#core/model/definition.ts';
import type { TransferPlan } from '#core/model/forecast.ts';
import type { HostId } from '#core/model/host.ts';
import type { ImageStanding } from '#core/model/migration.ts';
import { defaultPolicy, type Policy } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { Sample } from '#core/model/sample.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { VmSample, VmView } from '#core/model/vm.ts';
import type { Clock, Line } from '#core/ports.ts';
import { type CommandName, protocolVersion } from '#wire/agent-protocol.ts';
import { FakeAuthority } from './fake-authority.ts';
import { MemoryStore } from './fake-store.ts';
import type { TokenMaker } from './join.ts';
import { type ControllerParts, type ControllerSettings, defaultCertificateSettings } from './parts.ts';

export { MemoryStore } from './fake-store.ts';

export const vmId = '00000000-0000-4000-8000-000000000001';
export const otherVmId = '00000000-0000-4000-8000-000000000002';
const gibibyte = 2 ** 30;

export const policy: Policy = { ...defaultPolicy, migrationsPerClusterMax: 2, sustainedRounds: 1, smoothingHalfLifeMs: 1 };
export const settings: ControllerSettings = {
  version: '0.0.0',
  mode: 'observe',
  policy,
  planIntervalMs: 5000,
  historyMs: 3_600_000,
  certificates: defaultCertificateSettings,
};

/** What most migrations are. */
export const ipsec = { approvedBy: null, channelKind: 'ipsec', grantId: null, wish: { method: 'auto' } } as const;

export const tokens: TokenMaker = {
  createToken: () => ({ token: 't', tokenHash: 'h' }),
  hashToken: () => 'h',
  caFingerprint: 'ab',
  controllerUrl: 'https://x:1',
};

/** How a transfer is made when nothing could be measured. */
export const plan: TransferPlan = {
  options: {
    method: 'pre-copy',
    autoConverge: null,
    streams: 1,
    compression: 'none',
    bandwidthBytesPerSecond: 0,
    downtimeMsMax: 300,
  },
  pilot: policy.migration.pilot,
  reason: 'pre-copy, watched by the autopilot',
  prediction: null,
};

/** On vitest's fake timers. */
const timerClock: Clock = {
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

const ignored = () => undefined;

/** The controller's end of a line; what the agent does with a message is up to the test. */
export class FakeLine implements Line {
  readonly sent: unknown[] = [];
  closedFor: string | null = null;
  onSent: (message: unknown) => void = ignored;
  #message: (message: unknown) => void = ignored;
  #close: (reason: string) => void = ignored;

  send(message: unknown): void {
    if (this.closedFor !== null) return;
    this.sent.push(message);
    this.onSent(message);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#message = listener;
  }

  onClose(listener: (reason: string) => void): void {
    this.#close = listener;
  }

  close(reason: string): void {
    if (this.closedFor !== null) return;
    this.closedFor = reason;
    this.#close(reason);
  }

  deliver(message: unknown): void {
    this.#message(message);
  }
}

export const silence = Symbol('no answer');
type Answer = (args: { readonly [name: string]: unknown }) => unknown;

export interface FakeParts extends ControllerParts {
  readonly store: MemoryStore;
  readonly authority: FakeAuthority;
  readonly logged: readonly string[];
  /** Hands a line to the controller, as its listener for agents does. */
  readonly dialIn: (hostId: HostId, line: FakeLine) => void;
}

export function fakeParts(store = new MemoryStore()): FakeParts {
  const logged: string[] = [];
  const note = (message: string, fields?: object) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  let accept: (hostId: HostId, line: Line) => void = ignored;
  let ids = 0;
  let keys = 0;
  return {
    clock: timerClock,
    random: { id: () => `id${(ids += 1)}`, fraction: () => 0.5 },
    log: { info: note, warn: note, error: note },
    store,
    lines: { onLine: (listener) => (accept = listener) },
    signer: { keyId: 'key1', certificatesPem: 'certificate of key1', sign: (data) => checksum(data) },
    verifier: { verify: (data, signature) => new TextDecoder().decode(signature) === new TextDecoder().decode(checksum(data)) },
    authority: new FakeAuthority(),
    randomKey: (length) => `${'A'.repeat(Math.ceil((length * 4) / 3) - 1)}${(keys += 1) % 10}`.padEnd(4 * Math.ceil(length / 3), '='),
    sha256: (text) => new TextDecoder().decode(checksum(new TextEncoder().encode(text))),
    logged,
    dialIn: (hostId, line) => accept(hostId, line),
  };
}

/** Enough to tell a changed byte. */
export function checksum(data: Uint8Array): Uint8Array {
  let sum = 0;
  for (const byte of data) sum = (Math.imul(sum, 31) + byte) >>> 0;
  return new TextEncoder().encode(`key1 ${sum}`);
}

const certificateLifeMs = 20 * 3_600_000;

export const hello = (hostId: HostId, lifeMs = certificateLifeMs) => ({
  type: 'hello',
  protocol: protocolVersion,
  agentVersion: '0.0.0',
  bootId: 'boot1',
  addresses: { underlay: `10.0.0.${hostId.charCodeAt(0)}`, protected: `10.1.0.${hostId.charCodeAt(0)}`, interface: 'eth0' },
  hypervisor: 'fake',
  ipsec: 'fake',
  certificate: { sha256: certificateSha256(hostId), notAfterMs: Date.now() + lifeMs },
  sentAtMs: Date.now(),
});

/** Of the certificate that a fake host begins with. */
export function certificateSha256(hostId: HostId): string {
  return hostId.charCodeAt(0).toString(16).padStart(64, '0');
}

export function runningVm(changes: Partial<VmView> = {}): VmView {
  const memoryBytes = bytes(gibibyte);
  return { vmId, name: 'web1', state: 'running', vcpus: 1, memoryBytes, persistent: true, jobActive: false, postCopy: null, ...changes };
}

/** Nothing that would bind it to a host. */
export function definition(changes: Partial<VmDefinition> = {}): VmDefinition {
  const rest = { interfaces: [], disks: [], leases: [], hostOnly: [], cpuMode: null, cpuModel: null, emulator: null, machine: null };
  return {
    vmId,
    name: 'web1',
    type: 'kvm',
    architecture: 'x86_64',
    vcpus: 1,
    memoryBytes: bytes(gibibyte),
    persistent: true,
    ...rest,
    ...changes,
  };
}

const offer: Omit<HostOffer, 'hostId' | 'ownCopy'> = {
  libvirtVersion: 9_000_000,
  qemuVersion: 7_002_000,
  machines: [],
  cpu: 'identical',
  cpuDetail: null,
  emulatorPresent: true,
  networks: [],
  disks: [],
  leasesMissing: [],
  memoryFreeBytes: bytes(8 * gibibyte),
};

/** A host with its agent: answers each command as a sound one does unless the test says otherwise. */
export class FakeAgent {
  readonly hostId: HostId;
  vm: VmView | null;
  /** What the host has of the VM as an image. */
  image: ImageStanding | null = null;
  definition = definition();
  /** Whether its lock manager holds the VM's leases; null: where the VM runs. */
  held: boolean | null = null;
  /** What it offers otherwise than most hosts do. */
  offered: Partial<HostOffer> = {};
  line = new FakeLine();
  /** Names of the commands that came, in order. */
  readonly asked: CommandName[] = [];
  readonly answers: Partial<Record<CommandName, Answer>> = {};
  readonly #parts: FakeParts;
  readonly #lifeMs: number;
  /** How the channel that was prepared last authenticates. */
  #byCertificate = true;

  /** `lifeMs`: what is left of its certificate's life when it dials in. */
  constructor(parts: FakeParts, hostId: HostId, vm: VmView | null = null, lifeMs = certificateLifeMs) {
    this.#parts = parts;
    this.#lifeMs = lifeMs;
    this.hostId = hostId;
    this.vm = vm;
    this.dial();
  }

  dial(): void {
    const line = new FakeLine();
    this.line = line;
    line.onSent = (message) => void this.#receive(line, message as { type: string; commandId: string; name: CommandName; args: object });
    this.#parts.dialIn(this.hostId, line);
    line.deliver(hello(this.hostId, this.#lifeMs));
  }

  /** Answers this command as usual, but only then. */
  delay(name: CommandName, until: Promise<void>): void {
    this.answers[name] = (args) => until.then(() => this.usual(name)(args));
  }

  async #receive(line: FakeLine, message: { type: string; commandId: string; name: CommandName; args: object }): Promise<void> {
    if (message.type !== 'command') return;
    const { commandId, name, args } = message;
    this.asked.push(name);
    try {
      const value = await (this.answers[name] ?? this.usual(name))({ ...args });
      if (value !== silence) line.deliver({ type: 'reply', commandId, ok: true, value });
    } catch (error) {
      line.deliver({ type: 'reply', commandId, ok: false, refusal: refusalOf(error) });
    }
  }

  /** How a sound agent answers this command. */
  usual(name: CommandName): Answer {
    const usual: Partial<Record<CommandName, Answer>> = {
      'vm.find': ({ leases }) => ({
        vm: this.vm,
        image: this.image,
        ...(Array.isArray(leases) && { held: leases.map(() => this.held ?? this.vm?.state === 'running') }),
      }),
      'vm.describe': () => ({ definition: this.definition, text: '<domain/>' }),
      'vm.offer': () => ({ offer: { ...offer, hostId: this.hostId, ownCopy: this.vm?.state ?? null, ...this.offered } }),
      'vm.method-faults': ({ options }) => ({ faults: Array.isArray(options) ? options.map(() => null) : [] }),
      'vm.measure': () => ({
        activity: { measuredAtMs: 0, measuredForMs: 3000, usedBytes: null, dirtyBytesPerSecond: 0, workingSetBytes: 0 },
      }),
      'vm.cost': () => ({ cost: { hypervisorCpuSeconds: 1, ipsecCpuSeconds: 1, agentCpuSeconds: 1 } }),
      'witness.look': () => ({ addresses: [], place: null }),
      'witness.start': () => ({ watching: false }),
      'witness.report': () => ({ report: null }),
      'witness.stop': () => ({ report: null }),
      'channel.prepare': ({ secrets }) => this.#prepare(secrets),
      'channel.establish': () => ({ sa: association('b', 0) }),
      'channel.state': () => ({ reading: reading(association('b', 5000)) }),
      'channel.list': () => ({ backend: 'kernel', guard: guardState(0), errors: null, sas: [], tuned: [] }),
      'channel.probe': () => ({ facts: this.#facts('aa', 4) }),
      'channel.heard': () => ({ facts: this.#facts('bb', 0) }),
      'path.way': () => ({ way }),
      'path.answer': ({ stream }) => ({ streamPort: stream === true ? 49_999 : null }),
      'path.measure': ({ packetBytesMax }) => ({ pathMtuBytes: packetBytesMax }),
      'path.stream': ({ durationMs }) => ({ bytes: 1_000_000, durationMs, packetsOut: 1000, packetBytesOut: 1_100_000 }),
      'identity.request': () => ({ requestPem: `request of ${this.hostId}` }),
      'transfer.start': () => ({ reading: reading(association('b', 0)) }),
      'transfer.part': () => ({ ended: 0 }),
      'transfer.status': () => ({ status: { kind: 'running', progress: null, ask: null, decisions: [], attempts: 1 } }),
    };
    return usual[name] ?? (() => ({}));
  }

  #prepare(secrets: unknown): unknown {
    const key = typeof secrets === 'object' && secrets !== null && 'preSharedKey' in secrets ? secrets.preSharedKey : null;
    this.#byCertificate = key === null;
    return { backend: 'kernel' };
  }

  #facts(spiOut: string, plainProbes: number): ProofFacts {
    const facts = factsOf(this.hostId, spiOut, plainProbes);
    return this.#byCertificate ? facts : { ...facts, certificateSha256: null };
  }
}

export function refuse(code: ConstructorParameters<typeof PlimsollError>[0]): Answer {
  return () => {
    throw new PlimsollError(code, `refused: ${code}`);
  };
}

const way = { interface: 'eth0', interfaceMtuBytes: 1500, interfaceMtuBytesMax: null, routeMtuBytes: null, tunnelMtuBytes: null };

export function reading(sa: SecurityAssociation | null): ChannelReading {
  return { sa, guard: guardState(0), errors: null };
}

export function association(peerHostId: HostId, packets: number, spiOut = 'aa'): SecurityAssociation {
  const spis = spiOut === 'aa' ? { spiOut, spiIn: 'bb' } : { spiOut, spiIn: 'aa' };
  const counters = { bytesIn: packets * 100, bytesOut: packets * 100, packetsIn: packets, packetsOut: packets };
  const keys = { mode: 'tunnel' as const, udpEncapsulated: true, encryption: 'AES_GCM_16-256', integrity: null, keyExchange: 'ECP_384' };
  const head = { peerHostId, ikeUniqueId: '1', childUniqueId: '1', protocol: 'esp', state: 'installed' } as const;
  return { ...head, ...keys, ...spis, ...counters, extendedSequenceNumbers: true, outer: null, replaced: [] };
}

export function guardState(droppedProbePackets: number): GuardState {
  return { installed: true, droppedInPackets: 0, droppedOutPackets: 0, droppedProbePackets, exemptPeers: [] };
}

/** Both ends' facts of a good proof between two hosts, `a` being the source of all migrations here. */
function factsOf(hostId: HostId, spiOut: string, plainProbes: number) {
  const peerHostId = hostId === 'a' ? 'b' : 'a';
  const ends = { before: association(peerHostId, 0, spiOut), after: association(peerHostId, 8, spiOut) };
  return {
    hostId,
    peerHostId,
    certificateSha256: certificateSha256(hostId),
    ...ends,
    guardBefore: guardState(0),
    guardAfter: guardState(4),
    protectedProbes: 8,
    plainProbes,
  };
}

export function vmSample(changes: Partial<VmSample> = {}): VmSample {
  return {
    vmId,
    name: 'web1',
    state: 'running',
    vcpus: 4,
    memoryBytes: bytes(gibibyte),
    memoryResidentBytes: bytes(gibibyte),
    cpuUsedCores: cores(0),
    cpuDelayCores: cores(0),
    netReceivedBytesPerSecond: 0,
    netSentBytesPerSecond: 0,
    diskReadBytesPerSecond: 0,
    diskWrittenBytesPerSecond: 0,
    ...changes,
  };
}

/** A host of 4 cores and 16 GiB with these VMs on it. */
export function sampleOf(hostId: HostId, sequence: number, vms: readonly VmSample[] = [], takenAtMs = Date.now()): Sample {
  const used = vms.reduce((sum, vm) => sum + (vm.cpuUsedCores ?? 0), 0);
  const host = {
    cpuUsedCores: cores(used),
    memoryUsedBytes: bytes((vms.length + 1) * gibibyte),
    capacity: { cpuCores: cores(4), memoryBytes: bytes(16 * gibibyte) },
    pressure: null,
  };
  return { hostId, sequence, bootId: 'boot1', takenAtMs, host, vms };
}
