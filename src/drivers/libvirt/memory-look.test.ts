import { describe, expect, it } from 'vitest';

import { usedBytesOf } from './memory-look.ts';

function used(values: Readonly<Record<string, number>>): number | null {
  return usedBytesOf(new Map(Object.entries(values)));
}

describe('the memory that a guest has in use', () => {
  it('is all that its balloon driver does not call unused', () => {
    expect(used({ 'balloon.current': 1_000, 'balloon.unused': 400, 'balloon.rss': 5_000 })).toBe(600 * 1024);
  });

  it('is not known without statistics of the balloon, or when they contradict themselves', () => {
    expect(used({ 'balloon.current': 1_000, 'balloon.rss': 900 })).toBeNull();
    expect(used({ 'balloon.unused': 400 })).toBeNull();
    expect(used({ 'balloon.current': 100, 'balloon.unused': 400 })).toBeNull();
  });
});
