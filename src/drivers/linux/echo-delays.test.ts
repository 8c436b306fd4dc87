import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EchoDelays } from './echo-delays.ts';

describe('percentiles of delays', () => {
  it('are within 1 % of the nearest rank', () => {
    const delay = fc.double({ min: 0.001, max: 10_000, noNaN: true });
    const fraction = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(delay, { minLength: 1, maxLength: 200 }), fraction, (delays, wanted) => {
        const kept = new EchoDelays();
        for (const delayMs of delays) kept.add(delayMs);
        const exact = delays.toSorted((one, other) => one - other)[Math.ceil(wanted * delays.length) - 1] ?? NaN;
        expect(Math.abs((kept.percentile(wanted) ?? NaN) / exact - 1)).toBeLessThan(0.0101);
      }),
    );
  });

  it('are unknown without delays, and bounded for impossible ones', () => {
    const delays = new EchoDelays();
    expect(delays.percentile(0.5)).toBeNull();
    delays.add(0);
    expect(delays.percentile(1)).toBeCloseTo(0.001);
    delays.add(1e9);
    expect(delays.percentile(1)).toBeGreaterThan(9_900);
  });
});
