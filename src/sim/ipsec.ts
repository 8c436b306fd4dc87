import { profileFault } from '#core/channel/profiles.ts';
import type { IpsecBackend, IpsecErrors, SecurityAssociation } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer, HostIdentity, Ipsec, Random } from '#core/ports.ts';
import { distrust, readCertificate } from './certificates.ts';
import { type Loaded, mirrored, SaEnd, type SaSpis } from './charon.ts';
import type { SimHost } from './host.ts';
import type { World } from './world.ts';

const callMs = 1;
/** IKE_SA_INIT and IKE_AUTH with certificates. Measured: 0.07 s. */
const ikeMs = 70;
const establishTimeoutMs = 10_000;
/** As the driver's calls of VICI: then charon hangs. */
const callDeadlineMs = 5_000;
/** strongSwan's retransmit_timeout, and the factor of each further wait (retransmit_base). */
const retransmit = { firstMs: 4_000, factor: 1.8 };
/** Dead peer detection: until an end notices that the other one has lost the SA. */
const deadPeerMs = 30_000;

/** One agent's connection to its host's charon. */
export class SimIpsec implements Ipsec {
  readonly #world: World;
  readonly #host: SimHost;
  readonly #random: Random;
  readonly #listeners = new Set<(change: { readonly peerHostId: HostId; readonly up: boolean }) => void>();

  constructor(world: World, host: SimHost, random: Random) {
    this.#world = world;
    this.#host = host;
    this.#random = random;
  }

  backend(signal: AbortSignal): Promise<IpsecBackend> {
    return this.#call(signal, () => this.#host.spec.ipsec);
  }

  version(signal: AbortSignal): Promise<string> {
    return this.#call(signal, () => 'simulated strongSwan');
  }

  prepare(peer: ChannelPeer, identity: HostIdentity, signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => {
      const fault = profileFault(peer.profile, this.#host.spec.ipsec);
      if (fault !== null) throw new PlimsollError(fault.code, fault.message);
      this.#host.charon.load(peer, identity);
    });
  }

  async establish(peer: ChannelPeer, signal: AbortSignal): Promise<SecurityAssociation> {
    const far = this.#world.host(peer.peerHostId);
    const { loaded, sa } = await this.#call(signal, () => this.#connection(far.hostId));
    if (sa && sa.peer.profile.name === loaded.peer.profile.name) return sa.report;
    await this.#exchange(loaded, far, signal);
    this.#mustLive();
    const fault = this.#authenticationFault(loaded, far.charon.loaded(this.#host.hostId));
    if (fault !== null) throw new PlimsollError('ipsec-failed', `no SA with ${far.hostId} came up: ${fault}`);
    return this.#install(loaded.peer, far).report;
  }

  async rekey(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    await this.#call(signal, () => undefined);
    await this.#world.time.sleep(ikeMs, signal);
    if (!this.#world.rekey(this.#host, this.#world.host(peerHostId)))
      throw new PlimsollError('ipsec-failed', `the SA with ${peerHostId} was not rekeyed: it does not answer`);
  }

  errors(signal: AbortSignal): Promise<IpsecErrors | null> {
    const none = { integrityPackets: 0, replayPackets: 0, plainTextPackets: 0 };
    return this.#call(signal, () => ({ ...none, unknownSpiPackets: this.#host.charon.unknownSpiPackets }));
  }

  updateTrust(identity: HostIdentity, signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => this.#host.charon.trust(identity));
  }

  listSas(signal: AbortSignal): Promise<readonly SecurityAssociation[]> {
    return this.#call(signal, () => this.#host.charon.sas.map((sa) => sa.report));
  }

  remove(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => {
      this.#host.charon.forget(peerHostId);
      if (!this.#host.charon.sa(peerHostId)) return;
      this.#host.charon.drop(peerHostId);
      this.#tell(peerHostId, false);
      this.#farEndEnds(peerHostId);
    });
  }

  onSaChange(listener: (change: { readonly peerHostId: HostId; readonly up: boolean }) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Rejects with `ipsec-failed` when the peer does not answer. */
  async #exchange(loaded: Loaded, far: SimHost, signal: AbortSignal): Promise<void> {
    const { network, time } = this.#world;
    const near = this.#host.hostId;
    const isBegun = network.reaches(near, far.hostId);
    const tookMs = this.#exchangesMs(far);
    await time.sleep(Math.min(tookMs, establishTimeoutMs), signal);
    if (tookMs <= establishTimeoutMs) {
      if (far.charon.runs && network.reaches(near, far.hostId)) return;
      const isHeard = isBegun && far.charon.runs && network.passes(near, far.hostId);
      if (isHeard && this.#authenticationFault(loaded, far.charon.loaded(near)) === null) this.#leaveHalf(loaded.peer, far);
      await time.sleep(establishTimeoutMs, signal);
    }
    throw new PlimsollError('ipsec-failed', `no SA with ${far.hostId} came up: it does not answer`);
  }

  /** The last request came through and its answer did not: the peer has an SA, until it notices that nobody is there. */
  #leaveHalf(peer: ChannelPeer, far: SimHost): void {
    const { end } = this.#ends(peer, far);
    far.charon.install(end);
    this.#world.time.after(deadPeerMs, () => far.charon.remove(end));
  }

  /** IKE_SA_INIT and IKE_AUTH: two requests with their answers, each sent again when it, or its answer, is lost. */
  #exchangesMs(far: SimHost): number {
    const link = this.#world.network.link(this.#host.hostId, far.hostId);
    if (link === undefined) return ikeMs;
    const exchangeMs = () => {
      let waitedMs = 0;
      for (let waitMs = retransmit.firstMs; (link.loses() || link.loses()) && waitedMs < establishTimeoutMs; waitMs *= retransmit.factor)
        waitedMs += waitMs;
      return waitedMs + link.datagramMs() + link.datagramMs();
    };
    return ikeMs + exchangeMs() + exchangeMs();
  }

