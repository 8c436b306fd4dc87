import { acceptedNegotiation } from '#core/channel/algorithms.ts';
import { saModeOf, transportSelectors } from '#core/channel/profiles.ts';
import type { OuterAssociation, SaCounters, SecurityAssociation } from '#core/model/channel.ts';
import type { ChannelPeer } from '#core/ports.ts';
import { canonicalAddress, childKindOf, childKindsOf, childName, protocolNumbers, selectorOf } from './child-config.ts';
import { peerOfConnection } from './names.ts';
import type { ChildSa, IkeSa } from './sa.ts';

/** What an SA replaced by rekeying, oldest first. */
export type ReplacedBy = (child: ChildSa) => readonly SaCounters[];

const nothingReplaced: ReplacedBy = () => [];

/**
 * The port's records of all CHILD_SAs that belong to Plimsoll's connections. Both halves of a bundle are one record; a half
 * alone protects nothing, and its state is `other`.
 */
export function saRecords(sas: readonly IkeSa[], replacedBy: ReplacedBy = nothingReplaced): readonly SecurityAssociation[] {
  return sas.flatMap((ike) => {
    const peerHostId = peerOfConnection(ike.name);
    if (peerHostId === null) return [];
    const same = sas.filter(({ name }) => name === ike.name).flatMap(({ children }) => children);
    return ike.children.flatMap((child) => {
      const half = otherHalf(child, same);
      if (childKindOf(child.name) === 'outer' && half !== undefined) return [];
      const record = saRecord(peerHostId, ike, child, replacedBy(child));
      if (half !== undefined) return [{ ...record, outer: outerOf(half) }];
      return [isHalf(child) && isInstalled(child) ? { ...record, state: 'other' as const } : record];
    });
  });
}

/** The newest installed CHILD_SA that makes a bundle with this one. */
function otherHalf(child: ChildSa, all: readonly ChildSa[]): ChildSa | undefined {
  if (!isHalf(child) || !isInstalled(child)) return undefined;
  const name = child.name.replace(/^(?:inner|outer)/, (kind) => (kind === 'inner' ? 'outer' : 'inner'));
  return all.filter((candidate) => candidate.name === name && isInstalled(candidate)).toSorted(byAge)[0];
}

function isHalf(child: ChildSa): boolean {
  const kind = childKindOf(child.name);
  return kind === 'inner' || kind === 'outer';
}

/** Newest first: charon counts its unique identifiers up. */
function byAge(one: ChildSa, other: ChildSa): number {
  return Number(other.uniqueId) - Number(one.uniqueId);
}

function saRecord(peerHostId: string, ike: IkeSa, child: ChildSa, replaced: readonly SaCounters[]): SecurityAssociation {
  return {
    peerHostId,
    ikeUniqueId: ike.uniqueId,
    childUniqueId: child.uniqueId,
    protocol: child.protocol === 'AH' ? 'ah' : 'esp',
    state: stateOf(child.state),
    mode: modeOf(child.mode),
    udpEncapsulated: child.udpEncapsulated,
    encryption: algorithm(child.encryptionAlgorithm, child.encryptionKeyBits) ?? 'none',
    integrity: algorithm(child.integrityAlgorithm, child.integrityKeyBits) ?? null,
    // The first CHILD_SA has its keys from the IKE_SA's key exchange (RFC 7296, 2.17).
    keyExchange: child.keyExchange ?? ike.keyExchange ?? 'none',
    extendedSequenceNumbers: child.extendedSequenceNumbers,
    ...countersOf(child),
    outer: null,
    replaced,
  };
}

function outerOf(child: ChildSa): OuterAssociation {
  return { ...countersOf(child), integrity: algorithm(child.integrityAlgorithm, child.integrityKeyBits) ?? 'none' };
}

export function countersOf(child: ChildSa): SaCounters {
  const { spiIn, spiOut, bytesIn, bytesOut, packetsIn, packetsOut } = child;
  return { spiIn, spiOut, bytesIn, bytesOut, packetsIn, packetsOut };
}

/**
 * The usable SA with this peer: authenticated, installed, between exactly these addresses and for nothing beside them, made for this
 * profile, and with what the profile asks for, the post-quantum key included. Null when there is none.
 */
export function usableSa(sas: readonly IkeSa[], peer: ChannelPeer, replacedBy: ReplacedBy = nothingReplaced): SecurityAssociation | null {
  const candidates = channelRecords(sas, peer, replacedBy);
  return candidates.find((record) => acceptedNegotiation(peer.profile, record) === null) ?? null;
}

