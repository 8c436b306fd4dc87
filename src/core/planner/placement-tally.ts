/** What the score counts by where the VMs are: broken rules, and what would find no room if a host were lost. */
import type { HostId } from '#core/model/host.ts';
import type { VmId } from '#core/model/vm.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import type { RuleBook } from './rules.ts';
import { noHosts, type PlacementCounts, scoreOf } from './score.ts';
import { type Where, whereWith } from './where.ts';

/** Counted anew, over all rules and VMs. */
export function placementCounts(book: RuleBook, where: Where, hosts: readonly ClusterHost[]): PlacementCounts {
  return { brokenRules: book.breaches(where), headroomShortPercent: percentOf(book.headroomShortBytes(where), meanMemoryBytes(hosts)) };
}

/** Of the memory of a mean host: one host is lost, so 100 is about all that it has. */
function percentOf(shortBytes: number, hostBytes: number): number {
  return shortBytes > 0 && hostBytes > 0 ? (shortBytes / hostBytes) * 100 : 0;
}

function meanMemoryBytes(hosts: readonly ClusterHost[]): number {
  return hosts.reduce((sum, host) => sum + host.capacity.memoryBytes, 0) / Math.max(1, hosts.length);
}

/** The same as VMs move one after the other: a move costs the VM's own rules, and one look over the hosts where headroom is asked for. */
export class PlacementTally {
  readonly #book: RuleBook;
  readonly #hostBytes: number;
  readonly #moved = new Map<VmId, HostId>();
  #where: Where;
  #counts: PlacementCounts;

  constructor(book: RuleBook, hosts: readonly ClusterHost[]) {
    this.#book = book;
    this.#hostBytes = meanMemoryBytes(hosts);
    this.#where = book.where;
    this.#counts = placementCounts(book, book.where, hosts);
  }

  get counts(): PlacementCounts {
    return this.#counts;
  }

  /** What they would be with the VM on this host. */
  after(vm: Pick<ClusterVm, 'vmId' | 'name'>, hostId: HostId): PlacementCounts {
    const now = this.#where(vm.vmId);
    if (now === undefined || now === hostId) return this.#counts;
    const change = this.#book.broken(vm, hostId, this.#where) - this.#book.broken(vm, now, this.#where);
    const shortBytes = this.#book.headroomShortAfter(vm.vmId, hostId, this.#where);
    return { brokenRules: this.#counts.brokenRules + change, headroomShortPercent: percentOf(shortBytes, this.#hostBytes) };
  }

  /** By how much they would change the score. */
  scoreChange(vm: Pick<ClusterVm, 'vmId' | 'name'>, hostId: HostId): number {
    return weigh(this.after(vm, hostId)) - weigh(this.#counts);
  }

  move(vm: Pick<ClusterVm, 'vmId' | 'name'>, hostId: HostId): void {
    this.#counts = this.after(vm, hostId);
    this.#moved.set(vm.vmId, hostId);
    // What was found out about a placement is remembered with it, so the next one needs its own. Those before are not asked again.
    this.#where = whereWith(this.#book.where, this.#moved);
  }
}

function weigh(counts: PlacementCounts): number {
  return scoreOf({ ...noHosts, ...counts });
}
