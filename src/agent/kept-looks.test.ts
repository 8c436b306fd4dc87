import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeptLooks, lookedMs } from './kept-looks.ts';

const vmId = 'vm';
const nobody: ReadonlySet<string> = new Set();

describe('looks that are kept', () => {
  it('are the newest 20 s of them, none older than 5 minutes', () => {
    const kept = new KeptLooks();
    const lengths = [4000, 1000, 4000, 1000, 4000, 1000, 4000, 1000, 4000];
    for (const [index, forMs] of lengths.entries()) kept.add(vmId, { forMs, bytes: index, endedAtMs: index * 1000 });
    expect(kept.of(vmId, 8000).map(({ bytes }) => bytes)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(kept.of(vmId, 304_000).map(({ bytes }) => bytes)).toEqual([4, 5, 6, 7, 8]);
    expect(kept.of(vmId, 309_000)).toEqual([]);
  });

  it('never add up to more, but the newest is kept however long it is', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 30 }), (lengths) => {
        const kept = new KeptLooks();
        for (const forMs of lengths) kept.add(vmId, { forMs, bytes: 0, endedAtMs: 0 });
        const looks = kept.of(vmId, 0);
        expect(looks.at(-1)?.forMs).toBe(lengths.at(-1));
        if (looks.length > 1) expect(lookedMs(looks)).toBeLessThanOrEqual(20_000);
      }),
    );
  });

  it('are forgotten with their VM, and only with it', () => {
    const kept = new KeptLooks();
    for (const one of [vmId, 'other']) kept.add(one, { forMs: 1000, bytes: 0, endedAtMs: 0 });
    kept.forgetAllBut(new Set(['other']));
    expect([kept.of(vmId, 0).length, kept.of('other', 0).length]).toEqual([0, 1]);
    kept.forgetAllBut(nobody);
    expect(kept.of('other', 0)).toEqual([]);
  });
});
