/** Which channels an operator wants up between migrations. All others are taken down when what they were made for has ended. */
import type { HostId } from '#core/model/host.ts';
import type { HostPair, Store } from '#core/store.ts';
import { pairKey } from './busy-pairs.ts';
import type { Ends } from './securing.ts';

export class KeptChannels {
  readonly #store: Store;
  readonly #kept: Set<string>;

  private constructor(store: Store, kept: readonly HostPair[]) {
    this.#store = store;
    this.#kept = new Set(kept.map(({ hostA, hostB }) => pairKey(hostA, hostB)));
  }

  static async load(store: Store): Promise<KeptChannels> {
    return new KeptChannels(store, await store.keptChannels());
  }

  has(one: HostId, other: HostId): boolean {
    return this.#kept.has(pairKey(one, other));
  }

  async keep({ fromHostId, toHostId }: Ends): Promise<void> {
    await this.#store.saveKeptChannel(pairOf(fromHostId, toHostId));
    this.#kept.add(pairKey(fromHostId, toHostId));
  }

  async release({ fromHostId, toHostId }: Ends): Promise<void> {
    if (!this.#kept.delete(pairKey(fromHostId, toHostId))) return;
    await this.#store.removeKeptChannel(pairOf(fromHostId, toHostId));
  }
}

function pairOf(one: HostId, other: HostId): HostPair {
  return one < other ? { hostA: one, hostB: other } : { hostA: other, hostB: one };
}
