import { describe, expect, it } from 'vitest';
import { counted, countedAmount, emptyHistogram, quantileOf, rankOf, type ShareHistogram } from './share-histogram.ts';

const of = (shares: readonly number[], most = 1000): ShareHistogram =>
  shares.reduce<ShareHistogram>((so, share) => counted(so, share, most), emptyHistogram);
const even = Array.from({ length: 200 }, (_, index) => index / 200);

describe('counts of a load', () => {
  it('give back where a part of it lies, and which part lies below', () => {
    const histogram = of(even);
    for (const part of [0.1, 0.5, 0.9]) {
      expect(quantileOf(part, histogram, emptyHistogram, 20)).toBeCloseTo(part, 1);
      expect(rankOf(histogram, part)).toBeCloseTo(part, 1);
    }
  });

  it('of two are weighed: little of the first is filled up by the second', () => {
    const low = of([0.05]);
    const high = of(Array.from({ length: 50 }, () => 0.9));
    expect(quantileOf(0.5, low, high, 20)).toBeGreaterThan(0.8);
    expect(quantileOf(0.5, of(Array.from({ length: 100 }, () => 0.05)), high, 20)).toBeLessThan(0.1);
  });

  it('stay few, and let the past fade', () => {
    const histogram = of([...Array.from({ length: 500 }, () => 0.9), ...Array.from({ length: 500 }, () => 0.05)], 100);
    expect(countedAmount(histogram)).toBeLessThanOrEqual(100);
    expect(quantileOf(0.9, histogram, emptyHistogram, 20)).toBeLessThan(0.1);
  });

  it('of nothing have no quantile', () => {
    expect(quantileOf(0.9, emptyHistogram, emptyHistogram, 20)).toBeNull();
    expect(rankOf(emptyHistogram, 0.3)).toBe(0);
  });

  it('reach above the virtual CPUs, as an emulator has threads of its own', () => {
    expect(quantileOf(0.9, of([1.4, 1.4]), emptyHistogram, 20)).toBeGreaterThan(1);
  });
});
