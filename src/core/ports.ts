/**
 * What Plimsoll needs from the world. Drivers implement these on real systems, the simulator in virtual
 * time. Every wait takes an AbortSignal; expected failures reject with a PlimsollError (stable `code`).
 */
import type { GuardState, IpsecBackend, SecurityAssociation } from './model/channel.ts';
import type { HostAddresses, HostId } from './model/host.ts';
import type { JobOutcome, Progress } from './model/migration.ts';
import type { HostReading } from './model/sample.ts';
import type { VmId, VmSample, VmView } from './model/vm.ts';

/** Time. `nowMs` is wall-clock time since the Unix epoch; `monotonicMs` never jumps. */
export interface Clock {
  nowMs(): number;
  monotonicMs(): number;
  /** Resolves after `durationMs`; rejects with the signal's reason when it aborts first. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  /** A new unguessable id, lower-case letters and digits. */
  id(): string;
  /** Uniform in [0, 1). */
  fraction(): number;
}

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** A live migration from this host. */
export interface MigrateRequest {
  readonly vmId: VmId;
  readonly peerHostId: HostId;
  /** The destination's protected address: control connection and data stream both go there. */
  readonly peerProtectedAddress: string;
  /** 0 = no cap. */
  readonly bandwidthBytesPerSecond: number;
  readonly downtimeMsMax: number;
}

export type HypervisorEvent =
  | { readonly kind: 'vm-changed'; readonly vmId: VmId }
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected' };

/**
 * The hypervisor of one host. Rejects with `hypervisor-unavailable` while its daemon is away (the driver
 * reconnects by itself), `vm-unknown`, `vm-not-running`, `vm-busy`, `hypervisor-failed`.
 */
export interface Hypervisor {
  /** Such as `libvirt 9.0.0, QEMU 7.2.22`. */
  version(signal: AbortSignal): Promise<string>;
  listVms(signal: AbortSignal): Promise<readonly VmView[]>;
  /** Null when this host does not have the VM. */
  findVm(vmId: VmId, signal: AbortSignal): Promise<VmView | null>;
  /** One bulk reading of all running VMs; rates since the previous call, null on the first. */
  sampleVms(signal: AbortSignal): Promise<readonly VmSample[]>;
  /**
   * Runs the whole migration; resolves when the hypervisor says it is complete. `onProgress` at about 4 Hz.
   * Aborting the signal aborts the job and rejects with `aborted`; the VM then still runs here.
   */
  migrate(request: MigrateRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome>;
  abortJob(vmId: VmId, signal: AbortSignal): Promise<void>;
  resume(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** Stops this host's copy at once; used only on a copy that the decision table has named an orphan. */
  destroy(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** Hints only: a listener reads the state again. Returns the way to stop. */
  onEvent(listener: (event: HypervisorEvent) => void): () => void;
  close(): Promise<void>;
}

/** This host's identity: one key and certificate for the agent, libvirt's TLS and IKEv2. PEM. */
export interface HostIdentity {
  readonly hostId: HostId;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly caPem: string;
}

/** The two ends of a channel as one of them sees it. */
export interface ChannelPeer {
  readonly localAddresses: HostAddresses;
  readonly peerHostId: HostId;
  readonly peerAddresses: HostAddresses;
}

/** IPsec on one host. Rejects with `ipsec-unavailable` while the daemon is away, `ipsec-failed` otherwise. */
export interface Ipsec {
  backend(signal: AbortSignal): Promise<IpsecBackend>;
  /** Such as `strongSwan 5.9.8`. */
  version(signal: AbortSignal): Promise<string>;
  /** Loads credentials and the connection to this one peer; idempotent. */
  prepare(peer: ChannelPeer, identity: HostIdentity, signal: AbortSignal): Promise<void>;
  /** Initiates (if no SA is up) and returns the installed SA. */
  establish(peer: ChannelPeer, signal: AbortSignal): Promise<SecurityAssociation>;
  /** All CHILD_SAs of connections that Plimsoll made. */
  listSas(signal: AbortSignal): Promise<readonly SecurityAssociation[]>;
  /** Terminates the SAs with this peer and unloads the connection; idempotent. */
  remove(peerHostId: HostId, signal: AbortSignal): Promise<void>;
  onSaChange(listener: (change: { readonly peerHostId: HostId; readonly up: boolean }) => void): () => void;
  close(): Promise<void>;
}

export interface GuardSpec {
  readonly addresses: HostAddresses;
  readonly backend: IpsecBackend;
}

/** The kernel rule that drops migration traffic outside IPsec, whether or not any daemon lives. */
export interface Guard {
  /** Installs or repairs the rules; idempotent; counters of intact rules are kept. */
  install(spec: GuardSpec, signal: AbortSignal): Promise<void>;
  inspect(signal: AbortSignal): Promise<GuardState>;
  /** Removes Plimsoll's own rules and nothing else. */
  remove(signal: AbortSignal): Promise<void>;
}

/** Fixed ports of the probes; the guard lets the plain one out (it carries a nonce only) and never in. */
export const probePorts = { protected: 49_150, plain: 49_151 } as const;

export interface ProbeListener {
  /** What came in so far that carried the nonce. */
  counts(): { readonly protectedProbes: number; readonly plainProbes: number };
  close(): Promise<void>;
}

/** Sends and receives proof probes. */
export interface Prober {
  /** Receives on the protected and on the underlay address, and answers the protected ones. */
  listen(addresses: HostAddresses, nonce: string, signal: AbortSignal): Promise<ProbeListener>;
  /** Sends `count` probes of `sizeBytes` into the channel; resolves with the number answered within `timeoutMs`. */
  sendProtected(
    options: {
      readonly from: HostAddresses;
      readonly to: HostAddresses;
      readonly nonce: string;
      readonly count: number;
      readonly sizeBytes: number;
      readonly timeoutMs: number;
    },
    signal: AbortSignal,
  ): Promise<number>;
  /** Sends `count` probes in plain text to the peer's underlay address. Resolves with the number sent. */
  sendPlain(
    options: { readonly from: HostAddresses; readonly to: HostAddresses; readonly nonce: string; readonly count: number },
    signal: AbortSignal,
  ): Promise<number>;
}

/** The host's own load. */
export interface HostMeter {
  /** CPU since the previous call; null on the first. */
  read(signal: AbortSignal): Promise<HostReading>;
}

/** One open line between an agent and the controller; messages are JSON values, validated by the receiver. */
export interface Line {
  send(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called once, with a short reason. */
  onClose(listener: (reason: string) => void): void;
  close(reason: string): void;
}

/** The agent's way out: dials the controller. Rejects with `link-lost`. */
export interface Dialer {
  dial(signal: AbortSignal): Promise<Line>;
}

/** The controller's way in. The host's name comes from its certificate, never from a message. */
export interface LineServer {
  onLine(listener: (hostId: HostId, line: Line) => void): void;
}

/** Signs with the controller's key (Ed25519). */
export interface Signer {
  readonly keyId: string;
  sign(data: Uint8Array): Uint8Array;
}

export interface Verifier {
  verify(data: Uint8Array, signature: Uint8Array): boolean;
}

/** What an agent must not forget when it dies: epochs and used tickets. Durable when `save` resolves. */
export interface AgentMemory {
  load(): Promise<AgentMemoryState>;
  save(state: AgentMemoryState): Promise<void>;
}

export interface AgentMemoryState {
  readonly controllerEpoch: number;
  readonly vmEpochs: Readonly<Record<VmId, number>>;
  /** Used ticket ids with their expiry; expired ones may be dropped. */
  readonly usedTickets: Readonly<Record<string, number>>;
}
