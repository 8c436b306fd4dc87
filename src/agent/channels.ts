import { judgeOwnEnd, proofPolicy } from '#core/channel/proof.ts';
import type { GuardState, IpsecBackend, ProofFacts, SecurityAssociation } from '#core/model/channel.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer, ProbeListener } from '#core/ports.ts';
import type { Peer } from '#wire/agent-protocol.ts';
import type { AgentParts, AgentSettings } from './parts.ts';

interface OwnProof {
  readonly provenAtMs: number;
  readonly spiOut: string;
  /** What was proven is the way to this address, and to no other. */
  readonly peerProtectedAddress: string;
}

interface Hearing {
  readonly peer: Peer;
  readonly listener: ProbeListener;
  readonly before: SecurityAssociation | null;
  readonly guardBefore: GuardState;
  readonly expiresAtMs: number;
}

const hearingsMax = 64;
/** A hearing that nobody asks about any more (its controller died) is closed after this. */
const hearingLifetimeMs = 60_000;

/** The channels of this host: guard first, then credentials and SA, then proof. */
export class Channels {
  readonly #parts: AgentParts;
  readonly #settings: AgentSettings;
  readonly #proofs = new Map<string, OwnProof>();
  readonly #hearings = new Map<string, Hearing>();
  #backend: IpsecBackend | null = null;

