/** Which algorithms a channel may use, and whether what two hosts have negotiated is one of those their profile names. */
import type { ChannelProfile, ChannelSecrets, SecurityAssociation } from '#core/model/channel.ts';
import type { Refusal } from '#core/model/result.ts';
import { decodeBase64 } from '#core/access/base64.ts';
import { acceptedKeyword, type ProposalKind, refusedKeyword } from './keywords.ts';
import { saModeOf, usesAh, usesEsp } from './profiles.ts';
import { parseProposal, type Proposal } from './proposal.ts';

export type { ProposalKind } from './keywords.ts';
export { parseProposal, withoutExtendedSequenceNumbers } from './proposal.ts';

export type SuiteName = 'aes-gcm' | 'chacha20-poly1305' | 'aes-cbc-sha2';

export type Suite = Pick<ChannelProfile, 'ikeProposals' | 'espProposals' | 'ahProposals'>;

/** Ready-made proposals, best first: with 64-bit sequence numbers and, for a peer that has none, without. */
export const suites: Readonly<Record<SuiteName, Suite>> = {
  'aes-gcm': {
    ikeProposals: ['aes256gcm16-prfsha384-ecp384'],
    espProposals: ['aes256gcm16-ecp384-esn', 'aes256gcm16-ecp384'],
    ahProposals: ['sha384-ecp384-esn', 'sha384-ecp384'],
  },
  'chacha20-poly1305': {
    ikeProposals: ['chacha20poly1305-prfsha384-ecp384'],
    espProposals: ['chacha20poly1305-ecp384-esn', 'chacha20poly1305-ecp384'],
    ahProposals: ['sha384-ecp384-esn', 'sha384-ecp384'],
  },
  'aes-cbc-sha2': {
    ikeProposals: ['aes256-sha256-prfsha256-ecp384'],
    espProposals: ['aes256-sha256-ecp384-esn', 'aes256-sha256-ecp384'],
    ahProposals: ['sha256-ecp384-esn', 'sha256-ecp384'],
  },
};

export type ProposalVerdict = { readonly ok: true } | { readonly ok: false; readonly keyword: string; readonly why: string };

/** What may be between 64-bit sequence numbers and their wrap: see `rekeyFault`. */
const rekeyBytesMax = { short: 2 ** 37, extended: 2 ** 42 } as const;
const rekeyBytesMin = 2 ** 20;
const rekeySeconds = { min: 60, max: 86_400 } as const;
const replayWindow = { min: 128, max: 32_768 } as const;
const secretBytesMin = 32;

/** Judges one proposal keyword by keyword, then as a whole. `why` is a sentence that names the RFC and its requirement word. */
export function judgeProposal(kind: ProposalKind, proposal: string): ProposalVerdict {
  for (const keyword of proposal.split('-')) {
    const why = keywordFault(kind, keyword);
    if (why !== null) return { ok: false, keyword, why };
  }
  const why = shapeFault(kind, parseProposal(proposal));
  return why === null ? { ok: true } : { ok: false, keyword: proposal, why };
}

function keywordFault(kind: ProposalKind, keyword: string): string | null {
  const known = acceptedKeyword(keyword);
  if (known !== undefined) {
    if (kind === 'ike' && known.type === 'esn') return `${keyword} is of ESP and AH: IKE has no sequence numbers of its own to extend`;
    if (kind !== 'ike' && known.type === 'prf') return `${keyword} is of IKE: only IKE makes keys with a pseudo-random function`;
    if (kind === 'ah' && known.type === 'encryption') return `${keyword} is of ESP and IKE: AH has no encryption (RFC 4302)`;
    return null;
  }
  const refused = refusedKeyword(keyword);
  if (refused === undefined) return `${JSON.stringify(keyword)} is not an algorithm that Plimsoll knows: see suite aes-gcm`;
  const why = typeof refused.why === 'string' ? refused.why : refused.why[kind];
  return `${keyword} (${refused.algorithm}) is refused: ${why}`;
}