  #connection(peerHostId: HostId): { readonly loaded: Loaded; readonly sa: SaEnd | undefined } {
    const loaded = this.#host.charon.loaded(peerHostId);
    if (!loaded) throw new PlimsollError('ipsec-failed', `no connection to ${peerHostId} is loaded`);
    return { loaded, sa: this.#host.charon.sa(peerHostId) };
  }

  /** What IKE_AUTH, and the choice of proposals, would fail with; null when both ends agree and believe each other. */
  #authenticationFault(near: Loaded, far: Loaded | undefined): string | null {
    if (!far) return 'it has no matching peer configuration';
    const { profile, secrets } = near.peer;
    if (JSON.stringify(far.peer.profile) !== JSON.stringify(profile)) return 'no proposal is chosen';
    if (secrets.postQuantumKey !== far.peer.secrets.postQuantumKey) return 'the post-quantum keys differ';
    if (profile.authentication === 'psk')
      return secrets.preSharedKey === far.peer.secrets.preSharedKey ? null : 'the pre-shared keys differ';
    const nowMs = (hostId: HostId) => this.#world.clock(hostId).nowMs;
    return (
      distrust(readCertificate(far.identity.certificatePem), near.identity.crlPems, nowMs(this.#host.hostId)) ??
      distrust(readCertificate(near.identity.certificatePem), far.identity.crlPems, nowMs(near.peer.peerHostId))
    );
  }

  #install(peer: ChannelPeer, far: SimHost): SaEnd {
    const { near, end } = this.#ends(peer, far);
    this.#host.charon.install(near);
    far.charon.install(end);
    this.#tell(far.hostId, true);
    this.#rekeyInTime(near, far);
    return near;
  }

  /** Both ends of a new SA: `near` of this host, `end` of the other one. */
  #ends(peer: ChannelPeer, far: SimHost): { readonly near: SaEnd; readonly end: SaEnd } {
    const uniqueId = String(this.#world.time.elapsedMs);
    const inner = { spiIn: this.#spi(), spiOut: this.#spi() };
    const spis: SaSpis = { inner, outer: peer.profile.name === 'ah+esp' ? { spiIn: this.#spi(), spiOut: this.#spi() } : null };
    const farPeer: ChannelPeer = {
      ...peer,
      peerHostId: this.#host.hostId,
      localAddresses: peer.peerAddresses,
      peerAddresses: peer.localAddresses,
    };
    const near = new SaEnd(peer, this.#host.spec.ipsec, uniqueId, spis);
    return { near, end: new SaEnd(farPeer, far.spec.ipsec, uniqueId, mirrored(spis)) };
  }

  /** The daemon replaces the keys by itself, as long as the SA is there. */
  #rekeyInTime(sa: SaEnd, far: SimHost): void {
    this.#world.time.after(sa.peer.profile.rekeySeconds * 1000, () => {
      if (!this.#host.charon.sas.includes(sa)) return;
      this.#world.rekey(this.#host, far);
      this.#rekeyInTime(sa, far);
    });
  }

  /** A delete message where the peer can be reached, dead peer detection where it cannot. */
  #farEndEnds(peerHostId: HostId): void {
    const far = this.#world.host(peerHostId);
    const isTold = far.charon.runs && this.#world.network.arriving(this.#host.hostId, peerHostId, 1) > 0;
    this.#world.time.after(isTold ? 1 : deadPeerMs, () => {
      if (!this.#host.charon.sa(peerHostId)) far.charon.drop(this.#host.hostId);
    });
  }

  #tell(peerHostId: HostId, up: boolean): void {
    for (const listener of this.#listeners) listener({ peerHostId, up });
  }

  #spi(): string {
    const word = Math.floor(this.#random.fraction() * 0xffff_ffff);
    return word.toString(16).padStart(8, '0');
  }

  #mustLive(): void {
    if (!this.#host.charon.alive) throw new PlimsollError('ipsec-unavailable', 'charon does not answer: start it');
  }

  async #call<Value>(signal: AbortSignal, act: () => Value): Promise<Value> {
    const { time } = this.#world;
    await time.sleep(callMs, signal);
    const { standstill } = this.#host.charon;
    if (standstill.paused && !(await standstill.over(time, callDeadlineMs, signal)))
      throw new PlimsollError(
        'ipsec-unavailable',
        `charon did not answer within ${callDeadlineMs} ms: check its load and that it runs with at least 16 threads.`,
      );
    this.#mustLive();
    return act();
  }
}
