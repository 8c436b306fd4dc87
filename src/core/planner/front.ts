import type { ClusterHost } from './cluster.ts';
import { isNoSteeper } from './pressure.ts';

/** One place of a list of hosts: whether it is in the front, and whom it keeps out of it. */
interface Place {
  isFront: boolean;
  beaten: number[];
}

/**
 * The hosts worth judging as targets: those that no other of the same capacity beats in CPU, memory in use, promised memory, traffic of cards
 * and disks and pressure at once. Whatever VM is placed, a beaten target fits no better and leaves no better score, because each term of the score grows with the load that
 * a VM meets. In a large cluster a few dozen of a thousand remain. Of equals the first in the list stays.
 */
export class Front {
  readonly #hosts: ClusterHost[];
  readonly #places: Place[];
  #members: number[] = [];

  constructor(hosts: readonly ClusterHost[]) {
    this.#hosts = [...hosts];
    this.#places = hosts.map(() => ({ isFront: false, beaten: [] }));
    for (const index of hosts.keys()) this.#enter(index);
  }

  /** In their order in the list. */
  members(): readonly ClusterHost[] {
    return this.#members.toSorted((a, b) => a - b).flatMap((index) => this.#hosts[index] ?? []);
  }

  /** The host at this place has taken something, it is no better than before: only those that it kept out may come in for it. */
  worsen(index: number, host: ClusterHost): void {
    const place = this.#places[index];
    if (place === undefined) return;
    this.#hosts[index] = host;
    if (!place.isFront) return;
    const again = [index, ...place.beaten];
    place.beaten = [];
    this.#leave(index);
    for (const one of again) this.#enter(one);
  }

  #enter(index: number): void {
    const own = this.#places[index];
    const better = this.#members.find((member) => this.#beats(member, index));
    if (own === undefined) return;
    if (better !== undefined) {
      this.#places[better]?.beaten.push(index);
      return;
    }
    for (const member of this.#members.filter((one) => this.#beats(index, one))) {
      const place = this.#places[member];
      if (place === undefined) continue;
      own.beaten.push(member, ...place.beaten);
      place.beaten = [];
      this.#leave(member);
    }
    own.isFront = true;
    this.#members.push(index);
  }

  #leave(index: number): void {
    const place = this.#places[index];
    if (place !== undefined) place.isFront = false;
    this.#members = this.#members.filter((member) => member !== index);
  }

  #beats(first: number, second: number): boolean {
    const [a, b] = [this.#hosts[first], this.#hosts[second]];
    if (a === undefined || b === undefined) return false;
    // Two that are equal in all of it are no worse than each other: then the first stays.
    return isNoWorse(a, b) && (first < second || !isNoWorse(b, a));
  }
}

function isNoWorse(a: ClusterHost, b: ClusterHost): boolean {
  return (
    a.cpuUsedCores <= b.cpuUsedCores &&
    a.memoryUsedBytes <= b.memoryUsedBytes &&
    a.memoryPromisedBytes <= b.memoryPromisedBytes &&
    a.capacity.cpuCores === b.capacity.cpuCores &&
    a.capacity.memoryBytes === b.capacity.memoryBytes &&
    isNoFuller(a.networkAbovePercent, b.networkAbovePercent) &&
    isNoFuller(a.diskAbovePercent, b.diskAbovePercent) &&
    isNoSteeper(a.pressure, b.pressure)
  );
}

/** What is not known adds nothing to the score, and is not compared with what is. */
function isNoFuller(a: number | null, b: number | null): boolean {
  return a === null || b === null ? a === b : a <= b;
}
