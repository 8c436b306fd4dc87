import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fakeParts, sampleOf } from './fakes.ts';
import { History } from './history.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

function newHistory() {
  const parts = fakeParts();
  const history = new History(parts, 3_600_000);
  const ended = history.run(stop.signal);
  return { parts, history, ended };
}

describe('the history of samples', () => {
  it('is written in batches, and what is left when the controller stops too', async () => {
    const { parts, history, ended } = newHistory();
    history.add(sampleOf('a', 1));
    history.add(sampleOf('b', 1));
    expect(parts.store.samples).toEqual([]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(parts.store.samples).toHaveLength(2);
    history.add(sampleOf('a', 2));
    stop.abort();
    await ended;
    expect(parts.store.samples).toHaveLength(3);
  });

  it('waits in order for a store that fails for a while', async () => {
    const { parts, history } = newHistory();
    parts.store.failing.add('appendSamples');
    for (let sequence = 1; sequence <= 5; sequence += 1) {
      history.add(sampleOf('a', sequence));
      await vi.advanceTimersByTimeAsync(2000);
    }
    parts.store.failing.clear();
    await vi.advanceTimersByTimeAsync(2000);
    expect(parts.store.samples.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
  });

  it('does not grow beyond its bound, and says how much is missing', async () => {
    const { parts, history } = newHistory();
    parts.store.failing.add('appendSamples');
    const sample = sampleOf('a', 1);
    for (let index = 0; index < 50_010; index += 1) history.add(sample);
    await vi.advanceTimersByTimeAsync(2000);
    history.add(sample);
    parts.store.failing.clear();
    await vi.advanceTimersByTimeAsync(2000);
    expect(parts.store.samples).toHaveLength(50_000);
    expect(parts.logged.at(-1)).toContain('"dropped":11');
  });

  it('goes on when old points cannot be removed', async () => {
    const { parts, history } = newHistory();
    parts.store.failing.add('trimHistory');
    await vi.advanceTimersByTimeAsync(2000);
    expect(parts.logged.at(-1)).toContain('old history could not be removed');
    history.add(sampleOf('a', 1));
    await vi.advanceTimersByTimeAsync(2000);
    expect(parts.store.samples).toHaveLength(1);
  });
});
