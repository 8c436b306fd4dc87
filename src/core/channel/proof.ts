/** No proof, no bytes: judges what both ends of a channel saw of the probes. */
import type { Proof, ProofFacts, SecurityAssociation } from '#core/model/channel.ts';
import type { Refusal } from '#core/model/result.ts';

export const proofPolicy = {
  protectedProbes: 8,
  plainProbes: 4,
  probeBytes: 512,
  probeTimeoutMs: 3000,
  /** A transfer starts within this time after the proof, or the proof is made again. */
  proofLifetimeMs: 30_000,
} as const;

/** Ciphers that Plimsoll accepts for VM memory; all AEAD with 256-bit keys or better than 128-bit security. */
export const acceptedEncryption: readonly string[] = ['AES_GCM_16-256', 'AES_GCM_16-128', 'CHACHA20_POLY1305-256'];

export type ProofVerdict = { readonly ok: true; readonly proof: Proof } | { readonly ok: false; readonly refusal: Refusal };

/**
 * The proof holds when both ends report the same SA pair, the probes crossed inside it (both ends' counters
 * moved by at least as much), and the plain probes were dropped by the destination's guard: counted there,
 * and never delivered.
 */
export function judgeProof(source: ProofFacts, destination: ProofFacts, nowMs: number): ProofVerdict {
  const out = source.after;
  const into = destination.after;
  const fault =
    endFault(source) ??
    endFault(destination) ??
    pairFault(source, destination) ??
    crossingFault(source, 'out') ??
    crossingFault(destination, 'in') ??
    plainFault(source, destination);
  if (fault !== null || out === null || into === null) {
    return { ok: false, refusal: { code: 'proof-failed', message: `the channel is not proven: ${fault ?? 'no SA'}; nothing was sent` } };
  }
  return {
    ok: true,
    proof: {
      provenAtMs: nowMs,
      encryption: out.encryption,
      keyExchange: out.keyExchange,
      mode: out.udpEncapsulated ? `${out.mode}, UDP-encapsulated` : out.mode,
      spiSourceToDestination: out.spiOut,
      spiDestinationToSource: out.spiIn,
      protectedProbes: destination.protectedProbes,
      plainProbesDropped: destination.guardAfter.droppedProbePackets - destination.guardBefore.droppedProbePackets,
    },
  };
}

/** The half that the source can judge by itself; its agent starts no transfer without it. */
export function judgeOwnEnd(facts: ProofFacts): string | null {
  return endFault(facts) ?? crossingFault(facts, 'out');
}

function endFault(facts: ProofFacts): string | null {
  if (!facts.guardBefore.installed || !facts.guardAfter.installed) return `the guard is not installed on ${facts.hostId}`;
  if (facts.before === null || facts.after === null) return `${facts.hostId} has no SA with ${facts.peerHostId}`;
  // Counters of two SAs say nothing about each other.
  if (facts.before.spiOut !== facts.after.spiOut || facts.before.spiIn !== facts.after.spiIn)
    return `the SA on ${facts.hostId} was replaced during the proof`;
  if (facts.after.state !== 'installed' && facts.after.state !== 'rekeying') return `the SA on ${facts.hostId} is ${facts.after.state}`;
  if (!acceptedEncryption.includes(facts.after.encryption))
    return `${facts.hostId} negotiated ${facts.after.encryption}, which is not accepted`;
  if (facts.protectedProbes < proofPolicy.protectedProbes) {
    return `${facts.hostId} saw ${facts.protectedProbes} of ${proofPolicy.protectedProbes} probes through the channel`;
  }
  return null;
}

function pairFault(source: ProofFacts, destination: ProofFacts): string | null {
  if (source.peerHostId !== destination.hostId || destination.peerHostId !== source.hostId) return 'the two ends name different peers';
  if (source.after?.spiOut !== destination.after?.spiIn || source.after?.spiIn !== destination.after?.spiOut) {
    return 'the two ends report different SAs';
  }
  return null;
}

function crossingFault(facts: ProofFacts, direction: 'in' | 'out'): string | null {
  const packets = counted(facts.after, direction) - counted(facts.before, direction);
  if (packets >= proofPolicy.protectedProbes) return null;
  return `the SA counter of ${facts.hostId} moved by ${packets} packets for ${proofPolicy.protectedProbes} probes: they did not go through it`;
}

function plainFault(source: ProofFacts, destination: ProofFacts): string | null {
  if (destination.plainProbes > 0)
    return `${destination.hostId} received ${destination.plainProbes} plain-text probes: its guard does not drop`;
  if (source.plainProbes < proofPolicy.plainProbes) return `${source.hostId} sent only ${source.plainProbes} plain-text probes`;
  const dropped = destination.guardAfter.droppedProbePackets - destination.guardBefore.droppedProbePackets;
  if (dropped < 1) return `the guard of ${destination.hostId} counted none of the plain-text probes: they may have been lost on the way`;
  return null;
}

function counted(sa: SecurityAssociation | null, direction: 'in' | 'out'): number {
  if (sa === null) return 0;
  return direction === 'in' ? sa.packetsIn : sa.packetsOut;
}
