/** Pairs of hosts whose channel something other than a migration is at work on: a proof, a tuning, a reset, a closing. */
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';

/** The same for both directions. Names of hosts hold no blanks. */
export function pairKey(one: HostId, other: HostId): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}

export class BusyPairs {
  readonly #busy = new Set<string>();

  isBusy(one: HostId, other: HostId): boolean {
    return this.#busy.has(pairKey(one, other));
  }

  /** Does the work while nobody else can have this pair. Throws `migration-limit` when somebody has it. */
  async during<Value>(one: HostId, other: HostId, work: () => Promise<Value>): Promise<Value> {
    const key = pairKey(one, other);
    if (this.#busy.has(key)) {
      throw new PlimsollError(
        'migration-limit',
        `the channel between ${one} and ${other} is being proven, tuned or taken down: wait for it to end`,
      );
    }
    this.#busy.add(key);
    try {
      return await work();
    } finally {
      this.#busy.delete(key);
    }
  }
}
