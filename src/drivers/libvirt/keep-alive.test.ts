import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { KeepAlive } from './keep-alive.ts';

describe('keep-alive', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function watch(): { readonly keepAlive: KeepAlive; readonly log: string[] } {
    const log: string[] = [];
    const keepAlive = new KeepAlive(
      { intervalMs: 100, missesMax: 2 },
      () => log.push('ping'),
      (silentMs) => log.push(`dead after ${silentMs} ms`),
    );
    keepAlive.start();
    return { keepAlive, log };
  }

  it('pings a silent peer and gives it up after the limit, once', () => {
    const { log } = watch();
    vi.advanceTimersByTime(1_000);
    expect(log).toEqual(['ping', 'ping', 'dead after 300 ms']);
  });

  it('takes any message for a sign of life', () => {
    const { keepAlive, log } = watch();
    for (let round = 0; round < 20; round += 1) {
      vi.advanceTimersByTime(150);
      keepAlive.heard();
    }
    expect(log.filter((line) => line.startsWith('dead'))).toEqual([]);
  });

  it('is silent when it is stopped', () => {
    const { keepAlive, log } = watch();
    keepAlive.stop();
    vi.advanceTimersByTime(1_000);
    expect(log).toEqual([]);
  });
});
