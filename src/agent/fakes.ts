/** Hand-written ports for the agent's own tests: a host whose parts can be broken one by one. */
import { encodeBase64 } from '#core/access/base64.ts';
import { preAuthenticationEncoding, ticketPayloadType } from '#core/access/envelope.ts';
import { emptyMemory } from '#core/access/ticket-gate.ts';
import type { GuardState, SecurityAssociation } from '#core/model/channel.ts';
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { SignedTicket, Ticket } from '#core/model/ticket.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { VmView } from '#core/model/vm.ts';
import type { AgentMemory, AgentMemoryState, Clock, Hypervisor, Ipsec, Line, MigrateRequest, Verifier } from '#core/ports.ts';
import type { CommandArgs, Peer } from '#wire/agent-protocol.ts';
import type { AgentParts, AgentSettings } from './parts.ts';

export const vmId = '00000000-0000-4000-8000-000000000001';
export const peer: Peer = { hostId: 'b', addresses: { underlay: '10.0.0.2', protected: '10.1.0.2', interface: 'eth0' } };
export const otherPeer: Peer = { ...peer, hostId: 'c' };

export const settings: AgentSettings = {
  hostId: 'a',
  addresses: { underlay: '10.0.0.1', protected: '10.1.0.1', interface: 'eth0' },
  sampleIntervalMs: 3000,
  memoryCapacityBytes: null,
  version: '0.0.0',
};

export const startArgs: CommandArgs<'transfer.start'> = {
  migrationId: 'm1',
  vmId,
  peer,
  bandwidthBytesPerSecond: 0,
  downtimeMsMax: 300,
};

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

export function association(changes: Partial<SecurityAssociation> = {}): SecurityAssociation {
  return {
    peerHostId: 'b',
    ikeUniqueId: '1',
    childUniqueId: '1',
    state: 'installed',
    mode: 'tunnel',
    udpEncapsulated: true,
    encryption: 'AES_GCM_16-256',
    integrity: null,
    keyExchange: 'ECP_384',
    spiIn: 'bb',
    spiOut: 'aa',
    bytesIn: 0,
    bytesOut: 0,
    packetsIn: 0,
    packetsOut: 0,
    ...changes,
  };
}

export function runningVm(changes: Partial<VmView> = {}): VmView {
  return { vmId, name: 'web1', state: 'running', vcpus: 1, memoryBytes: bytes(2 ** 30), persistent: true, jobActive: false, ...changes };
}

/** A keyed checksum: enough to tell the controller's key from another and a changed byte from the signed one. */
export function checksum(key: string, data: Uint8Array): Uint8Array {
  let sum = 0;
  for (const byte of [...new TextEncoder().encode(key), ...data]) sum = (Math.imul(sum, 31) + byte) >>> 0;
  return new TextEncoder().encode(`${key} ${sum}`);
}

export const controllerKey = 'controller';
const ticketVerifier: Verifier = {
  verify: (data, signature) => new TextDecoder().decode(signature) === new TextDecoder().decode(checksum(controllerKey, data)),
};

export function ticketOf(changes: Partial<Ticket> = {}): Ticket {
  const common = { ticketId: 't1', migrationId: 'm1', vmId, fromHostId: 'a', toHostId: 'b', vmEpoch: 3, controllerEpoch: 2 };
  return { ...common, issuedAtMs: 0, expiresAtMs: 100_000, ...changes };
}

export function signed(ticket: unknown, key = controllerKey, type = ticketPayloadType): SignedTicket {
  const payload = new TextEncoder().encode(JSON.stringify(ticket));
  return { payload: encodeBase64(payload), signature: encodeBase64(checksum(key, preAuthenticationEncoding(type, payload))) };
}

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

export class FakeHypervisor implements Hypervisor {
  vm: VmView | null = runningVm();
  fault: PlimsollError | null = null;
  /** What was asked for with an effect, in order. */
  readonly done: string[] = [];
  readonly migrations: MigrateRequest[] = [];
  /** Ends the migration under way. */
  complete: (outcome: JobOutcome) => void = ignored;
  progress: (progress: Progress) => void = ignored;

