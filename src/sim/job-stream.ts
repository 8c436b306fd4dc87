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
  #daemonsRanAtMs: number;
  #sentBytes = 0;
  /** 0 = no cap. */
  bandwidthBytesPerSecond: number;

  constructor(world: World, source: SimHost, destination: SimHost, request: JobRequest) {
    this.#world = world;
    this.#source = source;
    this.#destination = destination;
    this.#request = request;
    this.#carriedAtMs = world.time.elapsedMs;
    this.#daemonsRanAtMs = world.time.elapsedMs;
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

  /** Neither libvirtd stands still. */
  get daemonsRun(): boolean {
    return ![this.#source, this.#destination].some(({ libvirtd }) => libvirtd.standstill.paused);
  }

  /** How long one of them has; to be asked all the time. */
  daemonsSilentMs(): number {
    if (this.daemonsRun) this.#daemonsRanAtMs = this.#world.time.elapsedMs;
    return this.#world.time.elapsedMs - this.#daemonsRanAtMs;
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
    return Math.min(share(this.#source) * factor, share(this.#destination) * factor, cap, this.#linkBytesPerSecond);
  }

  /** Each stream has its own window, and its own luck with losses. */
  get #linkBytesPerSecond(): number {
    const link = this.#world.network.link(this.#source.hostId, this.#destination.hostId);
    return link === undefined ? Number.POSITIVE_INFINITY : link.streamBytesPerSecond * this.#request.options.streams;
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
    if (this.#isDead || this.#waitsForQemu() || !this.#crosses(wireBytes)) return false;
    this.#carriedAtMs = this.#world.time.elapsedMs;
    this.#sentBytes += wireBytes;
    return true;
  }

  /** A QEMU that stands still reads and sends nothing; its kernel and libvirtd go on, so nobody takes the connection for lost. */
  #waitsForQemu(): boolean {
    const isStill = (host: SimHost) => host.copy(this.#request.vmId)?.standstill.paused === true;
    const waits = isStill(this.#source) || isStill(this.#destination);
    if (waits && this.isConnected) this.#carriedAtMs = this.#world.time.elapsedMs;
    return waits;
  }

  #crosses(wireBytes: number): boolean {
    if (this.#request.isForwarded === true) return this.isConnected;
    return this.#world.carry(this.#source, this.#destination, wireBytes, this.#request.peerAddress) === 'carried';
  }
}
