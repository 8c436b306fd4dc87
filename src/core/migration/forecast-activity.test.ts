import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { activityFrom, dirtiedBytes, loadOf } from './forecast-activity.ts';

const mebibyte = 2 ** 20;

/** What a look of this length would find, by the formula. */
function look(forMs: number, workingSet: number, written: number): { readonly forMs: number; readonly bytes: number } {
  return { forMs, bytes: workingSet * -Math.expm1((-written * (forMs / 1000)) / workingSet) };
}

const activity = (usedBytes: number | null, dirtyBytesPerSecond: number, workingSetBytes: number): Parameters<typeof loadOf>[1] => ({
  measuredAtMs: 0,
  measuredForMs: 4000,
  usedBytes,
  dirtyBytesPerSecond,
  workingSetBytes,
});

describe('two looks at the memory', () => {
  it('give rate and working set back, computed by hand', () => {
    // W = 100 MiB, d = 40 MiB/s: 100 (1 - e^-0.4) = 32.97 after 1 s, 100 (1 - e^-1.2) = 69.88 after 3 s.
    const found = activityFrom([
      { forMs: 1000, bytes: 32.968 * mebibyte },
      { forMs: 3000, bytes: 69.881 * mebibyte },
    ]);
    expect(found.workingSetBytes / mebibyte).toBeCloseTo(100, 1);
    expect(found.dirtyBytesPerSecond / mebibyte).toBeCloseTo(32.97, 1);
  });

  it('give them back for any rate and set that the looks can tell, in either order', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 1e5, noNaN: true }),
        fc.double({ min: 0.05, max: 3, noNaN: true }),
        fc.constantFrom(500, 1000, 2000),
        fc.constantFrom(1.5, 2, 3, 10),
        (workingSet, share, shortMs, times) => {
          const looks = [look(shortMs, workingSet, workingSet * share), look(shortMs * times, workingSet, workingSet * share)] as const;
          for (const found of [activityFrom(looks), activityFrom(looks.toReversed())]) {
            expect(found.workingSetBytes / workingSet).toBeCloseTo(1, 3);
            expect(found.dirtyBytesPerSecond / look(1000, workingSet, workingSet * share).bytes).toBeCloseTo(1, 3);
          }
        },
      ),
    );
  });

  it('take growth in proportion to time for a set as large as the used memory', () => {
    const found = activityFrom(
      [
        { forMs: 1000, bytes: 10 },
        { forMs: 3000, bytes: 30 },
      ],
      500,
    );
    expect(found.workingSetBytes).toBe(500);
    expect(found.dirtyBytesPerSecond).toBeCloseTo(10, 1);
  });

  it('take a longer look that found no more for a set that is written at once', () => {
    for (const longer of [20, 12, 0]) {
      const found = activityFrom([
        { forMs: 1000, bytes: 20 },
        { forMs: 3000, bytes: longer },
      ]);
      expect(found.workingSetBytes).toBeCloseTo((20 + longer) / 2, 5);
      expect(found.dirtyBytesPerSecond).toBeCloseTo(found.workingSetBytes, 5);
    }
  });

  it('find nothing in a VM that writes nothing, and what one look alone can say', () => {
    expect(
      activityFrom([
        { forMs: 1000, bytes: 0 },
        { forMs: 3000, bytes: 0 },
      ]),
    ).toEqual({ dirtyBytesPerSecond: 0, workingSetBytes: 0 });
    const once = { forMs: 1000, bytes: 7 };
    expect(activityFrom([once, once], 100).dirtyBytesPerSecond).toBeCloseTo(7, 5);
    expect(activityFrom([once, once], 100).workingSetBytes).toBe(100);
    expect(activityFrom([once, { forMs: 0, bytes: 9 }], 100).dirtyBytesPerSecond).toBeCloseTo(7, 5);
    expect(
      activityFrom([
        { forMs: 0, bytes: 1 },
        { forMs: -1, bytes: 1 },
      ]),
    ).toEqual({ dirtyBytesPerSecond: 0, workingSetBytes: 0 });
  });

  it('of few sampled pages tell a small set from chance only where it is plain', () => {
    const grain = 2 * mebibyte;
    const hits = (short: number, long: number) =>
      activityFrom(
        [
          { forMs: 1000, bytes: short * grain },
          { forMs: 4000, bytes: long * grain },
        ],
        128 * mebibyte,
        grain,
      );
    // As much in 1 s as in 4 s, but of 4 hits: by chance. Of 40: a set that is written at once.
    expect(hits(2, 2)).toMatchObject({ workingSetBytes: 128 * mebibyte });
    expect(hits(2, 2).dirtyBytesPerSecond / grain).toBeCloseTo(0.8, 2);
    expect(hits(20, 20).workingSetBytes).toBeCloseTo(20 * grain, 0);
    expect(hits(4, 16).dirtyBytesPerSecond / grain).toBeCloseTo(4, 1);
  });

  it('change a little when they change a little', () => {
    const exact = activityFrom([look(1000, 100, 50), look(3000, 100, 50)]);
    for (const [one, other] of [
      [1.03, 1],
      [0.97, 1],
      [1, 1.03],
      [1, 0.97],
    ] as const) {
      const noisy = activityFrom([
        { forMs: 1000, bytes: look(1000, 100, 50).bytes * one },
        { forMs: 3000, bytes: look(3000, 100, 50).bytes * other },
      ]);
      expect(noisy.dirtyBytesPerSecond / exact.dirtyBytesPerSecond).toBeGreaterThan(0.95);
      expect(noisy.dirtyBytesPerSecond / exact.dirtyBytesPerSecond).toBeLessThan(1.05);
      expect(noisy.workingSetBytes / exact.workingSetBytes).toBeGreaterThan(0.8);
      expect(noisy.workingSetBytes / exact.workingSetBytes).toBeLessThan(1.25);
    }
  });

  it('give finite figures, the rate within the set and the set within the used memory, for all numbers', () => {
    const anything = fc.array(fc.record({ forMs: fc.oneof(fc.double(), fc.constantFrom(1000, 4000)), bytes: fc.double() }), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(anything, fc.option(fc.double()), fc.double(), (looks, used, grain) => {
        const found = activityFrom(looks, used, grain);
        expect(found.dirtyBytesPerSecond).toBeGreaterThanOrEqual(0);
        expect(found.workingSetBytes).toBeGreaterThanOrEqual(found.dirtyBytesPerSecond);
        expect(found.workingSetBytes).toBeLessThanOrEqual(used === null || Number.isNaN(used) ? 2 ** 60 : Math.max(0, used));
      }),
    );
  });
});

