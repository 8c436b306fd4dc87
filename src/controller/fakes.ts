/** Hand-written ports for the controller's own tests: a store and agents that can be made to fail. */
import type { SecurityAssociation } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Plan } from '#core/model/plan.ts';
import { defaultPolicy, type Mode, type Policy } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { Sample } from '#core/model/sample.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { VmSample, VmView } from '#core/model/vm.ts';
import type { Clock, Line } from '#core/ports.ts';
import type { HistoryPoint, HostRecord, JoinToken, Store, StoredReceipt } from '#core/store.ts';
import type { CommandName } from '#wire/agent-protocol.ts';
import type { ControllerParts, ControllerSettings } from './parts.ts';

export const vmId = '00000000-0000-4000-8000-000000000001';
export const otherVmId = '00000000-0000-4000-8000-000000000002';
const gibibyte = 2 ** 30;

export const policy: Policy = { ...defaultPolicy, migrationsPerClusterMax: 2, sustainedRounds: 1, smoothingHalfLifeMs: 1 };
export const settings: ControllerSettings = { version: '0.0.0', mode: 'observe', policy, planIntervalMs: 5000, historyMs: 3_600_000 };

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

/** In memory, with the rules of the real one: a plan and a receipt are written once, a token is used once. */
export class MemoryStore implements Store {
  /** Calls of these fail. */
  readonly failing = new Set<keyof Store>();
  readonly ledger: LedgerEntry[] = [];
  readonly receipts: StoredReceipt[] = [];
  readonly samples: Sample[] = [];
  readonly plans: Plan[] = [];
  readonly records = new Map<string, Migration>();
  readonly hostRecords: HostRecord[] = [];
  readonly tokens = new Map<string, JoinToken>();
  kept: Mode | null = null;
  #epoch = 0;

  nextControllerEpoch = () => this.#do('nextControllerEpoch', () => (this.#epoch += 1));
  nextVmEpoch = () => this.#do('nextVmEpoch', () => (this.#epoch += 1));
  hosts = () => this.#do('hosts', () => this.hostRecords);
  saveHost = (host: HostRecord) => this.#do('saveHost', () => void this.hostRecords.push(host));
  saveToken = (token: JoinToken) => this.#do('saveToken', () => void this.tokens.set(token.tokenHash, token));
  useToken = (tokenHash: string, atMs: number) => this.#do('useToken', () => this.#useToken(tokenHash, atMs));
  appendSamples = (samples: readonly Sample[]) => this.#do('appendSamples', () => void this.samples.push(...samples));
  history = () => this.#do('history', (): readonly HistoryPoint[] => []);
  trimHistory = () => this.#do('trimHistory', ignored);
  saveMigration = (migration: Migration) =>
    this.#do('saveMigration', () => void this.records.set(migration.request.migrationId, migration));
  migration = (migrationId: string) => this.#do('migration', () => this.records.get(migrationId) ?? null);
  migrations = ({ open }: { readonly open?: boolean }) => this.#do('migrations', () => this.#migrations(open));
  appendLedger = (entry: LedgerEntry) => this.#do('appendLedger', () => this.#appendLedger(entry));
  ledgerSince = () => this.#do('ledgerSince', () => this.ledger);
  savePlan = (plan: Plan) => this.#do('savePlan', () => void this.plans.push(plan));
  plan = (planId: string) => this.#do('plan', () => this.plans.find((plan) => plan.planId === planId) ?? null);
  latestPlan = () => this.#do('latestPlan', () => this.plans.at(-1) ?? null);
  saveReceipt = (receipt: StoredReceipt) => this.#do('saveReceipt', () => this.#saveReceipt(receipt));
  receipt = (id: string) => this.#do('receipt', () => this.receipts.find(({ migrationId }) => migrationId === id) ?? null);
  lastReceipt = () => this.#do('lastReceipt', () => this.receipts.at(-1) ?? null);
  mode = () => this.#do('mode', () => this.kept);
  saveMode = (mode: Mode) => this.#do('saveMode', () => void (this.kept = mode));
  close = () => Promise.resolve();

  async #do<Value>(name: keyof Store, work: () => Value): Promise<Value> {
    if (this.failing.has(name)) throw new Error(`${name}: disk full`);
    return work();
  }

  #useToken(tokenHash: string, atMs: number): JoinToken | null {
    const before = this.tokens.get(tokenHash) ?? null;
    if (before?.usedAtMs === null) this.tokens.set(tokenHash, { ...before, usedAtMs: atMs });
    return before;
  }

  #migrations(open: boolean | undefined): readonly Migration[] {
    return [...this.records.values()].filter(({ endedAtMs }) => open === undefined || (endedAtMs === null) === open);
  }

  #appendLedger(entry: LedgerEntry): void {
    if (!this.ledger.some(({ migrationId }) => migrationId === entry.migrationId)) this.ledger.push(entry);
  }

  #saveReceipt(receipt: StoredReceipt): void {
    if (this.receipts.some(({ migrationId }) => migrationId === receipt.migrationId)) throw new Error('a receipt is written once');
    this.receipts.push(receipt);
  }
}

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
  readonly logged: readonly string[];
  /** Hands a line to the controller, as its listener for agents does. */
  readonly dialIn: (hostId: HostId, line: FakeLine) => void;
}

