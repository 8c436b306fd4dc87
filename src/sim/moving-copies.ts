import { Copy, type Guest } from './guest.ts';
import type { SimHost } from './host.ts';
import type { Standstill } from './standstill.ts';

/** The two copies of a guest that is on its way, and the states that they can be in together. */
export class MovingCopies {
  readonly guest: Guest;
  readonly source: SimHost;
  readonly destination: SimHost;
  readonly #left: Copy;
  readonly #right: Copy;

  constructor(ends: { readonly source: SimHost; readonly destination: SimHost; readonly copy: Copy }) {
    this.guest = ends.copy.guest;
    this.source = ends.source;
    this.destination = ends.destination;
    this.#left = ends.copy;
    this.#left.jobActive = true;
    this.#right = new Copy(this.guest, 'incoming');
    this.destination.add(this.#right);
  }

  get runsOnSource(): boolean {
    return this.#left.state === 'running';
  }

  /** The same, and its process does not stand still. */
  get computesOnSource(): boolean {
    return this.#left.computes;
  }

  get sourceStandstill(): Standstill {
    return this.#left.standstill;
  }

  get throttlePercent(): number {
    return this.#left.throttlePercent;
  }

  set throttlePercent(percent: number) {
    this.source.change(() => {
      this.#left.throttlePercent = percent;
    });
  }

  /** What was sent is on the destination, and has cost both processes this. */
  receive(memoryBytes: number, coreSeconds: number): void {
    this.#left.overheadCoreSeconds += coreSeconds;
    this.destination.change(() => {
      this.#right.overheadCoreSeconds += coreSeconds;
      this.#right.residentBytes = Math.min(this.guest.memoryBytes, this.#right.residentBytes + memoryBytes);
    });
  }

  halt(): void {
    this.source.change(() => {
      this.#left.state = 'paused';
    });
  }

  /** The VM runs on the destination, which has one half of its memory. */
  split(): void {
    this.source.change(() => {
      [this.#left.postCopy, this.#left.throttlePercent] = ['active', 0];
    });
    this.destination.change(() => {
      [this.#right.state, this.#right.postCopy] = ['running', 'active'];
    });
  }

  /** Whether both halves are where they were. */
  get areHalves(): boolean {
    const isHere = (host: SimHost, copy: Copy) => host.copy(this.guest.vmId) === copy && copy.postCopy !== null;
    return isHere(this.source, this.#left) && isHere(this.destination, this.#right);
  }

  /** Neither half can go on without the other. */
  breakApart(): void {
    for (const [host, copy] of [[this.source, this.#left] as const, [this.destination, this.#right] as const]) {
      if (copy.postCopy === null) continue;
      host.change(() => {
        [copy.state, copy.postCopy] = ['paused', 'failed'];
      });
    }
  }

  /** All of it is on the destination, and runs there. */
  arrive(): void {
    this.destination.change(() => {
      [this.#right.state, this.#right.jobActive, this.#right.postCopy] = ['running', false, null];
      this.#right.residentBytes = this.guest.memoryBytes;
    });
  }

  /** The job is over, and the source has a copy that cannot run: of a post-copy only the half that nobody fetched it for. */
  leaveBehind(isHalf: boolean): void {
    this.source.change(() => {
      [this.#left.jobActive, this.#left.throttlePercent] = [false, 0];
      if (isHalf) this.#left.postCopy = 'failed';
    });
  }

  /** The job has failed; the source's copy goes on, or stands still as it did. */
  stay(left: 'running' | 'paused'): void {
    this.source.change(() => {
      [this.#left.state, this.#left.throttlePercent] = [left, 0];
    });
  }

  release(): void {
    this.source.change(() => {
      this.#left.jobActive = false;
    });
  }

  removeSource(): void {
    this.source.remove(this.#left);
  }

  removeDestination(): void {
    this.destination.remove(this.#right);
  }

  killSource(): void {
    this.source.change(() => this.#left.die());
  }

  killDestination(): void {
    this.destination.remove(this.#right);
    this.#right.die();
  }
}
