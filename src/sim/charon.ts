import { saModeOf, usesEsp } from '#core/channel/profiles.ts';
import { parseProposal, withoutExtendedSequenceNumbers } from '#core/channel/proposal.ts';
import type { ChannelProfile, IpsecBackend, OuterAssociation, SaCounters, SecurityAssociation } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { ChannelPeer, HostIdentity } from '#core/ports.ts';
import { Daemon } from './daemon.ts';

/** As many as a host reports. */
const replacedKeptMax = 64;

export type LiveCounters = { -readonly [Key in keyof SaCounters]: SaCounters[Key] };

/** A peer whose connection is loaded. */
export interface Loaded {
  readonly peer: ChannelPeer;
  identity: HostIdentity;
}

/** One end of an SA: what was agreed, and live counters, also of the AH SA around it in profile `ah+esp`. */
export class SaEnd {
  readonly peer: ChannelPeer;
  readonly backend: IpsecBackend;
  readonly ikeUniqueId: string;
  childUniqueId: string;
  counters: LiveCounters;
  outer: LiveCounters | null;
  #replaced: readonly SaCounters[] = [];

  constructor(peer: ChannelPeer, backend: IpsecBackend, uniqueId: string, spis: SaSpis) {
    this.peer = peer;
    this.backend = backend;
    this.ikeUniqueId = uniqueId;
    this.childUniqueId = uniqueId;
    this.counters = fresh(spis.inner);
    this.outer = spis.outer && fresh(spis.outer);
  }

  get peerHostId(): HostId {
    return this.peer.peerHostId;
  }

  /** A rekey: new keys, new numbers, and the old counters kept as history. */
  replace(uniqueId: string, spis: SaSpis): void {
    this.#replaced = [...this.#replaced, { ...this.counters }].slice(-replacedKeptMax);
    this.childUniqueId = uniqueId;
    this.counters = fresh(spis.inner);
    this.outer = spis.outer && fresh(spis.outer);
  }

  count(direction: 'In' | 'Out', packets: number, bytes: number): void {
    for (const counters of [this.counters, this.outer]) {
      if (counters === null) continue;
      counters[`packets${direction}`] += packets;
      counters[`bytes${direction}`] += bytes;
    }
  }

  /** As charon reports it. */
  get report(): SecurityAssociation {
    const { profile } = this.peer;
    const agreed = parseProposal(this.#proposal(profile));
    const esp = usesEsp(profile.name);
    return {
      peerHostId: this.peerHostId,
      ikeUniqueId: this.ikeUniqueId,
      childUniqueId: this.childUniqueId,
      protocol: esp ? 'esp' : 'ah',
      state: 'installed',
      mode: saModeOf(profile.name),
      udpEncapsulated: this.backend === 'libipsec' || profile.udpEncapsulation === 'always',
      encryption: esp ? (agreed.encryption[0] ?? 'none') : 'none',
      integrity: agreed.integrity[0] ?? null,
      keyExchange: agreed.groups[0] ?? 'none',
      extendedSequenceNumbers: agreed.extendedSequenceNumbers[0] ?? false,
      ...this.counters,
      outer: this.outer && this.#outerReport(profile, this.outer),
      replaced: this.#replaced,
    };
  }

  /** The best of the profile: both ends have the same one. Userspace ESP knows 32-bit sequence numbers only. */
  #proposal(profile: ChannelProfile): string {
    const proposals = usesEsp(profile.name) ? profile.espProposals : profile.ahProposals;
    return (this.backend === 'libipsec' ? withoutExtendedSequenceNumbers(proposals) : proposals)[0] ?? '';
  }

  #outerReport(profile: ChannelProfile, counters: LiveCounters): OuterAssociation {
    return { integrity: parseProposal(profile.ahProposals[0] ?? '').integrity[0] ?? 'none', ...counters };
  }
}

type SpiPair = { readonly spiIn: string; readonly spiOut: string };

/** Numbers of one end's SA, and of the AH SA around it where there is one. */
export interface SaSpis {
  readonly inner: SpiPair;
  readonly outer: SpiPair | null;
}

export function mirrored({ inner, outer }: SaSpis): SaSpis {
  const turned = ({ spiIn, spiOut }: SpiPair): SpiPair => ({ spiIn: spiOut, spiOut: spiIn });
  return { inner: turned(inner), outer: outer && turned(outer) };
}

function fresh(spis: SpiPair): LiveCounters {
  return { ...spis, bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0 };
}

/** The IPsec daemon of one host. Its SAs die with it: that of ESP inside it (libipsec), and, as it leaves, those in the kernel. */
export class Charon extends Daemon {
  readonly #loaded = new Map<HostId, Loaded>();
  #sas: readonly SaEnd[] = [];
  /** Packets that came for an SA that is not there. */
  unknownSpiPackets = 0;

  load(peer: ChannelPeer, identity: HostIdentity): void {
    this.#loaded.set(peer.peerHostId, { peer, identity });
  }

  loaded(peerHostId: HostId): Loaded | undefined {
    return this.#loaded.get(peerHostId);
  }

  /** Every connection that is loaded checks its peer by these CAs and lists from now on. */
  trust(identity: HostIdentity): void {
    for (const loaded of this.#loaded.values()) loaded.identity = identity;
  }

  forget(peerHostId: HostId): void {
    this.#loaded.delete(peerHostId);
  }

  get sas(): readonly SaEnd[] {
    return this.#sas;
  }

  /** The newest SA with this peer. */
  sa(peerHostId: HostId): SaEnd | undefined {
    return this.#sas.findLast((sa) => sa.peerHostId === peerHostId);
  }

  install(sa: SaEnd): void {
    this.#sas = [...this.#sas, sa];
  }

  remove(sa: SaEnd): void {
    this.#sas = this.#sas.filter((other) => other !== sa);
  }

  drop(peerHostId: HostId): void {
    this.#sas = this.#sas.filter((sa) => sa.peerHostId !== peerHostId);
  }

  override kill(): void {
    this.#sas = [];
    this.#loaded.clear();
    this.unknownSpiPackets = 0;
    super.kill();
  }
}
