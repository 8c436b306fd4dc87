import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClockSkews } from './clock-skews.ts';

describe('the skew of a clock', () => {
  it('is not known before the host has told its time, nor after it is forgotten', () => {
    const skews = new ClockSkews();
    expect(skews.of('a')).toBeNull();
    skews.note('a', 1000, 1000);
    expect(skews.of('a')).toBe(0);
    skews.forget('a');
    expect(skews.of('a')).toBeNull();
  });

  it('is told from the message that came fastest: it is never off by more than that one took', () => {
    const delays = fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.integer({ min: -100_000, max: 100_000 }), delays, (aheadMs, delaysMs) => {
        const skews = new ClockSkews();
        for (const delayMs of delaysMs) skews.note('a', 1_000_000 + aheadMs, 1_000_000 + delayMs);
        expect(skews.of('a')).toBe(aheadMs - Math.min(...delaysMs));
      }),
    );
  });

  it('follows a clock that was set, once the host has spoken a few times', () => {
    const skews = new ClockSkews();
    for (let index = 0; index < 20; index += 1) skews.note('a', 9000, 1000);
    expect(skews.of('a')).toBe(8000);
    for (let index = 0; index < 8; index += 1) skews.note('a', 1000, 1000);
    expect(skews.of('a')).toBe(0);
  });
});
