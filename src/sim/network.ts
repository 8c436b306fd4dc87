/** Which packets cross between nodes, and how well. A node is a host's name or `controller`. */
import { Link, type LinkQuality } from './link.ts';
import { Streams } from './random.ts';

export const controllerNode = 'controller';

export class Network {
  readonly #streams: Streams;
  /** One direction each. */
  readonly #cuts = new Set<string>();
  readonly #links = new Map<string, Link>();
  readonly #listeners = new Set<() => void>();

  constructor(streams: Streams = new Streams(0)) {
    this.#streams = streams;
  }

  /** Whether a packet of one node arrives at another; what comes back is another matter. */
  passes(from: string, to: string): boolean {
    return this.#cuts.size === 0 || !this.#cuts.has(`${from} ${to}`);
  }

  /** Whether two nodes can speak with each other: both directions pass. */
  reaches(a: string, b: string): boolean {
    return this.passes(a, b) && this.passes(b, a);
  }

  cut(a: string, b: string): void {
    this.#cuts.add(`${a} ${b}`).add(`${b} ${a}`);
    this.#tell();
  }

  /** In both directions, however they were cut. */
  heal(a: string, b: string): void {
    this.#cuts.delete(`${a} ${b}`);
    this.#cuts.delete(`${b} ${a}`);
    this.#tell();
  }

  cutOneWay(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`);
    this.#tell();
  }

  healOneWay(from: string, to: string): void {
    this.#cuts.delete(`${from} ${to}`);
    this.#tell();
  }

  /** From now on a link is as good as this; one without any fault is as new. */
  setQuality(a: string, b: string, quality: LinkQuality): void {
    const key = pair(a, b);
    const random = this.#links.get(key)?.random ?? this.#streams.stream(`link ${key}`);
    this.#links.set(key, new Link(quality, random));
    this.#tell();
  }

  /** Undefined: as good as new. */
  link(a: string, b: string): Link | undefined {
    return this.#links.size === 0 ? undefined : this.#links.get(pair(a, b));
  }

  /** Of this many datagrams that leave one node, those that arrive at another. */
  arriving(from: string, to: string, datagrams: number): number {
    if (!this.passes(from, to)) return 0;
    return this.link(from, to)?.arriving(datagrams) ?? datagrams;
  }

  /** Of this many that arrive, those that come a second time. */
  doubled(from: string, to: string, datagrams: number): number {
    return this.link(from, to)?.doubled(datagrams) ?? 0;
  }

  /** Called after each change. Returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of Array.from(this.#listeners)) listener();
  }
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
