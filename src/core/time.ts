import { PlimsollError } from './model/result.ts';
import type { Clock } from './ports.ts';

/** Why the watch over a deadline ends. Without a reason each abort would make a DOMException, with its stack, that nobody looks at. */
const inTime = new PlimsollError('aborted', 'the work was done in time');

/** Sleeps; resolves with false when the signal ended the sleep early, true when the time is over. */
export function pause(clock: Clock, durationMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return clock.sleep(durationMs, signal).then(
    () => true,
    () => false,
  );
}

/**
 * Runs `work` for at most `limitMs`; then its signal aborts and the call rejects with `command-timeout`.
 *
 * The caller's signal may live as long as the process, so what is hung on it here is taken off again:
 * `AbortSignal.any` would leave something of each call behind.
 */
export async function withDeadline<Value>(
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  signal.throwIfAborted();
  const limited = new AbortController();
  const ended = new AbortController();
  const forward = () => limited.abort(signal.reason);
  signal.addEventListener('abort', forward, { once: true });
  void abortWhenLate(clock, limitMs, limited, ended.signal);
  try {
    return await Promise.race([work(limited.signal), rejectWhenAborted(limited.signal)]);
  } finally {
    ended.abort(inTime);
    signal.removeEventListener('abort', forward);
  }
}

async function abortWhenLate(clock: Clock, limitMs: number, late: AbortController, ended: AbortSignal): Promise<void> {
  const overdue = await pause(clock, limitMs, ended);
  if (overdue) late.abort(new PlimsollError('command-timeout', `no answer within ${limitMs} ms`));
}

function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const rejectNow = () => reject(asError(signal.reason));
    if (signal.aborted) rejectNow();
    else signal.addEventListener('abort', rejectNow, { once: true });
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new PlimsollError('aborted', String(reason));
}
