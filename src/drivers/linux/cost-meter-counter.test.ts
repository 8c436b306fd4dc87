import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Counter, counted, emptyCounter, sumOf } from './cost-meter-counter.ts';

describe('a counter over several processes', () => {
  it('goes on where a process was replaced, went away or began again', () => {
    const readings = [
      { id: 'a', value: 5 },
      { id: 'a', value: 7 },
      null,
      { id: 'a', value: 9 },
      { id: 'b', value: 9.5 },
      { id: 'b', value: 1 },
    ] as const;
    let counter: Counter = emptyCounter;
    const sums = readings.map((reading) => sumOf((counter = counted(counter, reading))));
    expect(sums).toEqual([5, 7, 7, 16, 25.5, 26.5]);
  });

  it('never falls', () => {
    const reading = fc.option(fc.record({ id: fc.constantFrom('a', 'b'), value: fc.integer({ min: 0, max: 1000 }) }));
    fc.assert(
      fc.property(fc.array(reading), (readings) => {
        let counter: Counter = emptyCounter;
        for (const next of readings) {
          const before = sumOf(counter);
          counter = counted(counter, next);
          expect(sumOf(counter)).toBeGreaterThanOrEqual(before);
        }
      }),
    );
  });
});