export function fakeParts(store = new MemoryStore()): FakeParts {
  const logged: string[] = [];
  const note = (message: string, fields?: object) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  let accept: (hostId: HostId, line: Line) => void = ignored;
  let ids = 0;
  return {
    clock: timerClock,
    random: { id: () => `id${(ids += 1)}`, fraction: () => 0.5 },
    log: { info: note, warn: note, error: note },
    store,
    lines: { onLine: (listener) => (accept = listener) },
    signer: { keyId: 'key1', sign: (data) => checksum(data) },
    verifier: { verify: (data, signature) => new TextDecoder().decode(signature) === new TextDecoder().decode(checksum(data)) },
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

export const hello = (hostId: HostId) => ({
  type: 'hello',
  protocol: 1,
  agentVersion: '0.0.0',
  bootId: 'boot1',
  addresses: { underlay: `10.0.0.${hostId.charCodeAt(0)}`, protected: `10.1.0.${hostId.charCodeAt(0)}`, interface: 'eth0' },
  hypervisor: 'fake',
  ipsec: 'fake',
});

export function runningVm(changes: Partial<VmView> = {}): VmView {
  return { vmId, name: 'web1', state: 'running', vcpus: 1, memoryBytes: bytes(gibibyte), persistent: true, jobActive: false, ...changes };
}

/** A host with its agent: answers each command as a sound one does unless the test says otherwise. */
export class FakeAgent {
  readonly hostId: HostId;
  vm: VmView | null;
  line = new FakeLine();
  /** Names of the commands that came, in order. */
  readonly asked: CommandName[] = [];
  readonly answers: Partial<Record<CommandName, Answer>> = {};
  readonly #parts: FakeParts;

  constructor(parts: FakeParts, hostId: HostId, vm: VmView | null = null) {
    this.#parts = parts;
    this.hostId = hostId;
    this.vm = vm;
    this.dial();
  }

  dial(): void {
    const line = new FakeLine();
    this.line = line;
    line.onSent = (message) => void this.#receive(line, message as { type: string; commandId: string; name: CommandName; args: object });
    this.#parts.dialIn(this.hostId, line);
    line.deliver(hello(this.hostId));
  }

  /** Answers this command as usual, but only then. */
  delay(name: CommandName, until: Promise<void>): void {
    this.answers[name] = (args) => until.then(() => this.#usual(name)(args));
  }

  async #receive(line: FakeLine, message: { type: string; commandId: string; name: CommandName; args: object }): Promise<void> {
    if (message.type !== 'command') return;
    const { commandId, name, args } = message;
    this.asked.push(name);
    try {
      const value = await (this.answers[name] ?? this.#usual(name))({ ...args });
      if (value !== silence) line.deliver({ type: 'reply', commandId, ok: true, value });
    } catch (error) {
      line.deliver({ type: 'reply', commandId, ok: false, refusal: refusalOf(error) });
    }
  }

  #usual(name: CommandName): Answer {
    const usual: Partial<Record<CommandName, Answer>> = {
      'vm.find': () => ({ vm: this.vm }),
      'vm.check-destination': () => ({ refusal: null, hypervisor: 'fake' }),
      'channel.prepare': () => ({ backend: 'kernel' }),
      'channel.establish': () => ({ sa: association('b', 0) }),
      'channel.state': () => ({ sa: association('b', 5000), guard: guardState(0) }),
      'channel.probe': () => ({ facts: factsOf(this.hostId, 'aa', 4) }),
      'channel.heard': () => ({ facts: factsOf(this.hostId, 'bb', 0) }),
      'transfer.start': () => ({ sa: association('b', 0) }),
      'transfer.status': () => ({ status: { kind: 'running', progress: null } }),
    };
    return usual[name] ?? (() => ({}));
  }
}

export function refuse(code: ConstructorParameters<typeof PlimsollError>[0]): Answer {
  return () => {
    throw new PlimsollError(code, `refused: ${code}`);
  };
}

function association(peerHostId: HostId, packets: number, spiOut = 'aa'): SecurityAssociation {
  const spis = spiOut === 'aa' ? { spiOut, spiIn: 'bb' } : { spiOut, spiIn: 'aa' };
  const counters = { bytesIn: packets * 100, bytesOut: packets * 100, packetsIn: packets, packetsOut: packets };
  const keys = { mode: 'tunnel' as const, udpEncapsulated: true, encryption: 'AES_GCM_16-256', integrity: null, keyExchange: 'ECP_384' };
  return { peerHostId, ikeUniqueId: '1', childUniqueId: '1', state: 'installed', ...keys, ...spis, ...counters };
}

function guardState(droppedProbePackets: number) {
  return { installed: true, droppedInPackets: 0, droppedOutPackets: 0, droppedProbePackets };
}

/** Both ends' facts of a good proof between two hosts, `a` being the source of all migrations here. */
function factsOf(hostId: HostId, spiOut: string, plainProbes: number) {
  const peerHostId = hostId === 'a' ? 'b' : 'a';
  const ends = { before: association(peerHostId, 0, spiOut), after: association(peerHostId, 8, spiOut) };
  return { hostId, peerHostId, ...ends, guardBefore: guardState(0), guardAfter: guardState(4), protectedProbes: 8, plainProbes };
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