  version = () => Promise.resolve('fake 1.0');
  listVms = () => Promise.resolve(this.vm ? [this.vm] : []);
  sampleVms = async () => {
    if (this.fault) throw this.fault;
    return [];
  };
  findVm = async () => {
    if (this.fault) throw this.fault;
    return this.vm;
  };
  migrate = (request: MigrateRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> => {
    this.migrations.push(request);
    this.progress = onProgress;
    return new Promise((resolve, reject) => {
      this.complete = resolve;
      signal.addEventListener('abort', () => reject(new PlimsollError('aborted', 'aborted; the VM runs here')), { once: true });
    });
  };
  abortJob = async () => void this.done.push('abort-job');
  resume = async () => void this.done.push('resume');
  destroy = async () => void this.done.push('destroy');
  onEvent = () => ignored;
  close = () => Promise.resolve();
}

export class FakeIpsec implements Ipsec {
  sas: readonly SecurityAssociation[] = [association()];
  fault: PlimsollError | null = null;
  /** Readings neither come back nor fail. */
  hangs = false;

  backend = () => Promise.resolve('kernel' as const);
  version = () => Promise.resolve('fake 1.0');
  prepare = () => Promise.resolve();
  establish = async () => association();
  listSas = async () => {
    if (this.hangs) await new Promise(ignored);
    if (this.fault) throw this.fault;
    return this.sas;
  };
  remove = async () => {
    this.sas = [];
  };
  onSaChange = () => ignored;
  close = () => Promise.resolve();
}

export interface FakeWorld {
  readonly parts: AgentParts;
  readonly hypervisor: FakeHypervisor;
  readonly ipsec: FakeIpsec;
  readonly guard: { installed: boolean };
  readonly memory: FakeMemory;
  /** Lines that the agent has dialled. */
  readonly lines: FakeLine[];
  readonly logged: string[];
  /** Nonces that are listened for at this moment. */
  readonly heardNonces: string[];
}

export function fakeWorld(): FakeWorld {
  const hypervisor = new FakeHypervisor();
  const ipsec = new FakeIpsec();
  const guard = { installed: true };
  const memory = new FakeMemory();
  const lines: FakeLine[] = [];
  const logged: string[] = [];
  const heardNonces: string[] = [];
  const note = (message: string, fields?: object) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const guardState = (): GuardState => ({ ...guard, droppedInPackets: 0, droppedOutPackets: 0, droppedProbePackets: 0 });
  const parts: AgentParts = {
    clock: timerClock,
    random: { id: () => 'boot1', fraction: () => 0.5 },
    log: { info: note, warn: note, error: note },
    hypervisor,
    ipsec,
    guard: { install: () => Promise.resolve(), inspect: async () => guardState(), remove: () => Promise.resolve() },
    prober: {
      listen: async (_addresses, nonce) => {
        heardNonces.push(nonce);
        const close = async () => void heardNonces.splice(heardNonces.indexOf(nonce), 1);
        return { counts: () => ({ protectedProbes: 8, plainProbes: 0 }), close };
      },
      sendProtected: async ({ count }) => {
        ipsec.sas = ipsec.sas.map((sa) => ({ ...sa, packetsOut: sa.packetsOut + count, packetsIn: sa.packetsIn + count }));
        return count;
      },
      sendPlain: async ({ count }) => count,
    },
    hostMeter: {
      read: async () => ({
        cpuUsedCores: cores(1),
        memoryUsedBytes: bytes(2 ** 30),
        capacity: { cpuCores: cores(4), memoryBytes: bytes(4 * 2 ** 30) },
        pressure: null,
      }),
    },
    dialer: {
      dial: async () => {
        const line = new FakeLine();
        lines.push(line);
        return line;
      },
    },
    memory,
    identity: { hostId: 'a', certificatePem: '', privateKeyPem: '', caPem: '' },
    ticketVerifier,
  };
  return { parts, hypervisor, ipsec, guard, memory, lines, logged, heardNonces };
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
