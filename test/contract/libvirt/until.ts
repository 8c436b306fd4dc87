import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for a condition, looking every `intervalMs`; fails with its name when it does not come true in time. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  options: { readonly timeoutMs?: number; readonly intervalMs?: number } = {},
): Promise<void> {
  const endMs = performance.now() + (options.timeoutMs ?? 20_000);
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await sleep(options.intervalMs ?? 10);
  }
}
