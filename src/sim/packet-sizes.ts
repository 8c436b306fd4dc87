import type { HostId } from '#core/model/host.ts';
import type { PeerTuning } from '#core/model/channel.ts';

const mtuBytesDefault = 1500;

/** The narrowest link between two hosts, and whether the router in front of it says so (ICMP) or swallows what is too large. */
export interface PathSpec {
  readonly between: readonly [HostId, HostId];
  readonly mtuBytes: number;
  readonly tells: boolean;
}

/** How large packets may be, and what the hosts have set about it. Settings live in the kernels: they outlive the agents. */
export class PacketSizes {
  readonly #interfaceMtuBytes: ReadonlyMap<HostId, number>;
  readonly #paths: ReadonlyMap<string, PathSpec>;
  readonly #tunings = new Map<HostId, Map<HostId, PeerTuning>>();
  readonly #learned = new Map<string, number>();

  constructor(interfaces: ReadonlyMap<HostId, number>, paths: readonly PathSpec[]) {
    this.#interfaceMtuBytes = interfaces;
    this.#paths = new Map(paths.map((path) => [pairOf(...path.between), path]));
  }

  interfaceMtuBytes(hostId: HostId): number {
    const raised = [...this.tunings(hostId).values()].flatMap(({ interfaceMtuBytes }) => interfaceMtuBytes ?? []);
    return Math.max(this.#interfaceMtuBytes.get(hostId) ?? mtuBytesDefault, ...raised);
  }

  /** Set by hand or learned from a router; null when there is neither. */
  routeMtuBytes(from: HostId, to: HostId): number | null {
    const known = [this.tunings(from).get(to)?.routeMtuBytes ?? null, this.#learned.get(`${from} ${to}`) ?? null];
    const sizes = known.filter((size) => size !== null);
    return sizes.length === 0 ? null : Math.min(...sizes);
  }

  /** Whether a packet that may not be fragmented gets there. A host that is told the MTU remembers it. */
  carries(from: HostId, to: HostId, packetBytes: number): boolean {
    const path = this.#paths.get(pairOf(from, to));
    const ends = Math.min(this.interfaceMtuBytes(from), this.interfaceMtuBytes(to));
    if (path?.tells === true && packetBytes > path.mtuBytes) this.#learned.set(`${from} ${to}`, path.mtuBytes);
    return packetBytes <= Math.min(ends, path?.mtuBytes ?? ends);
  }

  tunings(hostId: HostId): Map<HostId, PeerTuning> {
    const tunings = this.#tunings.get(hostId) ?? new Map<HostId, PeerTuning>();
    this.#tunings.set(hostId, tunings);
    return tunings;
  }
}

function pairOf(a: HostId, b: HostId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