  constructor(parts: AgentParts, settings: AgentSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** The guard goes in before anything else and stays when this process dies. */
  async installGuard(signal: AbortSignal): Promise<void> {
    const backend = await this.#knownBackend(signal);
    await this.#parts.guard.install({ addresses: this.#settings.addresses, backend }, signal);
  }

  /** A charon that is away must not keep the guard from being repaired: what it said last still holds. */
  async #knownBackend(signal: AbortSignal): Promise<IpsecBackend> {
    try {
      this.#backend = await this.#parts.ipsec.backend(signal);
      return this.#backend;
    } catch (error) {
      if (this.#backend === null || signal.aborted) throw error;
      return this.#backend;
    }
  }

  async prepare(peer: Peer, signal: AbortSignal): Promise<string> {
    await this.installGuard(signal);
    await this.#parts.ipsec.prepare(this.#ends(peer), this.#parts.identity, signal);
    return this.#parts.ipsec.backend(signal);
  }

  establish(peer: Peer, signal: AbortSignal): Promise<SecurityAssociation> {
    return this.#parts.ipsec.establish(this.#ends(peer), signal);
  }

  async state(peerHostId: string, signal: AbortSignal): Promise<{ readonly sa: SecurityAssociation | null; readonly guard: GuardState }> {
    return { sa: await this.#saWith(peerHostId, signal), guard: await this.#parts.guard.inspect(signal) };
  }

  async listen(peer: Peer, nonce: string, signal: AbortSignal): Promise<void> {
    await this.#closeHearings((hearing) => hearing.expiresAtMs <= this.#parts.clock.monotonicMs());
    if (this.#hearings.size >= hearingsMax)
      throw new PlimsollError('migration-limit', 'too many proofs are under way on this host: try again');
    const { sa, guard } = await this.state(peer.hostId, signal);
    const listener = await this.#parts.prober.listen(this.#settings.addresses, nonce, signal);
    const expiresAtMs = this.#parts.clock.monotonicMs() + hearingLifetimeMs;
    const former = this.#hearings.get(nonce);
    this.#hearings.set(nonce, { peer, listener, before: sa, guardBefore: guard, expiresAtMs });
    await former?.listener.close();
  }

  async heard(nonce: string, signal: AbortSignal): Promise<ProofFacts> {
    const hearing = this.#hearings.get(nonce);
    if (!hearing) throw new PlimsollError('proof-failed', 'this host was not listening for that proof: start the migration again');
    this.#hearings.delete(nonce);
    try {
      const { sa, guard } = await this.state(hearing.peer.hostId, signal);
      const counts = hearing.listener.counts();
      return {
        hostId: this.#settings.hostId,
        peerHostId: hearing.peer.hostId,
        before: hearing.before,
        after: sa,
        guardBefore: hearing.guardBefore,
        guardAfter: guard,
        ...counts,
      };
    } finally {
      await hearing.listener.close();
    }
  }

  /** Sends the probes and keeps what this end saw: without it no transfer starts from here. */
  async probe(peer: Peer, nonce: string, signal: AbortSignal): Promise<ProofFacts> {
    this.#proofs.delete(peer.hostId);
    const before = await this.state(peer.hostId, signal);
    const ends = { from: this.#settings.addresses, to: peer.addresses, nonce };
    const protectedProbes = await this.#parts.prober.sendProtected(
      { ...ends, count: proofPolicy.protectedProbes, sizeBytes: proofPolicy.probeBytes, timeoutMs: proofPolicy.probeTimeoutMs },
      signal,
    );
    const plainProbes = await this.#parts.prober.sendPlain({ ...ends, count: proofPolicy.plainProbes }, signal);
    const after = await this.state(peer.hostId, signal);
    const facts: ProofFacts = {
      hostId: this.#settings.hostId,
      peerHostId: peer.hostId,
      before: before.sa,
      after: after.sa,
      guardBefore: before.guard,
      guardAfter: after.guard,
      protectedProbes,
      plainProbes,
    };
    if (judgeOwnEnd(facts) === null && after.sa !== null) {
      this.#proofs.set(peer.hostId, {
        provenAtMs: this.#parts.clock.monotonicMs(),
        spiOut: after.sa.spiOut,
        peerProtectedAddress: peer.addresses.protected,
      });
    }
    return facts;
  }

  /** The SA that was proven from here a moment ago and still stands behind an intact guard; throws otherwise. */
  async provenSa(peer: Peer, signal: AbortSignal): Promise<SecurityAssociation> {
    const peerHostId = peer.hostId;
    const proof = this.#proofs.get(peerHostId);
    const age = proof ? this.#parts.clock.monotonicMs() - proof.provenAtMs : Number.POSITIVE_INFINITY;
    if (!proof || age > proofPolicy.proofLifetimeMs) {
      throw new PlimsollError('proof-missing', `there is no fresh proof of the channel to ${peerHostId}: nothing was sent`);
    }
    if (proof.peerProtectedAddress !== peer.addresses.protected) {
      throw new PlimsollError('proof-missing', `the channel to ${peerHostId} was proven to another address: nothing was sent`);
    }
    const { sa, guard } = await this.state(peerHostId, signal);
    if (!guard.installed) throw new PlimsollError('guard-missing', 'the guard is gone from this host: nothing was sent');
    // Asked again after the wait: another start may have used the proof, or the channel may have been closed.
    if (sa === null || sa.spiOut !== proof.spiOut || this.#proofs.get(peerHostId) !== proof) {
      throw new PlimsollError('proof-missing', `the SA with ${peerHostId} is not the one that was proven: nothing was sent`);
    }
    this.#proofs.delete(peerHostId);
    return sa;
  }

  async close(peerHostId: string, signal: AbortSignal): Promise<void> {
    this.#proofs.delete(peerHostId);
    await this.#closeHearings((hearing) => hearing.peer.hostId === peerHostId);
    await this.#parts.ipsec.remove(peerHostId, signal);
  }

  async #saWith(peerHostId: string, signal: AbortSignal): Promise<SecurityAssociation | null> {
    const sas = await this.#parts.ipsec.listSas(signal);
    const usable = sas.filter((sa) => sa.peerHostId === peerHostId && (sa.state === 'installed' || sa.state === 'rekeying'));
    return usable.toSorted((a, b) => Number(b.childUniqueId) - Number(a.childUniqueId))[0] ?? null;
  }

  async #closeHearings(isOver: (hearing: Hearing) => boolean): Promise<void> {
    for (const [nonce, hearing] of this.#hearings) {
      if (!isOver(hearing)) continue;
      this.#hearings.delete(nonce);
      await hearing.listener.close();
    }
  }

  #ends(peer: Peer): ChannelPeer {
    return { localAddresses: this.#settings.addresses, peerHostId: peer.hostId, peerAddresses: peer.addresses };
  }
}
