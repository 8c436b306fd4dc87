import type { MigrateRequest } from '#core/ports.ts';
import type { SimHost } from './host.ts';
import { coreSecondsPerByte, streamsFactor, wireShare } from './stream-rates.ts';
import type { World } from './world.ts';

/** `isForwarded`: through a tunnel of ssh, which is no plain text and no business of a guard. */
export type JobRequest = MigrateRequest & { readonly isForwarded?: boolean };

/** The connection of one migration: what it carries, how fast, and how long it has been silent. */
export class JobStream {
  readonly #world: World;
  readonly #source: SimHost;
  readonly #destination: SimHost;
  #request: JobRequest;
  #isDead = false;
  #carriedAtMs: number;
  #sentBytes = 0;
  /** 0 = no cap. */
  bandwidthBytesPerSecond: number;

  constructor(world: World, source: SimHost, destination: SimHost, request: JobRequest) {
    this.#world = world;
    this.#source = source;
    this.#destination = destination;
    this.#request = request;
    this.#carriedAtMs = world.time.elapsedMs;
    this.bandwidthBytesPerSecond = request.options.bandwidthBytesPerSecond;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  get silentMs(): number {
    return this.#world.time.elapsedMs - this.#carriedAtMs;
  }

  get isConnected(): boolean {
    return this.#world.network.reaches(this.#source.hostId, this.#destination.hostId);
  }

  /** One of its ends has died. */
  break(): void {
    this.#isDead = true;
  }

  reconnect(request: JobRequest): void {
    this.#request = request;
    this.#isDead = false;
    this.#carriedAtMs = this.#world.time.elapsedMs;
  }

  /** Links are shared by the jobs that use them; the cap is the operator's. */
  get bytesPerSecond(): number {
    const jobsAt = (host: SimHost) => [...this.#world.jobs].filter((job) => job.source === host || job.destination === host).length;
    const share = (host: SimHost) => host.spec.linkBytesPerSecond / Math.max(1, jobsAt(host));
    const factor = streamsFactor(this.#request.options.streams, this.#source.spec.ipsec);
    const cap = this.bandwidthBytesPerSecond > 0 ? this.bandwidthBytesPerSecond : Number.POSITIVE_INFINITY;
    return Math.min(share(this.#source) * factor, share(this.#destination) * factor, cap);
  }

  /** Bytes that cross for each byte of memory. */
  wireShare(round: number): number {
    return wireShare(this.#request.options.compression, round);
  }

  coreSeconds(wireBytes: number): number {
    return wireBytes * coreSecondsPerByte(this.#request.options.compression);
  }

  /** False when nothing crossed. */
  carry(wireBytes: number): boolean {
    if (this.#isDead || !this.#crosses(wireBytes)) return false;
    this.#carriedAtMs = this.#world.time.elapsedMs;
    this.#sentBytes += wireBytes;
    return true;
  }

  #crosses(wireBytes: number): boolean {
    if (this.#request.isForwarded === true) return this.isConnected;
    return this.#world.carry(this.#source, this.#destination, wireBytes, this.#request.peerAddress) === 'carried';
  }
}