function shapeFault(kind: ProposalKind, proposal: Proposal): string | null {
  const { encryption, integrity, groups } = proposal;
  if (groups.length === 0) return 'it names no key exchange group, such as ecp384: without one, new keys follow from old ones';
  if (kind === 'ah') return integrity.length === 0 ? 'it names no integrity algorithm, such as sha384' : null;
  if (encryption.length === 0) return 'it names no encryption, such as aes256gcm16';
  if (proposal.aead !== false) {
    if (integrity.length > 0 || proposal.aead === 'mixed')
      return 'AES-GCM and ChaCha20-Poly1305 have their own integrity: put AES-CBC and its integrity into a proposal of their own (RFC 7296 section 3.3)';
    if (kind === 'ike' && proposal.prf.length === 0)
      return 'it names no pseudo-random function, such as prfsha384, and the cipher implies none';
    return null;
  }
  // RFC 8221 section 4: encryption without authentication MUST NOT be used.
  return integrity.length === 0 ? 'AES-CBC without integrity, such as sha256: RFC 8221 section 4 says MUST NOT' : null;
}

/** Why a profile may not be used by anybody; null when it may. */
export function judgeProfile(profile: ChannelProfile): Refusal | null {
  const fault =
    proposalsFault('ike', profile.ikeProposals, true) ??
    proposalsFault('esp', profile.espProposals, usesEsp(profile.name)) ??
    proposalsFault('ah', profile.ahProposals, usesAh(profile.name)) ??
    encapsulationFault(profile) ??
    replayFault(profile) ??
    rekeyFault(profile);
  return fault === null ? null : { code: 'profile-refused', message: `the channel profile is refused: ${fault}` };
}

function proposalsFault(kind: ProposalKind, proposals: readonly string[], needed: boolean): string | null {
  if (needed && proposals.length === 0) return `it has no ${kind} proposal`;
  for (const proposal of proposals) {
    const verdict = judgeProposal(kind, proposal);
    if (!verdict.ok) return `${kind} proposal ${JSON.stringify(proposal)}: ${verdict.why}`;
  }
  return null;
}

function encapsulationFault(profile: ChannelProfile): string | null {
  if (profile.udpEncapsulation !== 'always' || !usesAh(profile.name)) return null;
  return `AH cannot be put into UDP (RFC 3948 is for ESP only): use udpEncapsulation when-needed, or an ESP profile instead of ${profile.name}`;
}

function replayFault({ replayWindowPackets: packets }: ChannelProfile): string | null {
  if (Number.isInteger(packets) && packets >= replayWindow.min && packets <= replayWindow.max) return null;
  return `the replay window must be ${replayWindow.min} to ${replayWindow.max} packets, not ${packets}`;
}

/**
 * Time and bytes that one pair of keys may serve. Bytes: an SA with 32-bit sequence numbers ends at its 2^32th packet (RFC 4303
 * section 3.3.3), and packets of nothing but 40 bytes reach that at 2^37.3 bytes; with 64 bits the limit keeps a 128-bit block
 * cipher's chance of a collision, about blocks^2 / 2^129, below 2^-50.
 */
function rekeyFault(profile: ChannelProfile): string | null {
  const { rekeySeconds: seconds, rekeyBytes: bytes } = profile;
  if (!Number.isInteger(seconds) || seconds < rekeySeconds.min || seconds > rekeySeconds.max)
    return `rekeySeconds must be ${rekeySeconds.min} to ${rekeySeconds.max}, not ${seconds}`;
  const proposals = [...(usesEsp(profile.name) ? profile.espProposals : []), ...(usesAh(profile.name) ? profile.ahProposals : [])];
  const mayBeShort = proposals.some((proposal) => parseProposal(proposal).extendedSequenceNumbers.includes(false));
  const max = mayBeShort ? rekeyBytesMax.short : rekeyBytesMax.extended;
  if (Number.isInteger(bytes) && bytes >= rekeyBytesMin && bytes <= max) return null;
  return `rekeyBytes must be ${rekeyBytesMin} to ${max}${mayBeShort ? ' (where 32-bit sequence numbers are allowed)' : ''}, not ${bytes}`;
}

