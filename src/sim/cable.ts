import type { Line } from '#core/ports.ts';
import type { Network } from './network.ts';
import type { VirtualTime } from './virtual-time.ts';

/** As the real lines: a peer that is not heard for this long is dead. */
const deadPeerMs = 15_000;

type Parcel = { readonly kind: 'message'; readonly text: string } | { readonly kind: 'close'; readonly reason: string };

/** One end of a line. Messages that come before the first listener wait for it. */
class End implements Line {
  readonly #carry: (parcel: Parcel) => void;
  #messageListeners: ((message: unknown) => void)[] = [];
  #closeListeners: ((reason: string) => void)[] = [];
  #early: unknown[] = [];
  #closedFor: string | null = null;

  constructor(carry: (parcel: Parcel) => void) {
    this.#carry = carry;
  }

  get open(): boolean {
    return this.#closedFor === null;
  }

  /** As JSON text, so that nothing but data crosses and nobody shares an object with the other side. */
  send(message: unknown): void {
    if (this.open) this.#carry({ kind: 'message', text: JSON.stringify(message) });
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#messageListeners.push(listener);
    const early = this.#early;
    this.#early = [];
    for (const message of early) listener(message);
  }

  onClose(listener: (reason: string) => void): void {
    if (this.#closedFor === null) this.#closeListeners.push(listener);
    else listener(this.#closedFor);
  }

  close(reason: string): void {
    if (!this.open) return;
    this.#carry({ kind: 'close', reason });
    this.finish(reason);
  }

  take(parcel: Parcel): void {
    if (!this.open) return;
    if (parcel.kind === 'close') {
      this.finish(parcel.reason);
      return;
    }
    const message: unknown = JSON.parse(parcel.text);
    if (this.#messageListeners.length === 0) this.#early.push(message);
    for (const listener of this.#messageListeners) listener(message);
  }

  finish(reason: string): void {
    if (!this.open) return;
    this.#closedFor = reason;
    const listeners = this.#closeListeners;
    this.#closeListeners = [];
    this.#messageListeners = [];
    for (const listener of listeners) listener(reason);
  }
}

/**
 * A connection between two nodes, in order and without loss as TCP: while the nodes are cut off from each
 * other messages wait, and when that takes too long each end finds its peer dead.
 */
export class Cable {
  readonly near: End;
  readonly far: End;
  readonly #time: VirtualTime;
  readonly #nodes: readonly [string, string];
  readonly #network: Network;
  readonly #latencyMs: () => number;
  readonly #unwatch: () => void;
  #held: (() => void)[] = [];
  #cancelDeath: (() => void) | null = null;

  constructor(time: VirtualTime, network: Network, nodes: readonly [string, string], latencyMs: () => number) {
    this.#time = time;
    this.#network = network;
    this.#nodes = nodes;
    this.#latencyMs = latencyMs;
    const near: End = new End(this.#direction(() => far));
    const far: End = new End(this.#direction(() => near));
    this.near = near;
    this.far = far;
    this.#unwatch = network.onChange(() => this.#networkChanged());
  }

  /** The operating system of a dead process closes its end: the other one hears of it as soon as it can be reached. */
  sever(end: 'near' | 'far'): void {
    const [gone, left] = end === 'near' ? [this.near, this.far] : [this.far, this.near];
    gone.finish('process died');
    this.#deliver(() => left.take({ kind: 'close', reason: 'link-lost' }));
  }

  /** One direction: whatever the delays, parcels arrive in the order they were sent. */
  #direction(to: () => End): (parcel: Parcel) => void {
    let lastAtMs = 0;
    return (parcel) => {
      lastAtMs = Math.max(lastAtMs, this.#time.elapsedMs + this.#latencyMs());
      this.#time.after(lastAtMs - this.#time.elapsedMs, () => this.#deliver(() => to().take(parcel)));
    };
  }

  #deliver(act: () => void): void {
    if (!this.#network.reaches(...this.#nodes)) this.#held.push(act);
    else act();
    if (!this.near.open && !this.far.open) this.#unwatch();
  }

  #networkChanged(): void {
    if (this.#network.reaches(...this.#nodes)) {
      this.#cancelDeath?.();
      this.#cancelDeath = null;
      const held = this.#held;
      this.#held = [];
      // At once, so that nothing sent from now on overtakes what waited.
      for (const act of held) this.#time.after(0, act);
      return;
    }
    this.#cancelDeath ??= this.#time.after(deadPeerMs, () => {
      this.#unwatch();
      this.#held = [];
      this.near.finish('dead-peer');
      this.far.finish('dead-peer');
    });
  }
}
