import { judgeProfile, secretsFault } from '#core/channel/algorithms.ts';
import { channelAddresses, profileFault } from '#core/channel/profiles.ts';
import type { ChannelReading, ChannelSecrets, IpsecBackend, SecurityAssociation } from '#core/model/channel.ts';
import type { HostAddresses, HostId } from '#core/model/host.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { ChannelPeer, HostIdentity } from '#core/ports.ts';
import type { CommandReply, Peer } from '#wire/agent-protocol.ts';
import { certificateSha256 } from './certificate.ts';
import type { AgentParts, AgentSettings } from './parts.ts';

/** A channel that this process has prepared and not closed. In memory only, for its secrets. */
interface Prepared {
  readonly secrets: ChannelSecrets;
  /** Of the certificate that this host shows in this channel; null when it authenticates by a pre-shared key. */
  readonly certificateSha256: string | null;
}

const noSecrets: ChannelSecrets = { preSharedKey: null, postQuantumKey: null };

/** The channels of this host: guard first, then credentials and SA. Their proof is in proofs.ts. */
export class Channels {
  readonly #parts: AgentParts;
  readonly #settings: AgentSettings;
  readonly #prepared = new Map<HostId, Prepared>();
  #revoked: ReadonlySet<HostId> = new Set();
  #backend: IpsecBackend | null = null;

  constructor(parts: AgentParts, settings: AgentSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Peers that this process has prepared a channel to and not closed it. */
  get preparedPeers(): readonly HostId[] {
    return [...this.#prepared.keys()];
  }

  /** From now on no channel to these hosts is prepared, established or used; replaces what was said before. */
  exclude(revoked: ReadonlySet<HostId>): void {
    this.#revoked = revoked;
  }

  /** Throws `host-revoked` for a host that the cluster has excluded. */
  mustBeMember(hostId: HostId): void {
    if (!this.#revoked.has(hostId)) return;
    throw new PlimsollError('host-revoked', `the certificate of ${hostId} was revoked, there is no channel to it: let it join again`);
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

  /** Loads what the channel needs; the secrets go to the IPsec daemon and nowhere else. */
  async prepare(peer: Peer, secrets: ChannelSecrets, signal: AbortSignal): Promise<string> {
    this.mustBeMember(peer.hostId);
    mustPass(judgeProfile(peer.profile) ?? secretsFault(peer.profile, secrets));
    await this.installGuard(signal);
    const backend = await this.#parts.ipsec.backend(signal);
    mustPass(profileFault(peer.profile, backend));
    // Asked again after the waits: from here on a revocation finds this peer among the prepared ones and ends it.
    this.mustBeMember(peer.hostId);
    const identity = this.#parts.identity.current();
    this.#prepared.set(peer.hostId, { secrets, certificateSha256: this.#shown(peer, identity) });
    await this.#parts.ipsec.prepare(this.#ends(peer), identity, signal);
    return backend;
  }

  establish(peer: Peer, signal: AbortSignal): Promise<SecurityAssociation> {
    this.mustBeMember(peer.hostId);
    return this.#parts.ipsec.establish(this.#ends(peer), signal);
  }

  rekey(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    this.mustBeMember(peerHostId);
    return this.#parts.ipsec.rekey(peerHostId, signal);
  }

  /** This end of the channel to a peer at this moment. */
  async reading(peerHostId: HostId, signal: AbortSignal): Promise<ChannelReading> {
    const { ipsec, guard } = this.#parts;
    const sa = newestOf(await ipsec.listSas(signal), peerHostId);
    return { sa, guard: await guard.inspect(signal), errors: await ipsec.errors(signal) };
  }

  /** For a transfer that IPsec has no part in: its daemon need not run. */
  async readingWithoutIpsec(signal: AbortSignal): Promise<ChannelReading> {
    return { sa: null, guard: await this.#parts.guard.inspect(signal), errors: null };
  }

  /** What stands on this host; with an IPsec daemon that is away, the guard and the tunings. */
  async list(signal: AbortSignal): Promise<CommandReply<'channel.list'>> {
    const { ipsec, guard, network } = this.#parts;
    const state = await guard.inspect(signal);
    const tuned = [...(await network.tuned(signal))];
    try {
      const backend = await ipsec.backend(signal);
      return { backend, guard: state, errors: await ipsec.errors(signal), sas: [...(await ipsec.listSas(signal))], tuned };
    } catch (error) {
      if (signal.aborted || !(error instanceof PlimsollError) || error.code !== 'ipsec-unavailable') throw error;
      return { backend: null, guard: state, errors: null, sas: [], tuned };
    }
  }

  /** Ends the SAs with this peer, unloads its connection and secrets, and puts the network settings back. */
  async end(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    this.#prepared.delete(peerHostId);
    // Both are tried: one daemon that is away must not keep the other's work from being undone.
    const done = await Promise.allSettled([this.#parts.ipsec.remove(peerHostId, signal), this.#parts.network.restore(peerHostId, signal)]);
    for (const one of done) if (one.status === 'rejected') throw one.reason;
  }

  /** The addresses of this host as the channel to this peer sees them. */
  ownAddresses(peer: Peer): HostAddresses {
    return channelAddresses(peer.profile, this.#settings.addresses);
  }

  /** SHA-256 (hex) of the certificate that this host shows this peer; null when they have a pre-shared key. */
  certificateShown(peer: Peer): string | null {
    const prepared = this.#prepared.get(peer.hostId);
    return prepared === undefined ? this.#shown(peer, this.#parts.identity.current()) : prepared.certificateSha256;
  }

  #shown(peer: Peer, identity: HostIdentity): string | null {
    return peer.profile.authentication === 'certificate' ? certificateSha256(identity.certificatePem, this.#parts.sha256) : null;
  }

  #ends(peer: Peer): ChannelPeer {
    return {
      localAddresses: this.ownAddresses(peer),
      peerHostId: peer.hostId,
      peerAddresses: channelAddresses(peer.profile, peer.addresses),
      profile: peer.profile,
      secrets: this.#prepared.get(peer.hostId)?.secrets ?? noSecrets,
    };
  }
}

/** The newest SA with a peer that carries traffic. */
function newestOf(sas: readonly SecurityAssociation[], peerHostId: HostId): SecurityAssociation | null {
  const usable = sas.filter((sa) => sa.peerHostId === peerHostId && (sa.state === 'installed' || sa.state === 'rekeying'));
  return usable.toSorted((a, b) => Number(b.childUniqueId) - Number(a.childUniqueId))[0] ?? null;
}

function mustPass(fault: Refusal | null): void {
  if (fault !== null) throw new PlimsollError(fault.code, fault.message);
}