/** Why the SA that came up with this peer is none of its profile; null when no SA came up. */
export function negotiationFault(sas: readonly IkeSa[], peer: ChannelPeer): string | null {
  if (sas.some((ike) => isWith(ike, peer) && isAuthenticated(ike) && !hasKeyOf(ike, peer))) {
    return peer.profile.postQuantumKey
      ? 'its keys are without the post-quantum key, which the profile wants'
      : 'its keys have a post-quantum key in them, which the profile does not want';
  }
  const [record] = channelRecords(sas, peer, nothingReplaced);
  return record === undefined ? null : acceptedNegotiation(peer.profile, record);
}

/** Installed, complete, for this profile and these addresses; the algorithms may be any. */
function channelRecords(sas: readonly IkeSa[], peer: ChannelPeer, replacedBy: ReplacedBy): readonly SecurityAssociation[] {
  const fitting = sas.filter((ike) => fits(ike, peer));
  return saRecords(fitting, replacedBy).filter(({ state }) => state === 'installed' || state === 'rekeying');
}

/** True when the IKE_SA is up with this peer and has SAs of this profile and of nothing else. */
export function fits(ike: IkeSa, peer: ChannelPeer): boolean {
  const installed = ike.children.filter(isInstalled);
  const isMade = isWith(ike, peer) && isAuthenticated(ike) && hasKeyOf(ike, peer);
  return isMade && installed.length > 0 && installed.every((child) => protects(child, peer));
}

/** `ppk_required` is charon's own check, at both ends; this is the second one, of what it says of the SA it has made. */
function hasKeyOf(ike: IkeSa, { profile }: ChannelPeer): boolean {
  return ike.postQuantumKey === profile.postQuantumKey;
}

/** The CHILD_SAs of the peer's profile that none of these IKE_SAs has. */
export function missingChildren(sas: readonly IkeSa[], peer: ChannelPeer): readonly string[] {
  const installed = sas.flatMap((ike) => ike.children.filter(isInstalled).map(({ name }) => name));
  const wanted = childKindsOf(peer.profile).map((kind) => childName(kind, peer.profile));
  return wanted.filter((name) => !installed.includes(name));
}

/** True while the IKE_SA is, or is becoming, one between the addresses of this peer. */
export function isWith(ike: IkeSa, peer: ChannelPeer): boolean {
  return (
    peerOfConnection(ike.name) === peer.peerHostId &&
    ike.localHost === canonicalAddress(peer.localAddresses.underlay) &&
    ike.remoteHost === canonicalAddress(peer.peerAddresses.underlay)
  );
}

function isAuthenticated(ike: IkeSa): boolean {
  return ike.state === 'ESTABLISHED' || ike.state === 'REKEYING';
}

export function isInstalled(child: ChildSa): boolean {
  return stateOf(child.state) === 'installed' || stateOf(child.state) === 'rekeying';
}

function protects(child: ChildSa, peer: ChannelPeer): boolean {
  const kind = childKindsOf(peer.profile).find((candidate) => childName(candidate, peer.profile) === child.name);
  if (kind === undefined) return false;
  const inTransport = (parts: readonly string[]): boolean => child.mode === 'TRANSPORT' && selects(child, peer, 'underlay', parts);
  // RFC 4301 section 4.5: what AH wraps in a bundle is ESP between the two hosts, and nothing else.
  if (kind === 'outer') return child.protocol === 'AH' && inTransport([`[${protocolNumbers.esp}]`]);
  if (saModeOf(peer.profile.name) === 'tunnel') return child.mode === 'TUNNEL' && selects(child, peer, 'protected', ['']);
  return inTransport(transportSelectors.map(({ protocol, port }) => `[${protocolNumbers[protocol]}${port === null ? '' : `/${port}`}]`));
}

function selects(child: ChildSa, peer: ChannelPeer, which: 'underlay' | 'protected', parts: readonly string[]): boolean {
  const are = (selectors: readonly string[], address: string): boolean =>
    sameItems(
      selectors.map(canonicalSelector),
      parts.map((part) => `${selectorOf(address)}${part}`),
    );
  return are(child.localSelectors, peer.localAddresses[which]) && are(child.remoteSelectors, peer.peerAddresses[which]);
}

/** charon writes the name of a protocol where /etc/protocols has one, and its number elsewhere. */
function canonicalSelector(selector: string): string {
  return selector.replace(/\[(tcp|udp|esp)\b/, (_whole, name: keyof typeof protocolNumbers) => `[${protocolNumbers[name]}`);
}

function sameItems(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.toSorted().join() === other.toSorted().join();
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
