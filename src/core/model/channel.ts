import type { HostId } from './host.ts';

/** Which implementation carries ESP on a host: the kernel's own, or charon's userspace one through a TUN device. */
export type IpsecBackend = 'kernel' | 'libipsec';

/**
 * How the traffic of one channel is wrapped. `ah` alone encrypts nothing: it is refused for the memory of a VM.
 * `ah+esp` is ESP inside AH (RFC 4301 section 4.5: two SAs applied one after the other), both in transport mode.
 */
export type ProfileName = 'esp-tunnel' | 'esp-transport' | 'ah' | 'ah+esp';

/** What two hosts agree to use. Proposals are in strongSwan's words, such as `aes256gcm16-prfsha384-ecp384`, best first. */
export interface ChannelProfile {
  readonly name: ProfileName;
  readonly ikeProposals: readonly string[];
  readonly espProposals: readonly string[];
  /** Used by `ah` and `ah+esp` only. */
  readonly ahProposals: readonly string[];
  /** `when-needed`: where a NAT is found or the backend can do nothing else. */
  readonly udpEncapsulation: 'when-needed' | 'always';
  readonly authentication: 'certificate' | 'psk';
  /** Mixes a second pre-shared key into IKE's keys, so that a quantum computer alone does not break them (RFC 8784). */
  readonly postQuantumKey: boolean;
  /** A CHILD_SA is replaced after this time, or this many bytes in either direction, whatever comes first. */
  readonly rekeySeconds: number;
  readonly rekeyBytes: number;
  readonly replayWindowPackets: number;
}

/** Pre-shared keys of one channel, base64. Null where the profile asks for none. Never in a log, argv or environment. */
export interface ChannelSecrets {
  readonly preSharedKey: string | null;
  readonly postQuantumKey: string | null;
}

/**
 * What protects a migration. Everything but `ipsec` is weaker, exists to be compared with, is never chosen automatically and needs a
 * break-glass grant: `qemu-tls` libvirt's native TLS of the data stream, `ssh` a forwarded port, `sealed-image` save, encrypt,
 * transfer, decrypt, restore; `none` is plain text.
 */
export type ChannelKind = 'ipsec' | 'qemu-tls' | 'ssh' | 'sealed-image' | 'none';

export interface SaCounters {
  readonly spiIn: string;
  readonly spiOut: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
}

/** The AH association that an ESP association of profile `ah+esp` is wrapped in. */
export interface OuterAssociation extends SaCounters {
  readonly integrity: string;
}

/**
 * One CHILD_SA as a host reports it. SPIs are lower-case hex without prefix. Counters are of this SA alone; `replaced` holds
 * those that it replaced by rekeying, oldest first, as far as the host has seen them (the newest 64).
 */
export interface SecurityAssociation extends SaCounters {
  readonly peerHostId: HostId;
  readonly ikeUniqueId: string;
  readonly childUniqueId: string;
  readonly protocol: 'esp' | 'ah';
  readonly state: 'installed' | 'rekeying' | 'deleting' | 'other';
  readonly mode: 'tunnel' | 'transport' | 'other';
  readonly udpEncapsulated: boolean;
  /** Such as `AES_GCM_16-256`; `none` for AH. */
  readonly encryption: string;
  /** Integrity algorithm; null for AEAD ciphers, which carry their own. */
  readonly integrity: string | null;
  readonly keyExchange: string;
  /** Sequence numbers of 64 bits (RFC 4304). */
  readonly extendedSequenceNumbers: boolean;
  readonly outer: OuterAssociation | null;
  readonly replaced: readonly SaCounters[];
}

/**
 * Packets that IPsec refused on this host, of all its SAs, since its daemon (userspace ESP) or its kernel started. Null: cannot be read.
 */
export interface IpsecErrors {
  /** Integrity check failed: changed on the way, or another key. */
  readonly integrityPackets: number;
  /** Outside the replay window, or seen before. */
  readonly replayPackets: number;
  readonly unknownSpiPackets: number;
  /** Arrived in plain text where a policy wants IPsec. */
  readonly plainTextPackets: number;
}

