import type { HostId } from './host.ts';

/** Which implementation carries ESP on a host: the kernel's own, or charon's userspace one through a TUN device. */
export type IpsecBackend = 'kernel' | 'libipsec';

/** One CHILD_SA as a host reports it. SPIs are lower-case hex without prefix. */
export interface SecurityAssociation {
  readonly peerHostId: HostId;
  readonly ikeUniqueId: string;
  readonly childUniqueId: string;
  readonly state: 'installed' | 'rekeying' | 'deleting' | 'other';
  readonly mode: 'tunnel' | 'transport' | 'other';
  readonly udpEncapsulated: boolean;
  /** Such as `AES_GCM_16-256`. */
  readonly encryption: string;
  /** Integrity algorithm; null for AEAD ciphers, which carry their own. */
  readonly integrity: string | null;
  readonly keyExchange: string;
  readonly spiIn: string;
  readonly spiOut: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
}

/** What the guard on one host has done so far. */
export interface GuardState {
  readonly installed: boolean;
  /** Plain-text packets dropped on their way in, and out; since the guard was installed. */
  readonly droppedInPackets: number;
  readonly droppedOutPackets: number;
  /** The part of `droppedInPackets` that were plain-text probes. */
  readonly droppedProbePackets: number;
}

/** One end's facts for the proof of a channel. */
export interface ProofFacts {
  readonly hostId: HostId;
  readonly peerHostId: HostId;
  readonly before: SecurityAssociation | null;
  readonly after: SecurityAssociation | null;
  readonly guardBefore: GuardState;
  readonly guardAfter: GuardState;
  /** Probes sent into, or received out of, the channel. */
  readonly protectedProbes: number;
  /** Probes sent, or received, in plain text. A receiver that counts one has no working guard. */
  readonly plainProbes: number;
}

/** Evidence that a channel protects: made before the first byte of a VM, valid for a short time. */
export interface Proof {
  readonly provenAtMs: number;
  readonly encryption: string;
  readonly keyExchange: string;
  readonly mode: string;
  readonly spiSourceToDestination: string;
  readonly spiDestinationToSource: string;
  readonly protectedProbes: number;
  readonly plainProbesDropped: number;
}
