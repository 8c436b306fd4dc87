/** A deadline, and a signal that ends the wait earlier. */
export interface DeadlineOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

/** Why a wait ended without its result. */
export type WaitEnd = 'deadline' | 'aborted';

/**
 * Runs `use` with a signal that aborts at the deadline or with the caller's signal; its reason is a `WaitEnd`. Timer and
 * listener are gone when `use` is over: `AbortSignal.any` would leave a trace of each call in a signal that lives for hours.
 */
export async function withDeadline<T>(options: DeadlineOptions, use: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const end = (reason: WaitEnd): void => controller.abort(reason);
  const onAbort = (): void => end('aborted');
  const timer = setTimeout(() => end('deadline'), options.deadlineMs);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted === true) end('aborted');
  try {
    return await use(controller.signal);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
}
