import type { HostId } from '#core/model/host.ts';
import type { ClusterHost } from './cluster.ts';
import { Front } from './front.ts';
import { outlookOf } from './shortage.ts';

/** A host and what it has to spare. */
interface Spare {
  readonly index: number;
  readonly cores: number;
}

/**
 * The hosts that may take VMs while one plan is made. They only fill: what has been found out about them is kept from one move to the next,
 * so that a move costs what it changes and not the whole of a large cluster.
 */
export class Targets {
  readonly #hosts: ClusterHost[];
  readonly #indexes: ReadonlyMap<HostId, number>;
  #front: Front | null = null;
  /** Most to spare first, by what is wanted and what is expected; then by the order of the hosts. */
  #spares: Spare[] | null = null;

  /** `hosts`: sorted by id. */
  constructor(hosts: readonly ClusterHost[]) {
    this.#hosts = [...hosts];
    this.#indexes = new Map(hosts.map(({ hostId }, index) => [hostId, index]));
  }

  /** As they are now, sorted by id. */
  get all(): readonly ClusterHost[] {
    return this.#hosts;
  }

  /** Those worth judging by the score, see `Front`. */
  front(): readonly ClusterHost[] {
    this.#front ??= new Front(this.#hosts);
    return this.#front.members();
  }

  /** Those with most CPU to spare, by what is wanted and what is expected. */
  emptiest(amount: number): readonly ClusterHost[] {
    if (this.#hosts.length <= amount) return this.#hosts;
    this.#spares ??= this.#hosts.map((host, index) => ({ index, cores: spareCores(host) })).toSorted(bySpare);
    return this.#spares
      .slice(0, amount)
      .toSorted((a, b) => a.index - b.index)
      .flatMap(({ index }) => this.#hosts[index] ?? []);
  }

  /** After a move: a host that has taken a VM. Hosts that are no targets are none of its business. */
  fill(host: ClusterHost): void {
    const index = this.#indexes.get(host.hostId);
    if (index === undefined) return;
    this.#hosts[index] = host;
    this.#front?.worsen(index, host);
    if (this.#spares === null) return;
    const spare = { index, cores: spareCores(host) };
    this.#spares.splice(
      this.#spares.findIndex((other) => other.index === index),
      1,
    );
    const place = this.#spares.findIndex((other) => bySpare(other, spare) > 0);
    this.#spares.splice(place < 0 ? this.#spares.length : place, 0, spare);
  }
}

function spareCores(host: ClusterHost): number {
  const { capacityCores, wantedCores, meanCores, variance } = outlookOf(host);
  return capacityCores - Math.max(wantedCores, meanCores + Math.sqrt(variance));
}

function bySpare(a: Spare, b: Spare): number {
  return b.cores - a.cores || a.index - b.index;
}