/** Uniform in [0, 1), the same in each run: the generator of Park and Miller. */
function uniformFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}

/** A VM of 128 MiB that goes through 48 MiB of it page after page with 2 MiB/s, as looks that sample 64 pages see it. */
function sampled(forMs: number, uniform: () => number): { readonly forMs: number; readonly bytes: number } {
  const share = Math.min((2 * forMs) / 1000, 48) / 128;
  const hits = Array.from({ length: 64 }, uniform).filter((at) => at < share).length;
  return { forMs, bytes: hits * 2 * mebibyte };
}

describe('many looks at the memory', () => {
  const repeated = <T>(times: number, values: readonly T[]): readonly T[] => Array.from({ length: times }, () => values).flat();

  it('that find the same say the same as two of them, in any order', () => {
    const two = [look(1000, 100, 40), look(4000, 100, 40)];
    for (const looks of [repeated(5, two), two.concat(two).toReversed()]) {
      const found = activityFrom(looks);
      expect(found.workingSetBytes).toBeCloseTo(activityFrom(two).workingSetBytes, 6);
      expect(found.dirtyBytesPerSecond).toBeCloseTo(activityFrom(two).dirtyBytesPerSecond, 6);
    }
  });

  it('of each length count as their mean', () => {
    const [short, long] = [look(1000, 100, 40), look(4000, 100, 40)];
    const scattered = [-5, 0, 5].map((off) => ({ ...short, bytes: short.bytes + off }));
    const found = activityFrom([...scattered, { ...long, bytes: long.bytes - 3 }, { ...long, bytes: long.bytes + 3 }]);
    expect(found.workingSetBytes).toBeCloseTo(100, 6);
    expect(found.dirtyBytesPerSecond).toBeCloseTo(short.bytes, 6);
  });

  it('show a small set that two of them are too coarse to show', () => {
    const grain = 2 * mebibyte;
    const two = [1000, 4000].map((forMs) => ({ forMs, bytes: 2 * grain }));
    expect(activityFrom(two, 128 * mebibyte, grain).workingSetBytes).toBe(128 * mebibyte);
    expect(activityFrom(repeated(4, two), 128 * mebibyte, grain).workingSetBytes).toBeCloseTo(2 * grain, 0);
  });

  it('of 20 s tell the rate with less than half of the mean error of 3 s', () => {
    const uniform = uniformFrom(20_221_122);
    const errorOf = (lengths: readonly number[]): number => {
      const errors = Array.from({ length: 2000 }, () => {
        const looks = lengths.map((forMs) => sampled(forMs, uniform));
        return Math.abs(activityFrom(looks, 128 * mebibyte, 2 * mebibyte).dirtyBytesPerSecond / mebibyte - 2);
      });
      return errors.reduce((total, error) => total + error, 0) / errors.length;
    };
    const [coarse, fine] = [errorOf([1000, 2000]), errorOf(repeated(4, [1000, 4000]))];
    expect(coarse).toBeGreaterThan(0.6);
    expect(fine).toBeLessThan(coarse / 2);
  });
});

describe('what a transfer has to deal with', () => {
  it('repeats what was measured in a second', () => {
    fc.assert(
      fc.property(fc.double({ min: 1, max: 1e6, noNaN: true }), fc.double({ min: 0, max: 0.99, noNaN: true }), (workingSet, share) => {
        const load = loadOf(1e7, activity(5e6, workingSet * share, workingSet));
        expect(dirtiedBytes(load, 1)).toBeCloseTo(workingSet * share, 3);
      }),
    );
  });

  it('never writes more than the working set, nor that more than the used memory, nor that more than all memory', () => {
    fc.assert(
      fc.property(
        fc.double(),
        fc.option(fc.double()),
        fc.double(),
        fc.double(),
        fc.double({ min: 0, max: 1e9 }),
        (memory, used, dirty, set, seconds) => {
          const load = loadOf(memory, activity(used, dirty, set));
          expect(dirtiedBytes(load, Number.isNaN(seconds) ? 0 : seconds)).toBeLessThanOrEqual(load.workingSetBytes);
          expect(load.workingSetBytes).toBeLessThanOrEqual(load.usedBytes);
          expect(load.usedBytes).toBeLessThanOrEqual(load.memoryBytes);
        },
      ),
    );
  });
});
