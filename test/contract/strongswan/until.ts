import { setTimeout as sleep } from 'node:timers/promises';

/** Polls a condition until it holds; rejects, naming it, when it does not within `timeoutMs`. An error counts as "not yet". */
export async function until(what: string, condition: () => Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause: last });
    await sleep(20);
  }
}
