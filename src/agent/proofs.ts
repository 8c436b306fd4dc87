import { judgeOwnEnd, proofPolicy } from '#core/channel/proof.ts';
import { channelAddresses, migrationAddress } from '#core/channel/profiles.ts';
import type { ChannelReading, ProfileName, ProofFacts } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ProbeListener } from '#core/ports.ts';
import type { Peer } from '#wire/agent-protocol.ts';
import type { Channels } from './channels.ts';
import type { AgentParts, AgentSettings } from './parts.ts';

interface OwnProof {
  readonly provenAtMs: number;
  readonly spiOut: string;
  readonly profile: ProfileName;
  /** What was proven is the way to this address, and to no other. */
  readonly peerAddress: string;
}

interface Hearing {
  readonly peer: Peer;
  readonly listener: ProbeListener;
  readonly before: ChannelReading;
  readonly expiresAtMs: number;
}

const hearingsMax = 64;
/** A hearing that nobody asks about any more (its controller died) is closed after this. */
const hearingLifetimeMs = 60_000;

/** No proof, no bytes: what the probes showed at this end of each channel. */
export class Proofs {
  readonly #parts: AgentParts;
  readonly #settings: AgentSettings;
  readonly #channels: Channels;
  readonly #proofs = new Map<HostId, OwnProof>();
  readonly #hearings = new Map<string, Hearing>();

  constructor(parts: AgentParts, settings: AgentSettings, channels: Channels) {
    this.#parts = parts;
    this.#settings = settings;
    this.#channels = channels;
  }

  async listen(peer: Peer, nonce: string, signal: AbortSignal): Promise<void> {
    this.#channels.mustBeMember(peer.hostId);
    await this.#closeHearings((hearing) => hearing.expiresAtMs <= this.#parts.clock.monotonicMs());
    if (this.#hearings.size >= hearingsMax)
      throw new PlimsollError('migration-limit', 'too many proofs are under way on this host: try again');
    const before = await this.#channels.reading(peer.hostId, signal);
    const listener = await this.#parts.prober.listen(this.#channels.ownAddresses(peer), nonce, signal);
    const expiresAtMs = this.#parts.clock.monotonicMs() + hearingLifetimeMs;
    const former = this.#hearings.get(nonce);
    this.#hearings.set(nonce, { peer, listener, before, expiresAtMs });
    await former?.listener.close();
  }

  async heard(nonce: string, signal: AbortSignal): Promise<ProofFacts> {
    const hearing = this.#hearings.get(nonce);
    if (!hearing) throw new PlimsollError('proof-failed', 'this host was not listening for that proof: start the migration again');
    this.#hearings.delete(nonce);
    try {
      const after = await this.#channels.reading(hearing.peer.hostId, signal);
      return this.#facts(hearing.peer, hearing.before, after, hearing.listener.counts());
    } finally {
      await hearing.listener.close();
    }
  }

  /** Sends the probes and keeps what this end saw: without it no transfer starts from here. */
  async probe(peer: Peer, nonce: string, signal: AbortSignal): Promise<ProofFacts> {
    this.#channels.mustBeMember(peer.hostId);
    this.#proofs.delete(peer.hostId);
    const { prober, clock } = this.#parts;
    const before = await this.#channels.reading(peer.hostId, signal);
    const ends = { from: this.#channels.ownAddresses(peer), to: channelAddresses(peer.profile, peer.addresses), nonce };
    const protectedProbes = await prober.sendProtected(
      { ...ends, count: proofPolicy.protectedProbes, sizeBytes: proofPolicy.probeBytes, timeoutMs: proofPolicy.probeTimeoutMs },
      signal,
    );
    const plainProbes = await prober.sendPlain({ ...ends, count: proofPolicy.plainProbes }, signal);
    const after = await this.#channels.reading(peer.hostId, signal);
    const facts = this.#facts(peer, before, after, { protectedProbes, plainProbes });
    if (judgeOwnEnd(peer.profile, facts) === null && after.sa !== null) {
      this.#proofs.set(peer.hostId, {
        provenAtMs: clock.monotonicMs(),
        spiOut: after.sa.spiOut,
        profile: peer.profile.name,
        peerAddress: migrationAddress(peer.profile, peer.addresses),
      });
    }
    return facts;
  }

  /** The channel that was proven from here a moment ago and still stands behind an intact guard; throws otherwise. Good once. */
  async spend(peer: Peer, signal: AbortSignal): Promise<ChannelReading> {
    const peerHostId = peer.hostId;
    this.#channels.mustBeMember(peerHostId);
    const proof = this.#proofs.get(peerHostId);
    const age = proof ? this.#parts.clock.monotonicMs() - proof.provenAtMs : Number.POSITIVE_INFINITY;
    if (!proof || age > proofPolicy.proofLifetimeMs) {
      throw new PlimsollError('proof-missing', `there is no fresh proof of the channel to ${peerHostId}: nothing was sent`);
    }
    if (proof.peerAddress !== migrationAddress(peer.profile, peer.addresses) || proof.profile !== peer.profile.name) {
      throw new PlimsollError('proof-missing', `the channel to ${peerHostId} was proven to another address or profile: nothing was sent`);
    }
    const reading = await this.#channels.reading(peerHostId, signal);
    if (!reading.guard.installed) throw new PlimsollError('guard-missing', 'the guard is gone from this host: nothing was sent');
    // Asked again after the wait: another start may have used the proof, or the channel may have been closed.
    if (reading.sa === null || reading.sa.spiOut !== proof.spiOut || this.#proofs.get(peerHostId) !== proof) {
      throw new PlimsollError('proof-missing', `the SA with ${peerHostId} is not the one that was proven: nothing was sent`);
    }
    this.#proofs.delete(peerHostId);
    return reading;
  }

  /** Nothing that was proven with this peer, or is being proven, counts any more. */
  async forget(peerHostId: HostId): Promise<void> {
    this.#proofs.delete(peerHostId);
    await this.#closeHearings((hearing) => hearing.peer.hostId === peerHostId);
  }

  #facts(
    peer: Peer,
    before: ChannelReading,
    after: ChannelReading,
    probes: { readonly protectedProbes: number; readonly plainProbes: number },
  ): ProofFacts {
    return {
      hostId: this.#settings.hostId,
      peerHostId: peer.hostId,
      certificateSha256: this.#channels.certificateShown(peer),
      before: before.sa,
      after: after.sa,
      guardBefore: before.guard,
      guardAfter: after.guard,
      ...probes,
    };
  }

  async #closeHearings(isOver: (hearing: Hearing) => boolean): Promise<void> {
    for (const [nonce, hearing] of this.#hearings) {
      if (!isOver(hearing)) continue;
      this.#hearings.delete(nonce);
      await hearing.listener.close();
    }
  }
}
