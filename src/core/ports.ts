/**
 * What Plimsoll needs from the world. Drivers implement these on real systems, the simulator in virtual
 * time. Every wait takes an AbortSignal; expected failures reject with a PlimsollError (stable `code`).
 */
import type {
  ChannelProfile,
  ChannelSecrets,
  GuardState,
  IpsecBackend,
  IpsecErrors,
  PeerTuning,
  SecurityAssociation,
  WayFacts,
} from './model/channel.ts';

import type { HostAddresses, HostId } from './model/host.ts';
import type { HostCost } from './model/measures.ts';

import type { BootTime, LeaseGrant } from './model/recovery.ts';
import type { HostReading } from './model/sample.ts';

import type { VmId } from './model/vm.ts';

export type { Hypervisor, HypervisorEvent, JobChange, MigrateRequest } from './hypervisor.ts';
export type { Echo, EchoReport, Witness } from './witness.ts';

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

/** This host's identity: one key and certificate for the agent, libvirt's TLS and IKEv2. PEM. */
export interface HostIdentity {
  readonly hostId: HostId;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** The cluster's root: the one trust anchor. */
  readonly caPem: string;
  /** The CAs between root and leaves that are in use now, one after the other. */
  readonly intermediatesPem: string;
  /** Newest list of each CA. Empty only before the controller has sent any. */
  readonly crlPems: readonly string[];
  readonly notAfterMs: number;
}

/** What changes in a cluster's trust without a new certificate for this host. */
export interface TrustUpdate {
  readonly intermediatesPem: string;
  readonly crlPems: readonly string[];
}

/** Keeps the host's identity on disk. The private key is made here and never leaves. Rejects with `config-invalid`, `input-invalid`. */
export interface IdentityKeeper {
  current(): HostIdentity;
  /** Makes a new key, kept aside until its certificate comes, and returns the request (PKCS#10, PEM). */
  request(): Promise<string>;
  /** Takes the certificate for the key of the newest request into use, durably; refuses one that does not verify. */
  install(certificatePem: string, intermediatesPem: string): Promise<HostIdentity>;
  /** Takes newer lists and CAs into use, durably; refuses a list that is older than, or not signed like, the present one. */
  updateTrust(update: TrustUpdate): Promise<HostIdentity>;
}

/** The two ends of a channel as one of them sees it. */
export interface ChannelPeer {
  readonly localAddresses: HostAddresses;
  readonly peerHostId: HostId;
  readonly peerAddresses: HostAddresses;
  readonly profile: ChannelProfile;
  readonly secrets: ChannelSecrets;
}

/** IPsec on one host. Rejects with `ipsec-unavailable` while the daemon is away, `ipsec-failed` otherwise. */
export interface Ipsec {
  backend(signal: AbortSignal): Promise<IpsecBackend>;
  /** Such as `strongSwan 5.9.8`. */
  version(signal: AbortSignal): Promise<string>;
  /** Loads credentials and the connection to this one peer; idempotent. */
  prepare(peer: ChannelPeer, identity: HostIdentity, signal: AbortSignal): Promise<void>;
  /** Initiates (if no SA of this profile is up) and returns the installed SA. */
  establish(peer: ChannelPeer, signal: AbortSignal): Promise<SecurityAssociation>;
  /** Replaces the keys of the channel to this peer now; resolves when the new SA is installed. */
  rekey(peerHostId: HostId, signal: AbortSignal): Promise<void>;
  /** Null when this host cannot count them. */
  errors(signal: AbortSignal): Promise<IpsecErrors | null>;
  /** Makes the daemon use these CAs and revocation lists from now on, for peers that are prepared already too. */
  updateTrust(identity: HostIdentity, signal: AbortSignal): Promise<void>;
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
  /** Lets migration traffic with this peer pass in plain text; the kernel ends it by itself after `lifetimeMs`. 0 ends it now. */
  exempt(peerUnderlay: string, lifetimeMs: number, signal: AbortSignal): Promise<void>;
  /** Removes Plimsoll's own rules and nothing else. */
  remove(signal: AbortSignal): Promise<void>;
}

/**
 * Fixed UDP ports of the probes. The guard lets the plain one out (it carries a nonce only) and never in. Protected probes are sent
 * from `sender`, so that the selectors of transport mode can name them. `path` is no migration traffic: it measures the underlay.
 */
export const probePorts = { path: 49_148, sender: 49_149, protected: 49_150, plain: 49_151 } as const;

export interface ProbeListener {
  /** What came in so far that carried the nonce. */
  counts(): { readonly protectedProbes: number; readonly plainProbes: number };
  close(): Promise<void>;
}

/** Something that listens until it is closed. */
export interface Listening {
  close(): Promise<void>;
}

