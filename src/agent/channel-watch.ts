import { watchPolicy } from '#core/channel/watch.ts';
import { type Refusal, refusalOf } from '#core/model/result.ts';
import type { Clock } from '#core/ports.ts';
import { pause, withDeadline } from '#core/time.ts';

/** How a channel is watched during a transfer. */
export interface WatchLimits {
  /** Pause between two readings. */
  readonly intervalMs: number;
  /** A reading that takes longer has failed: a daemon that hangs is no better than one that is away. */
  readonly readingMsMax: number;
}

/** For any host that is not much slower than a server of its time. */
export const watchDefaults: WatchLimits = { ...watchPolicy, readingMsMax: 2000 };

/** Readings in a row that may fail (a daemon that restarts) before the channel counts as lost. */
const failedReadingsMax = 6;

/** Reads a channel again and again until `ended` aborts; resolves with the first fault that the judge finds, null when there was none. */
export async function watchChannel<Reading>(
  clock: Clock,
  channel: {
    readonly read: (signal: AbortSignal) => Promise<Reading>;
    readonly judge: (reading: Reading) => Refusal | null;
    /** What to say when the channel cannot be read for too long. */
    readonly unreadable: (why: string) => Refusal;
  },
  limits: WatchLimits,
  ended: AbortSignal,
): Promise<Refusal | null> {
  let failed = 0;
  while (await pause(clock, limits.intervalMs, ended)) {
    const judged = await judgeOnce(clock, channel, limits.readingMsMax, ended);
    if (ended.aborted) return null;
    failed = judged.read ? 0 : failed + 1;
    if (judged.fault !== null && (judged.read || failed > failedReadingsMax)) return judged.fault;
  }
  return null;
}

async function judgeOnce<Reading>(
  clock: Clock,
  channel: Parameters<typeof watchChannel<Reading>>[1],
  readingMsMax: number,
  ended: AbortSignal,
): Promise<{ readonly read: boolean; readonly fault: Refusal | null }> {
  try {
    const reading = await withDeadline(clock, readingMsMax, ended, channel.read);
    return { read: true, fault: channel.judge(reading) };
  } catch (error) {
    return { read: false, fault: channel.unreadable(refusalOf(error).message) };
  }
}