/** The state of one end of a channel at one moment. */
export interface ChannelReading {
  readonly sa: SecurityAssociation | null;
  readonly guard: GuardState;
  readonly errors: IpsecErrors | null;
}

/** What the guard on one host has done so far. */
export interface GuardState {
  readonly installed: boolean;
  /** Plain-text packets dropped on their way in, and out; since the guard was installed. */
  readonly droppedInPackets: number;
  readonly droppedOutPackets: number;
  /** The part of `droppedInPackets` that were plain-text probes. */
  readonly droppedProbePackets: number;
  /** Underlay addresses of peers that a break-glass grant lets through in plain text for now. */
  readonly exemptPeers: readonly string[];
}

/** One end's facts for the proof of a channel. */
export interface ProofFacts {
  readonly hostId: HostId;
  readonly peerHostId: HostId;
  /** SHA-256 of this end's certificate (DER), hex; null when the channel authenticates by pre-shared key. */
  readonly certificateSha256: string | null;
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
  readonly profile: ProfileName;
  /**
   * How each end has authenticated the other one. No daemon tells it of an SA that is up: it is what both ends were given as the only
   * way, and the certificates are those that each end says it has shown.
   */
  readonly authentication: ChannelProfile['authentication'];
  /**
   * The SA's keys have an RFC 8784 pre-shared key mixed in: both ends were given it as required, and the daemon that initiated the SA
   * says that it was used (without the same key at the other end, IKE_AUTH fails).
   */
  readonly postQuantumKey: boolean;
  readonly sourceCertificateSha256: string | null;
  readonly destinationCertificateSha256: string | null;
  readonly encryption: string;
  readonly integrity: string | null;
  readonly keyExchange: string;
  readonly extendedSequenceNumbers: boolean;
  readonly mode: string;
  readonly spiSourceToDestination: string;
  readonly spiDestinationToSource: string;
  readonly protectedProbes: number;
  readonly plainProbesDropped: number;
}

/** The way from a host to a peer's underlay address, as its own network stack knows it. MTUs are of whole IP packets. */
export interface WayFacts {
  readonly interface: string;
  readonly interfaceMtuBytes: number;
  /** The largest MTU the device takes; null when it does not say. */
  readonly interfaceMtuBytesMax: number | null;
  /** MTU of the route, set by hand or learned from ICMP; null when it has none of its own. */
  readonly routeMtuBytes: number | null;
  /** MTU of the TUN device that userspace ESP goes through; null with the kernel's IPsec. */
  readonly tunnelMtuBytes: number | null;
}

/** Settings of one host for the traffic to one peer; null leaves a setting as it is. */
export interface PeerTuning {
  readonly peerHostId: HostId;
  readonly peerUnderlay: string;
  /** The address the migration goes to: the peer's protected one, or its underlay in transport mode. */
  readonly peerChannelAddress: string;
  readonly interface: string;
  /** TCP MSS that both SYN directions are clamped to. */
  readonly mssBytes: number | null;
  readonly routeMtuBytes: number | null;
  /** The interface's MTU is raised to this; every other route through it keeps what it had. */
  readonly interfaceMtuBytes: number | null;
}

/** What stands in the way of larger packets. */
export type SizeLimit = 'path' | 'interface' | 'userspace-esp' | 'policy';

/** What was found out about packet sizes between two hosts, and done about it. */
export interface TuningRecord {
  readonly measuredAtMs: number;
  /** The largest IP packet that crosses both ways. */
  readonly pathMtuBytes: number;
  readonly limitedBy: SizeLimit;
  readonly overheadBytes: number;
  readonly mssBeforeBytes: number;
  readonly mssAfterBytes: number;
  readonly mtuBeforeBytes: number;
  readonly mtuAfterBytes: number;
  /** Of a bulk transfer through the channel; null where none was made. */
  readonly bytesPerSecondBefore: number | null;
  readonly bytesPerSecondAfter: number | null;
  /** What was kept: the settings before or after, by the measured comparison or, without one, by the prediction. */
  readonly kept: 'before' | 'after';
}