/** Sends and receives probes. In transport mode a host's `protected` address is its underlay address. */
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
  /** Answers path probes on the underlay address. */
  answerPath(addresses: HostAddresses, nonce: string, signal: AbortSignal): Promise<Listening>;
  /**
   * Whether an IP packet of exactly `packetBytes`, which no router may fragment (IPv4 DF), reaches the peer's underlay address:
   * sent up to three times, answered by a small packet.
   */
  probePath(
    options: {
      readonly from: HostAddresses;
      readonly to: HostAddresses;
      readonly nonce: string;
      readonly packetBytes: number;
      readonly timeoutMs: number;
    },
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Takes in one bulk TCP stream on the protected address; the port is free and is told to the sender. */
  receiveStream(addresses: HostAddresses, nonce: string, signal: AbortSignal): Promise<Listening & { readonly port: number }>;
  /** Sends as much as goes through in about `durationMs`; counts what the peer has confirmed. */
  sendStream(
    options: {
      readonly from: HostAddresses;
      readonly to: HostAddresses;
      readonly port: number;
      readonly nonce: string;
      readonly durationMs: number;
    },
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number; readonly durationMs: number }>;
}

/** Packet sizes on the way to a peer. Rejects with `channel-failed` when the host's network cannot be read or changed. */
export interface Network {
  way(peerUnderlay: string, signal: AbortSignal): Promise<WayFacts>;
  /** Makes these settings, and notes durably first what was there before. Idempotent; newer settings for a peer replace older ones. */
  tune(tuning: PeerTuning, signal: AbortSignal): Promise<void>;
  /** Puts back what was there before, for one peer or for all; also what an earlier process had changed. */
  restore(peerHostId: HostId | null, signal: AbortSignal): Promise<void>;
  tuned(signal: AbortSignal): Promise<readonly PeerTuning[]>;
}

/** The host's own load. */
export interface HostMeter {
  /** CPU since the previous call; null on the first. */
  read(signal: AbortSignal): Promise<HostReading>;
}

/** CPU time of the processes that a migration costs, since they began. */
export interface CostMeter {
  read(vmId: VmId, signal: AbortSignal): Promise<HostCost>;
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

export interface CertificateOrder {
  /** PKCS#10, PEM: proves the host's key. Name and addresses in it count for nothing. */
  readonly requestPem: string;
  readonly hostId: HostId;
  readonly addresses: Pick<HostAddresses, 'underlay' | 'protected'>;
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

export interface IssuedCertificate {
  readonly certificatePem: string;
  /** The CA that signed it first. */
  readonly intermediatesPem: string;
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** Of the DER, hex. */
  readonly sha256: string;
  /** Subject key identifier of the CA that signed it, hex: whose revocation list may name it. */
  readonly authorityId: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface RevokedCertificate {
  readonly serialNumber: string;
  readonly authorityId: string;
  readonly revokedAtMs: number;
}

export interface AuthorityState {
  readonly rootSha256: string;
  readonly rootNotAfterMs: number;
  readonly intermediateNotAfterMs: number;
  /** False when the root's key was taken away: no new intermediate can be made here. */
  readonly rootKeyPresent: boolean;
}

/** The cluster's certificate authority: an offline-able root and a short-lived intermediate. Rejects with `input-invalid`, `config-invalid`. */
export interface Authority {
  issueHost(order: CertificateOrder): Promise<IssuedCertificate>;
  /** One list of each CA, newest number, that names these certificates (and no others). */
  trust(revoked: readonly RevokedCertificate[], nowMs: number): Promise<TrustUpdate>;
  /** Makes a new intermediate when the present one is past two thirds of its life and the root's key is there; tells whether it did. */
  renewIntermediate(nowMs: number): Promise<boolean>;
  state(): AuthorityState;
}

/** Signs with the controller's key (Ed25519). */
export interface Signer {
  readonly keyId: string;
  /** Certificate of this key and the CAs up to the root, PEM: lets anybody who has the root verify what was signed. */
  readonly certificatesPem: string;
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

/** Keeps the host's lease where it outlives the agent's process and ends with the machine, as the VMs do. Rejects with `config-invalid`. */
export interface LeaseBook {
  /** By a clock that goes on while the machine sleeps. */
  now(): BootTime;
  /** Null: none was kept since this boot. */
  load(): Promise<LeaseGrant | null>;
  save(grant: LeaseGrant): Promise<void>;
}

export interface AgentMemoryState {
  readonly controllerEpoch: number;
  readonly vmEpochs: Readonly<Record<VmId, number>>;
  /** Used ticket ids with their expiry; expired ones may be dropped. */
  readonly usedTickets: Readonly<Record<string, number>>;
  /** VMs that were to come here by the newest ticket of theirs, with this machine's boot (`BootTime.bootId`) at that time. */
  readonly arrivals: Readonly<Record<VmId, string>>;
}
