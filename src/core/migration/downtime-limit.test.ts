import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { handOverMs, limitFor, standstillAt, stretchOf } from './downtime-limit.ts';

describe('the limit that QEMU is told', () => {
  it('is what is left of the standstill after the hand-over, by 1.4; computed by hand', () => {
    // (300 - 120) / 1.4 = 128.6, (1500 - 120) / 1.4 = 985.7, (1000 - 120) / 1.4 = 628.6.
    expect([300, 1000, 1500].map((standstill) => limitFor(standstill))).toEqual([128, 628, 985]);
  });

  it('is a quarter where the hand-over takes nearly all', () => {
    // (160 - 120) / 1.4 = 28.6.
    expect([160, 120, 40].map((standstill) => limitFor(standstill))).toEqual([40, 30, 10]);
    expect([1, 0, -5, Number.NaN].map((standstill) => limitFor(standstill))).toEqual([1, 0, 0, 0]);
  });

  it('would have kept the budget in every run that was measured with a limit as long as the budget', () => {
    for (const [limitMs, downtimeMs] of [
      [1500, 1722],
      [1500, 1578],
      [1500, 2153],
      [1500, 1909],
      [300, 311],
      [300, 338],
      [300, 512],
    ] as const) {
      expect(downtimeMs).toBeGreaterThan(limitMs);
      const stretch = stretchOf(downtimeMs, limitMs) ?? 0;
      expect(standstillAt(limitFor(limitMs), stretch)).toBeLessThanOrEqual(limitMs);
    }
  });

  it('follows what was learned of a pair', () => {
    expect(limitFor(1500, 2)).toBe(690);
    expect(limitFor(1500, 1)).toBe(1380);
    expect(limitFor(1500, 0.2)).toBe(1380);
    expect(standstillAt(690, 2)).toBe(1500);
    expect(stretchOf(1500, 690)).toBe(2);
    expect(stretchOf(200, 690)).toBe(1);
    expect(stretchOf(200, 0)).toBeNull();
  });

  it('keeps the standstill for all numbers, never falls as more is allowed, and rises as less is stretched', () => {
    const stretch = fc.double({ min: 1, max: 4, noNaN: true });
    fc.assert(
      fc.property(
        fc.oneof(fc.double(), fc.integer({ min: 0, max: 100_000 })),
        fc.double({ min: 0, noNaN: true }),
        stretch,
        stretch,
        (standstill, more, one, other) => {
          const limit = limitFor(standstill, one);
          expect(Number.isSafeInteger(limit)).toBe(true);
          expect(limit).toBeLessThanOrEqual(Math.max(0, Number.isNaN(standstill) ? 0 : standstill));
          expect(limitFor(standstill + more, one)).toBeGreaterThanOrEqual(Number.isNaN(standstill) ? 0 : limit);
          expect(limitFor(standstill, Math.max(one, other))).toBeLessThanOrEqual(limitFor(standstill, Math.min(one, other)));
          // Where the hand-over leaves more than a quarter.
          const leaves = standstill > 0 && standstill < 2 ** 40 && (standstill - handOverMs) / one >= standstill / 4;
          if (leaves) expect(standstillAt(limit, one)).toBeLessThanOrEqual(standstill * (1 + 1e-9));
        },
      ),
    );
  });
});
