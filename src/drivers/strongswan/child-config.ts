import { createHash } from 'node:crypto';
import { SocketAddress, isIP } from 'node:net';
import { withoutExtendedSequenceNumbers } from '#core/channel/algorithms.ts';
import { transportSelectors, usesAh, usesEsp, saModeOf } from '#core/channel/profiles.ts';
import type { ChannelProfile, IpsecBackend } from '#core/model/channel.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer } from '#core/ports.ts';
import type { Section } from './message.ts';
import { reqidsOf } from './reqid.ts';

/** The kinds of CHILD_SA. A bundle has two: `inner` is ESP, `outer` the AH around it; `channel` stands alone. */
export type ChildKind = 'channel' | 'inner' | 'outer';

/** IP protocol numbers: unlike names they do not need /etc/protocols, which a minimal system lacks. */
export const protocolNumbers = { tcp: 6, udp: 17, esp: 50 } as const;

/** The hard limit of bytes over the soft one: what may still pass while a slow rekeying is under way. */
const lifeBytesRatio = 1.5;

/**
 * 32-bit sequence numbers end at 2^32 - 1 (RFC 4303, 2.2) and the SA with them, so a new one is made well before; 64-bit
 * ones need no such limit and do not mind it.
 */
const rekeyPackets = 2_000_000_000;
const lifePackets = 4_000_000_000;

/** The CHILD_SAs of a profile, in the order in which they are made. */
export function childKindsOf(profile: Pick<ChannelProfile, 'name'>): readonly ChildKind[] {
  return profile.name === 'ah+esp' ? ['inner', 'outer'] : ['channel'];
}

/**
 * The name of a CHILD_SA in charon, such as `channel.5f0c2a91`. The second part is made from the profile: it tells an SA that was
 * made for another profile, which a listing does not (it does not say how the peer was authenticated).
 */
export function childName(kind: ChildKind, profile: ChannelProfile): string {
  const fields = Object.entries(profile).toSorted(([one], [other]) => (one < other ? -1 : 1));
  const tag = createHash('sha256').update(JSON.stringify(fields)).digest('hex').slice(0, 8);
  return `${kind}.${tag}`;
}

/** Null for a name that is not ours. */
export function childKindOf(name: string): ChildKind | null {
  const kind = name.split('.')[0];
  return kind === 'channel' || kind === 'inner' || kind === 'outer' ? kind : null;
}

/** An address as charon prints it, so that two notations of one IPv6 address are equal (RFC 5952). */
export function canonicalAddress(address: string): string {
  return isIP(address) === 6 ? new SocketAddress({ address, family: 'ipv6' }).address : address;
}

/** The traffic selector of one address, in charon's notation. */
export function selectorOf(address: string): string {
  return `${canonicalAddress(address)}/${isIP(address) === 6 ? 128 : 32}`;
}

/**
 * The `children` section of a connection in the words of swanctl.conf(5).
 *
 * A bundle (RFC 4301 section 4.5) is two children of one connection, so both are authenticated by the same exchange. A
 * responder picks the child by traffic selectors before it looks at proposals, and with equal selectors it answers
 * NO_PROPOSAL_CHOSEN to the second; so `outer` selects what it wraps, which is ESP between the two hosts. charon installs no
 * policies for them (it would apply one SA or the other, never both); see bundle-policies.ts.
 */
export function childConfigs(peer: ChannelPeer, backend: IpsecBackend): Section {
  const { profile } = peer;
  const one = (kind: ChildKind, more: Section): Section => ({ [childName(kind, profile)]: { ...commonConfig(profile), ...more } });
  const esp: Section = usesEsp(profile.name) ? { esp_proposals: carriedProposals(profile.espProposals, backend) } : {};
  const ah: Section = { ah_proposals: profile.ahProposals };
  // libipsec does not show its SAs to the kernel, where the fixed request ids would find them.
  const reqids = reqidsOf(peer.peerHostId);
  const reqid = (id: number): Section => (backend === 'kernel' ? { reqid: String(id) } : {});
  if (profile.name === 'ah+esp') {
    const own: Section = { policies: 'no' };
    return {
      ...one('inner', { ...selectorConfig(peer), ...esp, ...reqid(reqids.esp), ...own }),
      ...one('outer', { local_ts: [espSelector], remote_ts: [espSelector], ...ah, ...reqid(reqids.ah), ...own }),
    };
  }
  const proposals = usesAh(profile.name) ? { ...ah, ...reqid(reqids.ah) } : { ...esp, ...reqid(reqids.esp) };
  return one('channel', { ...selectorConfig(peer), ...proposals });
}

/** libipsec has 32-bit sequence numbers only ("ESN not supported", its ipsec_sa.c). */
function carriedProposals(proposals: readonly string[], backend: IpsecBackend): readonly string[] {
  const carried = backend === 'libipsec' ? withoutExtendedSequenceNumbers(proposals) : proposals;
  if (carried.length > 0 || proposals.length === 0) return carried;
  throw new PlimsollError(
    'profile-unsupported',
    'Every ESP proposal of the profile insists on 64-bit sequence numbers, which userspace ESP does not have: add one without esn.',
  );
}

/** `dynamic` is the address of the IKE_SA on that side. */
const espSelector = `dynamic[${protocolNumbers.esp}]`;

function selectorConfig(peer: ChannelPeer): Section {
  if (saModeOf(peer.profile.name) === 'tunnel')
    return { local_ts: [selectorOf(peer.localAddresses.protected)], remote_ts: [selectorOf(peer.peerAddresses.protected)] };
  const words = transportSelectors.map(({ protocol, port }) => {
    const number = protocolNumbers[protocol];
    return `dynamic[${port === null ? number : `${number}/${port}`}]`;
  });
  return { local_ts: words, remote_ts: words };
}

function commonConfig(profile: ChannelProfile): Section {
  return {
    mode: saModeOf(profile.name),
    rekey_time: `${profile.rekeySeconds}s`,
    rekey_bytes: String(profile.rekeyBytes),
    life_bytes: String(Math.ceil(profile.rekeyBytes * lifeBytesRatio)),
    // Without it charon would take the whole difference, and rekey at half the bytes as often as at all of them.
    rand_bytes: String(Math.floor(profile.rekeyBytes / 10)),
    rekey_packets: String(rekeyPackets),
    life_packets: String(lifePackets),
    replay_window: String(profile.replayWindowPackets),
    start_action: 'none',
    dpd_action: 'none',
    close_action: 'none',
  };
}
