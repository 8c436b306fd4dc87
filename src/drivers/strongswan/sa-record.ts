import type { SecurityAssociation } from '#core/model/channel.ts';
import type { ChannelPeer } from '#core/ports.ts';
import { canonicalAddress, peerOfConnection, selectorOf } from './connection-config.ts';
import type { ChildSa, IkeSa } from './sa.ts';

/** The port's records of all CHILD_SAs that belong to Plimsoll's connections. */
export function saRecords(sas: readonly IkeSa[]): readonly SecurityAssociation[] {
  return sas.flatMap((ike) => ike.children.flatMap((child) => saRecord(ike, child) ?? []));
}

function saRecord(ike: IkeSa, child: ChildSa): SecurityAssociation | null {
  const peerHostId = peerOfConnection(ike.name);
  if (peerHostId === null) return null;
  return {
    peerHostId,
    ikeUniqueId: ike.uniqueId,
    childUniqueId: child.uniqueId,
    state: stateOf(child.state),
    mode: modeOf(child.mode),
    udpEncapsulated: child.udpEncapsulated,
    encryption: algorithm(child.encryptionAlgorithm, child.encryptionKeyBits) ?? 'none',
    integrity: algorithm(child.integrityAlgorithm, child.integrityKeyBits) ?? null,
    // The first CHILD_SA has its keys from the IKE_SA's key exchange (RFC 7296, 2.17).
    keyExchange: child.keyExchange ?? ike.keyExchange ?? 'none',
    spiIn: child.spiIn,
    spiOut: child.spiOut,
    bytesIn: child.bytesIn,
    bytesOut: child.bytesOut,
    packetsIn: child.packetsIn,
    packetsOut: child.packetsOut,
  };
}

/**
 * The usable SA with this peer: authenticated, installed, of ESP, between exactly these addresses. Null when there is none.
 */
export function usableSa(sas: readonly IkeSa[], peer: ChannelPeer): SecurityAssociation | null {
  for (const ike of sas) {
    if (!isWith(ike, peer) || !isAuthenticated(ike)) continue;
    const child = ike.children.find((candidate) => isInstalled(candidate) && protects(candidate, peer));
    if (child !== undefined) return saRecord(ike, child);
  }
  return null;
}

/** True while the IKE_SA is, or is becoming, one between the addresses of this peer. */
export function isWith(ike: IkeSa, peer: ChannelPeer): boolean {
  return (
    peerOfConnection(ike.name) === peer.peerHostId &&
    ike.localHost === canonicalAddress(peer.localAddresses.underlay) &&
    ike.remoteHost === canonicalAddress(peer.peerAddresses.underlay)
  );
}

export function isAuthenticated(ike: IkeSa): boolean {
  return ike.state === 'ESTABLISHED' || ike.state === 'REKEYING';
}

export function isInstalled(child: ChildSa): boolean {
  return stateOf(child.state) === 'installed' || stateOf(child.state) === 'rekeying';
}

function protects(child: ChildSa, peer: ChannelPeer): boolean {
  return (
    child.protocol === 'ESP' &&
    isOnly(child.localSelectors, selectorOf(peer.localAddresses.protected)) &&
    isOnly(child.remoteSelectors, selectorOf(peer.peerAddresses.protected))
  );
}

function isOnly(selectors: readonly string[], selector: string): boolean {
  return selectors.length === 1 && selectors[0] === selector;
}

function stateOf(state: string): SecurityAssociation['state'] {
  switch (state) {
    case 'INSTALLED':
      return 'installed';
    case 'REKEYING':
      return 'rekeying';
    case 'REKEYED':
    case 'DELETING':
    case 'DELETED':
    case 'DESTROYING':
      return 'deleting';
    default:
      return 'other';
  }
}

function modeOf(mode: string): SecurityAssociation['mode'] {
  if (mode === 'TUNNEL') return 'tunnel';
  return mode === 'TRANSPORT' ? 'transport' : 'other';
}

function algorithm(name: string | undefined, keyBits: number | undefined): string | undefined {
  return name === undefined || keyBits === undefined ? name : `${name}-${keyBits}`;
}
