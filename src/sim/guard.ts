import type { GuardState } from '#core/model/channel.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Guard, GuardSpec } from '#core/ports.ts';
import type { PacketFilter } from './packet-filter.ts';
import type { VirtualTime } from './virtual-time.ts';

const nftMs = 3;

/** One agent's `nft` on its host. */
export class SimGuard implements Guard {
  readonly #time: VirtualTime;
  readonly #filter: PacketFilter;

  constructor(time: VirtualTime, filter: PacketFilter) {
    this.#time = time;
    this.#filter = filter;
  }

  async install(_spec: GuardSpec, signal: AbortSignal): Promise<void> {
    await this.#time.sleep(nftMs, signal);
    if (this.#filter.condition === 'broken') throw new PlimsollError('guard-missing', 'nft refuses the rules of the guard');
    if (this.#filter.condition !== 'absent') return;
    this.#filter.clear();
    this.#filter.condition = 'installed';
  }

  async inspect(signal: AbortSignal): Promise<GuardState> {
    await this.#time.sleep(nftMs, signal);
    return this.#filter.state(this.#time.nowMs);
  }

  async exempt(peerUnderlay: string, lifetimeMs: number, signal: AbortSignal): Promise<void> {
    await this.#time.sleep(nftMs, signal);
    this.#filter.exempt(peerUnderlay, this.#time.nowMs + lifetimeMs);
  }

  async remove(signal: AbortSignal): Promise<void> {
    await this.#time.sleep(nftMs, signal);
    this.#filter.condition = 'absent';
  }
}
