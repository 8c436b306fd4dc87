/** Spreads seeds over threads. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Played } from '#sim/soak.ts';
import { scheduleOptionsOf, type SoakOptions } from './options.ts';
import type { Order } from './worker.ts';

/** Plays until seeds or hours are used up or the signal aborts. Each seed that was played to its end is told once, in the order of their ends. */
export async function soak(
  {
    from,
    seedsMax,
    virtualHoursMax,
    workers,
    ...wish
  }: Pick<SoakOptions, 'from' | 'seedsMax' | 'virtualHoursMax' | 'workers' | 'hosts' | 'placement'>,
  onPlayed: (played: Played) => void,
  signal: AbortSignal,
): Promise<void> {
  const options = scheduleOptionsOf(wish);
  let next = from;
  let virtualSeconds = 0;
  const isWanted = () => !signal.aborted && next - from < seedsMax && virtualSeconds < virtualHoursMax * 3600;
  const playOn = async (): Promise<void> => {
    const worker = new Worker(new URL('worker.ts', import.meta.url));
    try {
      while (isWanted()) {
        const seed = next;
        next += 1;
        const played = await playedBy(worker, { seed, options }, signal);
        if (played === null) return;
        virtualSeconds += played.virtualSeconds;
        onPlayed(played);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, seedsMax) }, playOn));
}

/** Null when the signal aborts first. Rejects with what ended the thread. */
async function playedBy(worker: Worker, order: Order, signal: AbortSignal): Promise<Played | null> {
  worker.postMessage(order, []);
  try {
    const [played] = (await once(worker, 'message', { signal })) as [Played];
    return played;
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}
