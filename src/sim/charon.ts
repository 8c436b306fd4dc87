import type { SecurityAssociation } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { Daemon } from './daemon.ts';

export type Counters = { -readonly [Key in 'bytesIn' | 'bytesOut' | 'packetsIn' | 'packetsOut']: number };

/** One end of an SA: what the daemon says of it, and its live counters. */
export interface SaEnd {
  readonly peerHostId: HostId;
  readonly childUniqueId: string;
  readonly spiIn: string;
  readonly spiOut: string;
  readonly counters: Counters;
}

/** The IPsec daemon of one host. ESP runs inside it (libipsec), so its SAs die with it. */
export class Charon extends Daemon {
  readonly #prepared = new Set<HostId>();
  #sas: readonly SaEnd[] = [];

  prepare(peerHostId: HostId): void {
    this.#prepared.add(peerHostId);
  }

  isPrepared(peerHostId: HostId): boolean {
    return this.#prepared.has(peerHostId);
  }

  forget(peerHostId: HostId): void {
    this.#prepared.delete(peerHostId);
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

  drop(peerHostId: HostId): void {
    this.#sas = this.#sas.filter((sa) => sa.peerHostId !== peerHostId);
  }

  override kill(): void {
    this.#sas = [];
    this.#prepared.clear();
    super.kill();
  }
}

/** An SA as charon reports it. */
export function reportOf(sa: SaEnd): SecurityAssociation {
  return {
    peerHostId: sa.peerHostId,
    ikeUniqueId: sa.childUniqueId,
    childUniqueId: sa.childUniqueId,
    state: 'installed',
    mode: 'tunnel',
    udpEncapsulated: true,
    encryption: 'AES_GCM_16-256',
    integrity: null,
    keyExchange: 'CURVE_25519',
    spiIn: sa.spiIn,
    spiOut: sa.spiOut,
    ...sa.counters,
  };
}
