import type { Line } from '#core/ports.ts';
import { jsonCopy } from './json-copy.ts';
import type { Network } from './network.ts';
import type { VirtualTime } from './virtual-time.ts';

/** As the real lines: a peer that is not heard for this long is dead. */
const deadPeerMs = 15_000;

type Parcel = { readonly kind: 'message'; readonly message: unknown } | { readonly kind: 'close'; readonly reason: string };

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

  /** As JSON has it, so that nothing but data crosses and nobody shares an object with the other side. */
  send(message: unknown): void {
    if (this.open) this.#carry({ kind: 'message', message: jsonCopy(message) });
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
    if (this.#messageListeners.length === 0) this.#early.push(parcel.message);
    for (const listener of this.#messageListeners) listener(parcel.message);
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

type EndName = 'near' | 'far';

interface Held {
  readonly to: EndName;
  readonly act: () => void;
}

/**
 * A connection between two nodes, in order and without loss as TCP: while a direction is cut its messages wait, and on a bad link they
 * are late. When one direction, or the process at one end, is silent for too long the whole line dies: that end hears no answer to its pings.
 */
export class Cable {
  readonly near: End;
  readonly far: End;
  readonly #time: VirtualTime;
  readonly #nodes: { readonly near: string; readonly far: string };
  readonly #network: Network;
  readonly #latencyMs: () => number;
  readonly #unwatch: () => void;
  readonly #paused = new Set<EndName>();
  #held: readonly Held[] = [];
  #cancelDeath: (() => void) | null = null;

  constructor(time: VirtualTime, network: Network, nodes: readonly [string, string], latencyMs: () => number) {
    this.#time = time;
    this.#network = network;
    this.#nodes = { near: nodes[0], far: nodes[1] };
    this.#latencyMs = latencyMs;
    this.near = new End(this.#direction('far'));
    this.far = new End(this.#direction('near'));
    this.#unwatch = network.onChange(() => this.#networkChanged());
    this.#watchSilence();
  }

  /** The operating system of a dead process closes its end: the other one hears of it as soon as it can be reached. */
  sever(end: EndName): void {
    this[end].finish('process died');
    const left = other(end);
    this.#deliver(left, () => this[left].take({ kind: 'close', reason: 'link-lost' }));
  }

  /** The process at this end stands still, or goes on. What it is sent waits for it: see SimProcess. */
  pause(end: EndName, paused: boolean): void {
    if (paused) this.#paused.add(end);
    else this.#paused.delete(end);
    this.#watchSilence();
  }

  /** One direction: whatever the delays, parcels arrive in the order they were sent. */
  #direction(to: EndName): (parcel: Parcel) => void {
    let lastAtMs = 0;
    return (parcel) => {
      const link = this.#network.link(this.#nodes.near, this.#nodes.far);
      lastAtMs = Math.max(lastAtMs, this.#time.elapsedMs + this.#latencyMs() + Math.ceil(link?.segmentMs() ?? 0));
      this.#time.after(lastAtMs - this.#time.elapsedMs, () => this.#deliver(to, () => this[to].take(parcel)));
    };
  }

  #deliver(to: EndName, act: () => void): void {
    if (this.#passes(to)) act();
    else this.#held = [...this.#held, { to, act }];
    if (!this.near.open && !this.far.open) this.#unwatch();
  }

  #passes(to: EndName): boolean {
    return this.#network.passes(this.#nodes[other(to)], this.#nodes[to]);
  }

  #networkChanged(): void {
    const free = this.#held.filter(({ to }) => this.#passes(to));
    this.#held = this.#held.filter(({ to }) => !this.#passes(to));
    // At once, so that nothing sent from now on overtakes what waited.
    for (const { act } of free) this.#time.after(0, act);
    this.#watchSilence();
  }

  #watchSilence(): void {
    if (this.#passes('near') && this.#passes('far') && this.#paused.size === 0) {
      this.#cancelDeath?.();
      this.#cancelDeath = null;
      return;
    }
    this.#cancelDeath ??= this.#time.after(deadPeerMs, () => this.#die());
  }

  /** A process that stands still notices nothing itself: it will find that its peer has gone. */
  #die(): void {
    this.#unwatch();
    this.#held = [];
    for (const end of ['near', 'far'] as const) this[end].finish(this.#paused.has(end) ? 'link-lost' : 'dead-peer');
  }
}

function other(end: EndName): EndName {
  return end === 'near' ? 'far' : 'near';
}
