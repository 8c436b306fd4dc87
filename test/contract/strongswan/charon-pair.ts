import type { ChannelPeer } from '#core/ports.ts';

/** One host with a charon, real or fake, as the contract suite needs it. */
export interface CharonHost {
  readonly name: string;
  readonly underlay: string;
  readonly protected: string;
  readonly socketPath: string;
  startCharon(): Promise<void>;
  /** As a crash would: no goodbye to anybody. */
  killCharon(): Promise<void>;
  /** Stops charon where it stands, as one that hangs; the way back. Requests sent meanwhile are answered after it. */
  freezeCharon(): Promise<() => void>;
  /** Sends packets from this host's protected address to the peer's, through whatever the host has. */
  send(to: CharonHost, packetCount: number): Promise<void>;
}

/** Two hosts that can reach each other. */
export interface CharonPair {
  readonly a: CharonHost;
  readonly b: CharonHost;
  stop(): Promise<void>;
}

export function channelPeer(local: CharonHost, peer: CharonHost): ChannelPeer {
  const addressesOf = (host: CharonHost): ChannelPeer['localAddresses'] => ({
    underlay: host.underlay,
    protected: host.protected,
    interface: 'eth0',
  });
  return { localAddresses: addressesOf(local), peerHostId: peer.name, peerAddresses: addressesOf(peer) };
}
