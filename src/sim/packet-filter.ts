import type { GuardState } from '#core/model/channel.ts';

/**
 * `absent`: no rules. `installed`: they drop. `broken`: nft refuses to install them. `leaky`: they look
 * installed and drop nothing, as rules behind an earlier accept do.
 */
export type GuardCondition = 'absent' | 'installed' | 'broken' | 'leaky';

/** The guard's rules in one host's kernel. They live without any process, and forget an exemption by themselves. */
export class PacketFilter {
  condition: GuardCondition = 'absent';
  readonly #exemptUntilMs = new Map<string, number>();
  #droppedIn = 0;
  #droppedOut = 0;
  #droppedProbes = 0;

  get drops(): boolean {
    return this.condition === 'installed';
  }

  state(nowMs: number): GuardState {
    return {
      installed: this.condition === 'installed' || this.condition === 'leaky',
      droppedInPackets: this.#droppedIn,
      droppedOutPackets: this.#droppedOut,
      droppedProbePackets: this.#droppedProbes,
      exemptPeers: [...this.#exemptUntilMs.keys()].filter((underlay) => this.exempts(underlay, nowMs)),
    };
  }

  exempt(underlay: string, untilMs: number): void {
    this.#exemptUntilMs.set(underlay, untilMs);
  }

  exempts(underlay: string, nowMs: number): boolean {
    return (this.#exemptUntilMs.get(underlay) ?? 0) > nowMs;
  }

  dropOut(packets: number): void {
    this.#droppedOut += packets;
  }

  dropIn(packets: number): void {
    this.#droppedIn += packets;
  }

  dropProbes(packets: number): void {
    this.#droppedIn += packets;
    this.#droppedProbes += packets;
  }

  /** As when the table is made anew. */
  clear(): void {
    this.#exemptUntilMs.clear();
    this.#droppedIn = 0;
    this.#droppedOut = 0;
    this.#droppedProbes = 0;
  }
}
