import type { PeerTuning, WayFacts } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Network } from '#core/ports.ts';
import type { SimHost } from './host.ts';
import type { World } from './world.ts';

const ipMs = 2;
const interfaceMtuBytesMax = 9216;
/** Of the TUN device that kernel-libipsec makes. */
const tunnelMtuBytes = 1400;

/** One agent's `ip` and `nft` for packet sizes on its host. */
export class SimPeerNetwork implements Network {
  readonly #world: World;
  readonly #host: SimHost;

  constructor(world: World, host: SimHost) {
    this.#world = world;
    this.#host = host;
  }

  async way(peerUnderlay: string, signal: AbortSignal): Promise<WayFacts> {
    await this.#world.time.sleep(ipMs, signal);
    const { sizes } = this.#world;
    const peer = this.#world.hosts.find(({ spec }) => spec.addresses.underlay === peerUnderlay);
    if (!peer) throw new PlimsollError('channel-failed', `there is no route to ${peerUnderlay}`);
    return {
      interface: this.#host.spec.addresses.interface,
      interfaceMtuBytes: sizes.interfaceMtuBytes(this.#host.hostId),
      interfaceMtuBytesMax,
      routeMtuBytes: sizes.routeMtuBytes(this.#host.hostId, peer.hostId),
      tunnelMtuBytes: this.#host.spec.ipsec === 'libipsec' ? tunnelMtuBytes : null,
    };
  }

  async tune(tuning: PeerTuning, signal: AbortSignal): Promise<void> {
    this.#tunings().set(tuning.peerHostId, structuredClone(tuning));
    await this.#world.time.sleep(ipMs, signal);
  }

  async restore(peerHostId: HostId | null, signal: AbortSignal): Promise<void> {
    if (peerHostId === null) this.#tunings().clear();
    else this.#tunings().delete(peerHostId);
    await this.#world.time.sleep(ipMs, signal);
  }

  async tuned(signal: AbortSignal): Promise<readonly PeerTuning[]> {
    await this.#world.time.sleep(ipMs, signal);
    return structuredClone([...this.#tunings().values()]);
  }

  #tunings(): Map<HostId, PeerTuning> {
    return this.#world.sizes.tunings(this.#host.hostId);
  }
}
