import type { IpsecBackend, SecurityAssociation } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer, HostIdentity, Ipsec, Random } from '#core/ports.ts';
import { reportOf, type SaEnd } from './charon.ts';
import type { SimHost } from './host.ts';
import type { World } from './world.ts';

const callMs = 1;
/** IKE_SA_INIT and IKE_AUTH with certificates. Measured: 0.07 s. */
const ikeMs = 70;
const establishTimeoutMs = 10_000;
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
    return this.#call(signal, () => 'libipsec');
  }

  version(signal: AbortSignal): Promise<string> {
    return this.#call(signal, () => 'simulated strongSwan');
  }

  prepare(peer: ChannelPeer, _identity: HostIdentity, signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => this.#host.charon.prepare(peer.peerHostId));
  }

  async establish(peer: ChannelPeer, signal: AbortSignal): Promise<SecurityAssociation> {
    const far = this.#world.host(peer.peerHostId);
    const existing = await this.#call(signal, () => {
      if (!this.#host.charon.isPrepared(far.hostId)) throw new PlimsollError('ipsec-failed', `no connection to ${far.hostId} is loaded`);
      return this.#host.charon.sa(far.hostId);
    });
    if (existing) return reportOf(existing);
    await this.#world.time.sleep(ikeMs, signal);
    if (!far.charon.alive || !this.#world.network.reaches(this.#host.hostId, far.hostId)) {
      await this.#world.time.sleep(establishTimeoutMs, signal);
      throw new PlimsollError('ipsec-failed', `no SA with ${far.hostId} came up: it does not answer`);
    }
    if (!far.charon.isPrepared(this.#host.hostId)) {
      throw new PlimsollError('ipsec-failed', `no SA with ${far.hostId} came up: it has no matching peer configuration`);
    }
    this.#mustLive();
    return reportOf(this.#install(far));
  }

  listSas(signal: AbortSignal): Promise<readonly SecurityAssociation[]> {
    return this.#call(signal, () => this.#host.charon.sas.map(reportOf));
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

  #install(far: SimHost): SaEnd {
    const spiNear = this.#spi();
    const spiFar = this.#spi();
    const end = (peer: SimHost, spiIn: string, spiOut: string): SaEnd => ({
      peerHostId: peer.hostId,
      childUniqueId: String(this.#world.time.elapsedMs),
      spiIn,
      spiOut,
      counters: { bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0 },
    });
    const near = end(far, spiNear, spiFar);
    this.#host.charon.install(near);
    far.charon.install(end(this.#host, spiFar, spiNear));
    this.#tell(far.hostId, true);
    return near;
  }

  /** A delete message where the peer can be reached, dead peer detection where it cannot. */
  #farEndEnds(peerHostId: HostId): void {
    const far = this.#world.host(peerHostId);
    const reachable = this.#world.network.reaches(this.#host.hostId, peerHostId);
    this.#world.time.after(reachable ? 1 : deadPeerMs, () => {
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
    await this.#world.time.sleep(callMs, signal);
    this.#mustLive();
    return act();
  }
}
