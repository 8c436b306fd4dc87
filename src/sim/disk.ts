/** A node's disk: what a write is worth while it is not acknowledged, and when there is no room. */
import type { Random } from '#core/ports.ts';
import type { VirtualTime } from './virtual-time.ts';

/**
 * `ok`: a write is durable when it begins. `full`: every write is refused. `torn`: writes that are not acknowledged when their process dies are
 * on the disk up to one of them, by the seed, and the later ones not: they go to it in order, and never half.
 */
export type DiskCondition = 'ok' | 'full' | 'torn';

/** Hands in the way back of each change that a write makes. */
export type NoteUndo = (undo: () => void) => void;

/** What the system says (errno 28 of write(2)). */
export const noSpace = 'ENOSPC: no space left on device, write';

interface Write {
  readonly undos: (() => void)[];
}

export class SimDisk {
  condition: DiskCondition = 'ok';
  /** When it was last too full for a write, by the simulation's own time. */
  refusedAtMs = Number.NEGATIVE_INFINITY;
  readonly #time: VirtualTime;
  readonly #random: Random;
  #begun: readonly Write[] = [];

  constructor(time: VirtualTime, random: Random) {
    this.#time = time;
    this.#random = random;
  }

  /** Changes what is on the disk, and resolves when that is acknowledged. Rejects with `full()` when there is no room: nothing changes then. */
  async write<Value>(syncMs: number, full: () => Error, change: (noteUndo: NoteUndo) => Value): Promise<Value> {
    if (this.condition === 'full') {
      this.refusedAtMs = this.#time.elapsedMs;
      throw full();
    }
    if (this.condition === 'ok') {
      const value = change(() => undefined);
      await this.#time.sleep(syncMs);
      return value;
    }
    const begun: Write = { undos: [] };
    this.#begun = [...this.#begun, begun];
    const value = change((undo) => begun.undos.push(undo));
    await this.#time.sleep(syncMs);
    this.#begun = this.#begun.filter((write) => write !== begun);
    return value;
  }

  /** The process that wrote has died. Returns how many of its writes are not on the disk. */
  lose(): number {
    const begun = this.#begun;
    this.#begun = [];
    if (begun.length === 0) return 0;
    const kept = Math.floor(this.#random.fraction() * (begun.length + 1));
    const lost = begun.slice(kept);
    for (const { undos } of lost.toReversed()) for (const undo of undos.toReversed()) undo();
    return lost.length;
  }
}

/** `map.set`, with the way back. */
export function put<Key, Value>(noteUndo: NoteUndo, map: Map<Key, Value>, key: Key, value: Value): void {
  noteUndo(wayBack(map, key));
  map.set(key, value);
}

/** `map.delete`, with the way back. */
export function take<Key, Value>(noteUndo: NoteUndo, map: Map<Key, Value>, key: Key): void {
  noteUndo(wayBack(map, key));
  map.delete(key);
}

function wayBack<Key, Value>(map: Map<Key, Value>, key: Key): () => void {
  const before = map.has(key) ? { value: map.get(key) as Value } : null;
  return () => {
    if (before === null) map.delete(key);
    else map.set(key, before.value);
  };
}
