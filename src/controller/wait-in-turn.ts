/** What could not be started yet is tried again whenever a migration has ended, and now and then besides: samples come in, too. */
import type { Clock } from '#core/ports.ts';
import { pause } from '#core/time.ts';
import type { Executor } from './executor.ts';
import type { Held } from './move-starts.ts';

const againMs = 5000;

export interface Queued<Item> {
  readonly item: Item;
  readonly hold: Held;
}

export interface Waiter<Item> {
  /** Whether anything more may be started. */
  readonly isAllowed: () => boolean;
  /** Resolves with why it has to wait on; null when it was started, or never will be. */
  readonly start: (item: Item) => Promise<Held | null>;
}

interface Parts {
  readonly clock: Clock;
  readonly executor: Pick<Executor, 'nextEnd'>;
  readonly signal: AbortSignal;
}

/** Resolves with how many were left when nothing more was allowed, or the signal aborted. */
export async function waitInTurn<Item>(queue: readonly Queued<Item>[], waiter: Waiter<Item>, parts: Parts): Promise<number> {
  let waiting = queue.map(({ item }) => item);
  while (waiting.length > 0 && (await nextChance(parts)) && waiter.isAllowed()) {
    const still: Item[] = [];
    for (const item of waiting) {
      const hold = await waiter.start(item);
      if (hold !== null) still.push(item);
    }
    waiting = still;
  }
  return waiting.length;
}

/** False when the signal has aborted. */
async function nextChance({ clock, executor, signal }: Parts): Promise<boolean> {
  const ended = new AbortController();
  const end = () => ended.abort();
  signal.addEventListener('abort', end, { once: true });
  const migrationEnds = executor.nextEnd().then((happened) => (happened ? undefined : new Promise<void>(() => undefined)));
  try {
    await Promise.race([migrationEnds, pause(clock, againMs, ended.signal)]);
  } finally {
    signal.removeEventListener('abort', end);
    ended.abort();
  }
  return !signal.aborted;
}
