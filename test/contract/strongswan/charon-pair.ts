import { randomBytes } from 'node:crypto';
import { suites, type SuiteName } from '#core/channel/algorithms.ts';
import type { ChannelProfile, ChannelSecrets, IpsecBackend } from '#core/model/channel.ts';
import type { HostAddresses } from '#core/model/host.ts';
import type { ChannelPeer } from '#core/ports.ts';
import type { StrongswanOptions } from '#drivers/strongswan/ipsec.ts';

/** One host with a charon, real or fake, as the contract suite needs it. */
export interface CharonHost {
  readonly name: string;
  readonly underlay: string;
  readonly protected: string;
  readonly socketPath: string;
  readonly backend: IpsecBackend;
  /** What a driver for this host needs beside the socket, because it runs outside the host. */
  readonly driverOptions: Pick<StrongswanOptions, 'runIp' | 'xfrmStatPath'>;
  startCharon(): Promise<void>;
  /** As a crash would: no goodbye to anybody. */
  killCharon(): Promise<void>;
  /** Stops charon where it stands, as one that hangs; the way back. Requests sent meanwhile are answered after it. */
  freezeCharon(): Promise<() => void>;
  /** Sends probes from this host to the address and port that are inside every channel, through whatever the host has. */
  send(to: CharonHost, profile: ChannelProfile, packetCount: number): Promise<void>;
  /** Packets that reached the port since the last call, whichever way they came. */
  received(): Promise<number>;
}

/** Two hosts that can reach each other. */
export interface CharonPair {
  readonly a: CharonHost;
  readonly b: CharonHost;
  stop(): Promise<void>;
}

/** A profile that the policy accepts, with some fields changed. */
export function profileOf(changes: Partial<ChannelProfile> = {}, suite: SuiteName = 'aes-gcm'): ChannelProfile {
  return {
    name: 'esp-tunnel',
    ...suites[suite],
    udpEncapsulation: 'when-needed',
    authentication: 'certificate',
    postQuantumKey: false,
    rekeySeconds: 3_600,
    rekeyBytes: 2 ** 36,
    replayWindowPackets: 1_024,
    ...changes,
  };
}

/** Fresh keys, as many as the profile asks for. */
export function secretsOf(profile: ChannelProfile): ChannelSecrets {
  const key = (wanted: boolean): string | null => (wanted ? randomBytes(32).toString('base64') : null);
  return { preSharedKey: key(profile.authentication === 'psk'), postQuantumKey: key(profile.postQuantumKey) };
}

export function channelPeer(
  local: CharonHost,
  peer: CharonHost,
  profile: ChannelProfile = profileOf(),
  secrets: ChannelSecrets = { preSharedKey: null, postQuantumKey: null },
): ChannelPeer {
  return { localAddresses: addressesOf(local), peerHostId: peer.name, peerAddresses: addressesOf(peer), profile, secrets };
}

export function addressesOf(host: CharonHost): HostAddresses {
  return { underlay: host.underlay, protected: host.protected, interface: 'eth0' };
}