/** Why these are not the secrets that the profile asks for; null when they are. Says nothing of what is in them. */
export function secretsFault(profile: ChannelProfile, secrets: ChannelSecrets): Refusal | null {
  const { preSharedKey, postQuantumKey } = secrets;
  const fault =
    secretFault('pre-shared key', preSharedKey, profile.authentication === 'psk') ??
    secretFault('post-quantum key', postQuantumKey, profile.postQuantumKey) ??
    // One of them known would be both known.
    (preSharedKey !== null && preSharedKey === postQuantumKey ? 'the pre-shared key and the post-quantum key are the same' : null);
  return fault === null ? null : { code: 'profile-refused', message: `the channel's secrets are refused: ${fault}` };
}

function secretFault(what: string, secret: string | null, wanted: boolean): string | null {
  if (secret === null) return wanted ? `the profile wants a ${what} and none was sent` : null;
  if (!wanted) return `a ${what} was sent that the profile does not want`;
  const key = decodeBase64(secret);
  return key !== null && key.length >= secretBytesMin ? null : `the ${what} is not base64 of ${secretBytesMin} bytes or more`;
}

/**
 * Whether what was negotiated (in charon's names) is one of the profile's proposals, in its protocol and mode: null, or a sentence
 * that says what differs. The first CHILD_SA has its keys from IKE's key exchange (RFC 7296 section 1.2), so the group may be of
 * an IKE proposal too.
 */
export function acceptedNegotiation(profile: ChannelProfile, sa: SecurityAssociation): string | null {
  const protocol = usesEsp(profile.name) ? 'esp' : 'ah';
  if (sa.protocol !== protocol)
    return `the SA is of ${sa.protocol.toUpperCase()}, where profile ${profile.name} wants ${protocol.toUpperCase()}`;
  const mode = saModeOf(profile.name);
  if (sa.mode !== mode) return `the SA is in ${sa.mode} mode, where profile ${profile.name} wants ${mode} mode`;
  const bundled = profile.name === 'ah+esp';
  if (bundled && sa.outer === null) return 'the ESP SA is not inside an AH SA';
  if (!bundled && sa.outer !== null) return `the SA is inside an AH SA, which profile ${profile.name} does not want`;
  if (profile.udpEncapsulation === 'always' && !sa.udpEncapsulated) return 'the SA is not encapsulated in UDP, which the profile wants';
  if (sa.udpEncapsulated && usesAh(profile.name)) return 'the SA is encapsulated in UDP, through which AH cannot go';
  return algorithmsFault(profile, sa) ?? (sa.outer === null ? null : outerFault(profile, sa.outer.integrity));
}

function algorithmsFault(profile: ChannelProfile, sa: SecurityAssociation): string | null {
  const ikeGroups = profile.ikeProposals.flatMap((proposal) => parseProposal(proposal).groups);
  const proposals = (sa.protocol === 'esp' ? profile.espProposals : profile.ahProposals).map(parseProposal);
  if (proposals.some((proposal) => matches(proposal, sa, ikeGroups))) return null;
  const numbers = sa.extendedSequenceNumbers ? '64-bit' : '32-bit';
  const what = [sa.encryption, sa.integrity, sa.keyExchange].filter((name) => name !== null && name !== 'none').join(', ');
  return `${what} with ${numbers} sequence numbers was negotiated, which is not accepted: no proposal of the profile has it`;
}

function matches(proposal: Proposal, sa: SecurityAssociation, ikeGroups: readonly string[]): boolean {
  const encryption = sa.protocol === 'ah' ? sa.encryption === 'none' : proposal.encryption.includes(sa.encryption);
  const integrity = sa.protocol === 'esp' && proposal.aead === true ? sa.integrity === null : isOneOf(sa.integrity, proposal.integrity);
  const group = proposal.groups.includes(sa.keyExchange) || ikeGroups.includes(sa.keyExchange);
  return encryption && integrity && group && proposal.extendedSequenceNumbers.includes(sa.extendedSequenceNumbers);
}

function outerFault(profile: ChannelProfile, integrity: string): string | null {
  if (profile.ahProposals.some((proposal) => parseProposal(proposal).integrity.includes(integrity))) return null;
  return `AH with ${integrity} was negotiated, which is not accepted: no AH proposal of the profile has it`;
}

function isOneOf(name: string | null, names: readonly string[]): boolean {
  return name !== null && names.includes(name);
}
