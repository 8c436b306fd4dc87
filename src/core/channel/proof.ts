/** No proof, no bytes: judges what both ends of a channel saw of the probes. */
import type { ChannelProfile, Proof, ProofFacts, SaCounters, SecurityAssociation } from '#core/model/channel.ts';
import type { Refusal } from '#core/model/result.ts';
import { acceptedNegotiation } from './algorithms.ts';

export const proofPolicy = {
  protectedProbes: 8,
  plainProbes: 4,
  probeBytes: 512,
  probeTimeoutMs: 3000,
  /** A transfer starts within this time after the proof, or the proof is made again. */
  proofLifetimeMs: 30_000,
} as const;

export type ProofVerdict = { readonly ok: true; readonly proof: Proof } | { readonly ok: false; readonly refusal: Refusal };

/**
 * The proof holds when both ends report the same SA pair, negotiated as the profile wants it; the probes crossed inside it (both ends'
 * counters moved by at least as much, in `ah+esp` those of both associations); and the plain probes were dropped by the destination's
 * guard: counted there, and never delivered. Where certificates authenticate, both ends tell theirs. That a post-quantum key was used
 * is the IPsec driver's word: it hands out no SA that was made without the key of the profile (`ppk` in charon's `list-sas`).
 */
export function judgeProof(profile: ChannelProfile, source: ProofFacts, destination: ProofFacts, nowMs: number): ProofVerdict {
  const out = source.after;
  const fault =
    endFault(profile, source) ??
    endFault(profile, destination) ??
    pairFault(source, destination) ??
    sameFault(source.after, destination.after) ??
    crossingFault(source, 'out') ??
    crossingFault(destination, 'in') ??
    plainFault(source, destination);
  if (fault !== null || out === null) {
    return { ok: false, refusal: { code: 'proof-failed', message: `the channel is not proven: ${fault ?? 'no SA'}; nothing was sent` } };
  }
  return {
    ok: true,
    proof: {
      provenAtMs: nowMs,
      profile: profile.name,
      authentication: profile.authentication,
      postQuantumKey: profile.postQuantumKey,
      sourceCertificateSha256: source.certificateSha256,
      destinationCertificateSha256: destination.certificateSha256,
      encryption: out.encryption,
      integrity:
        out.outer === null ? out.integrity : [out.integrity, `AH ${out.outer.integrity}`].filter((name) => name !== null).join(' + '),
      keyExchange: out.keyExchange,
      extendedSequenceNumbers: out.extendedSequenceNumbers,
      mode: out.udpEncapsulated ? `${out.mode}, UDP-encapsulated` : out.mode,
      spiSourceToDestination: out.spiOut,
      spiDestinationToSource: out.spiIn,
      protectedProbes: destination.protectedProbes,
      plainProbesDropped: destination.guardAfter.droppedProbePackets - destination.guardBefore.droppedProbePackets,
    },
  };
}

/** The half that the source can judge by itself; its agent starts no transfer without it. */
export function judgeOwnEnd(profile: ChannelProfile, facts: ProofFacts): string | null {
  return endFault(profile, facts) ?? crossingFault(facts, 'out');
}

function endFault(profile: ChannelProfile, facts: ProofFacts): string | null {
  const { hostId, before, after } = facts;
  if (!facts.guardBefore.installed || !facts.guardAfter.installed) return `the guard is not installed on ${hostId}`;
  if (before === null || after === null) return `${hostId} has no SA with ${facts.peerHostId}`;
  if (after.peerHostId !== facts.peerHostId) return `the SA on ${hostId} is with ${after.peerHostId}`;
  // Counters of two SAs say nothing about each other.
  if (!isSame(before, after) || !isSameOuter(before, after)) return `the SA on ${hostId} was replaced during the proof`;
  if (after.state !== 'installed' && after.state !== 'rekeying') return `the SA on ${hostId} is ${after.state}`;
  const negotiated = acceptedNegotiation(profile, after);
  if (negotiated !== null) return `on ${hostId}, ${negotiated}`;
  if ((facts.certificateSha256 !== null) !== (profile.authentication === 'certificate'))
    return `${hostId} authenticated ${facts.certificateSha256 === null ? 'without' : 'with'} a certificate, where the profile wants ${profile.authentication}`;
  if (facts.protectedProbes < proofPolicy.protectedProbes) {
    return `${hostId} saw ${facts.protectedProbes} of ${proofPolicy.protectedProbes} probes through the channel`;
  }
  return null;
}

function pairFault(source: ProofFacts, destination: ProofFacts): string | null {
  if (source.peerHostId !== destination.hostId || destination.peerHostId !== source.hostId) return 'the two ends name different peers';
  const from = source.after;
  const to = destination.after;
  if (from === null || to === null || !isMirrored(from, to)) return 'the two ends report different SAs';
  if (from.outer === null || to.outer === null) return from.outer === to.outer ? null : 'only one end has an AH SA around its ESP SA';
  return isMirrored(from.outer, to.outer) ? null : 'the two ends report different AH SAs';
}

/** Both ends of one SA say the same of it; whoever does not looks at another one, or is not telling the truth. */
function sameFault(from: SecurityAssociation | null, to: SecurityAssociation | null): string | null {
  const same =
    from?.encryption === to?.encryption &&
    from?.integrity === to?.integrity &&
    from?.keyExchange === to?.keyExchange &&
    from?.extendedSequenceNumbers === to?.extendedSequenceNumbers &&
    from?.outer?.integrity === to?.outer?.integrity;
  return same ? null : 'the two ends report different algorithms';
}

function crossingFault(facts: ProofFacts, direction: 'in' | 'out'): string | null {
  const { before, after, hostId } = facts;
  return (
    movedFault(hostId, 'SA', before, after, direction) ??
    (after?.outer ? movedFault(hostId, 'AH SA', before?.outer ?? null, after.outer, direction) : null)
  );
}

function movedFault(
  hostId: string,
  what: string,
  before: SaCounters | null,
  after: SaCounters | null,
  direction: 'in' | 'out',
): string | null {
  const packets = counted(after, direction) - counted(before, direction);
  if (packets >= proofPolicy.protectedProbes) return null;
  return `the ${what} counter of ${hostId} moved by ${packets} packets for ${proofPolicy.protectedProbes} probes: they did not go through it`;
}

function plainFault(source: ProofFacts, destination: ProofFacts): string | null {
  if (destination.plainProbes > 0)
    return `${destination.hostId} received ${destination.plainProbes} plain-text probes: its guard does not drop`;
  if (source.plainProbes < proofPolicy.plainProbes) return `${source.hostId} sent only ${source.plainProbes} plain-text probes`;
  const dropped = destination.guardAfter.droppedProbePackets - destination.guardBefore.droppedProbePackets;
  if (dropped < 1) return `the guard of ${destination.hostId} counted none of the plain-text probes: they may have been lost on the way`;
  return null;
}

function isSame(a: SaCounters, b: SaCounters): boolean {
  return a.spiIn === b.spiIn && a.spiOut === b.spiOut;
}

function isSameOuter(a: SecurityAssociation, b: SecurityAssociation): boolean {
  return a.outer === null || b.outer === null ? a.outer === b.outer : isSame(a.outer, b.outer);
}

function isMirrored(a: SaCounters, b: SaCounters): boolean {
  return a.spiOut === b.spiIn && a.spiIn === b.spiOut;
}

function counted(sa: SaCounters | null, direction: 'in' | 'out'): number {
  if (sa === null) return 0;
  return direction === 'in' ? sa.packetsIn : sa.packetsOut;
}
