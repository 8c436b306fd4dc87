import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits for a condition, looking every `intervalMs`; rejects, naming it, when it does not come true within
 * `timeoutMs`. An error counts as "not yet" and is the cause of the rejection.
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  { timeoutMs = 20_000, intervalMs = 10 }: { readonly timeoutMs?: number; readonly intervalMs?: number } = {},
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > endMs) throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`, { cause });
    await sleep(intervalMs);
  }
}
