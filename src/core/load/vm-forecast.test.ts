import { array, assert, constantFrom, double, integer, property, tuple } from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { VmForecast } from '#core/model/snapshot.ts';
import { bucketPhaseMs, forecastBucketMs, nextVmForecast, vmForecastOf, type VmForecastState } from './vm-forecast.ts';

// Hundreds of days of readings: on a busy machine the default 5 s may not do.
vi.setConfig({ testTimeout: 60_000 });

const horizonMs = 1_800_000;
const dayBuckets = 288;
const startMs = 1_800_000_000_000;

/** One reading for each bucket. */
function played(usedCores: readonly number[], vcpus: number, from: VmForecastState | null = null, fromIndex = 0): VmForecastState | null {
  let state = from;
  for (const [index, used] of usedCores.entries())
    state = nextVmForecast(state, { atMs: startMs + (fromIndex + index) * forecastBucketMs, usedCores: used, vcpus }, horizonMs);
  return state;
}

function forecastOf(state: VmForecastState | null, vcpus: number): VmForecast | null {
  return state && vmForecastOf(state, vcpus, horizonMs);
}

/** Quiet by night, busy by day, the peak at noon; a little noise that repeats. */
const daily = (index: number): number =>
  0.3 + 2.4 * ((1 - Math.cos((2 * Math.PI * index) / dayBuckets)) / 2) ** 2 + 0.05 * ((index * 7) % 3);
const days = (amount: number): readonly number[] => Array.from({ length: amount * dayBuckets }, (_, index) => daily(index));

describe('a forecast of a VM', () => {
  it('is never negative, never no number, never more than a VM can use, and its high figure never below its mean', () => {
    const reading = tuple(constantFrom(0, 0, 1), double({ min: 0, max: 40, noNaN: true }), integer({ min: 1, max: 900_000 }));
    assert(
      property(array(reading, { minLength: 1, maxLength: 200 }), integer({ min: 1, max: 8 }), (readings, vcpus) => {
        let state: VmForecastState | null = null;
        let atMs = startMs;
        for (const [isUsed, usedCores, afterMs] of readings) {
          atMs += afterMs;
          state = nextVmForecast(state, { atMs, usedCores: isUsed * usedCores, vcpus }, horizonMs);
          const forecast = forecastOf(state, vcpus);
          if (forecast === null) continue;
          expect(forecast.meanCores).toBeGreaterThanOrEqual(0);
          expect(forecast.highCores).toBeGreaterThanOrEqual(forecast.meanCores);
          expect(forecast.highCores).toBeLessThanOrEqual(vcpus * 1.5 + 1);
          expect(forecast.confidencePercent).toBeGreaterThanOrEqual(0);
          expect(forecast.confidencePercent).toBeLessThanOrEqual(100);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('of a load that never changes is that load, with full confidence', () => {
    assert(
      property(integer({ min: 1, max: 16 }), double({ min: 0, max: 1, noNaN: true }), (vcpus, part) => {
        const used = vcpus * part;
        const forecast = forecastOf(
          played(
            Array.from({ length: 60 }, () => used),
            vcpus,
          ),
          vcpus,
        );
        expect(forecast?.confidencePercent).toBe(100);
        expect(forecast?.meanCores).toBeCloseTo(used, 6);
        expect(forecast?.highCores).toBeCloseTo(used, 6);
      }),
      { numRuns: 30 },
    );
  });

  it('says what a VM usually uses, whatever it does now: after some hours of another load, that one', () => {
    const alternating = Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? 1 : 3));
    const before = played(alternating, 4);
    expect(forecastOf(before, 4)?.usual?.meanCores).toBeCloseTo(2, 1);
    expect(forecastOf(before, 4)?.usual?.spreadCores).toBeCloseTo(1, 1);
    const steady = Array.from({ length: 200 }, () => 0.5);
    const after = forecastOf(played(steady, 4, before, alternating.length), 4);
    expect(after?.usual?.meanCores).toBeCloseTo(0.5, 1);
    expect(after?.usual?.spreadCores).toBeLessThan(0.15);
  });

  it('is the same for the same readings, and its state is plain data that may be kept as text', () => {
    assert(
      property(array(double({ min: 0, max: 4, noNaN: true }), { minLength: 20, maxLength: 400 }), (loads) => {
        const state = played(loads, 4);
        expect(played(loads, 4)).toEqual(state);
        const half = Math.floor(loads.length / 2);
        const kept = JSON.parse(JSON.stringify(played(loads.slice(0, half), 4))) as VmForecastState;
        expect(played(loads.slice(half), 4, kept, half)).toEqual(state);
      }),
      { numRuns: 30 },
    );
  });

  it('has a state of a bounded size, however long it goes on', () => {
    const sizes = [3, 30].map((amount) => JSON.stringify(played(days(amount), 4)).length);
    expect(Math.max(...sizes)).toBeLessThan(3000);
  });

  it('is not made before half an hour of readings', () => {
    expect(forecastOf(played(days(1).slice(0, 6), 4), 4)).toBeNull();
    expect(forecastOf(played(days(1).slice(0, 7), 4), 4)).toMatchObject({ confidencePercent: 0, horizonMs });
  });

  it('goes by the vCPUs that the VM has now', () => {
    const state = played(
      Array.from({ length: 60 }, () => 1),
      4,
    );
    expect(forecastOf(state, 8)?.meanCores).toBeCloseTo(2, 6);
  });

  it('takes no figure that is none', () => {
    const state = played([1, 1, 1], 2);
    for (const bad of [{ usedCores: Number.NaN }, { usedCores: -1 }, { vcpus: 0 }, { atMs: Number.NaN }, { usedCores: Infinity }])
      expect(nextVmForecast(state, { atMs: startMs + 10 * forecastBucketMs, usedCores: 1, vcpus: 2, ...bad }, horizonMs)).toBe(state);
  });
});

describe('the habits of a day', () => {
  it('are learnt after three days: on the fourth the mean is off by less than half as much as naive, and the high figure holds', () => {
    const all = days(5);
    let state = played(all.slice(0, 3 * dayBuckets), 4);
    let [error, naiveError, hits, amount] = [0, 0, 0, 0];
    for (let index = 3 * dayBuckets; index < 4 * dayBuckets; index += 1) {
      // The reading closes the bucket before it.
      state = played(all.slice(index, index + 1), 4, state, index);
      const forecast = forecastOf(state, 4);
      const real = all.slice(index, index + 6);
      const mean = real.reduce((sum, one) => sum + one, 0) / real.length;
      error += Math.abs((forecast?.meanCores ?? 0) - mean);
      naiveError += Math.abs((all[index - 1] ?? 0) - mean);
      hits += real.filter((one) => one <= (forecast?.highCores ?? 0)).length;
      amount += real.length;
    }
    expect(error / naiveError).toBeLessThan(0.5);
    expect(hits / amount).toBeGreaterThan(0.88);
    expect(forecastOf(state, 4)?.confidencePercent).toBeGreaterThan(80);
  });

  it('are not claimed before the second day is over', () => {
    const guessed = (amount: number) => played(days(amount), 4)?.model.open.map(({ guesses }) => guesses.season) ?? [];
    expect(guessed(1.9)).toEqual([null, null, null]);
    expect(guessed(2.2).every((guess) => guess !== null)).toBe(true);
  });
});

describe('confidence', () => {
  /** Numerical Recipes' 32-bit linear congruential generator. */
  const noise = (amount: number): readonly number[] => {
    let state = 3;
    return Array.from({ length: amount }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    });
  };

  it('is earned against "it stays as it is": noise around a mean is better forecast by the mean', () => {
    const state = played(
      noise(600).map((share) => 4 * share),
      4,
    );
    const { record } = state?.model ?? {};
    expect((record?.error ?? 1) / (record?.naiveError ?? 0)).toBeLessThan(0.6);
    expect(forecastOf(state, 4)?.confidencePercent).toBeGreaterThan(80);
  });

  it('is low for a load that goes to and fro without a pattern: what is known of the past helps nobody', () => {
    let level = 2;
    const walk = noise(800).map((share) => (level = Math.min(4, Math.max(0, level + (share - 0.5)))));
    expect(forecastOf(played(walk, 4), 4)?.confidencePercent).toBeLessThan(50);
  });

  it('falls when the high figure is not kept', () => {
    const quiet = played(
      Array.from({ length: 100 }, () => 0.2),
      4,
    );
    const climbing = Array.from({ length: 36 }, (_, index) => 0.2 + 0.1 * index);
    const risen = played(climbing, 4, quiet, 100);
    expect(forecastOf(quiet, 4)?.confidencePercent).toBe(100);
    expect(forecastOf(risen, 4)?.confidencePercent).toBeLessThan(50);
  });

  it('is not scored over a gap: what happened meanwhile is not known', () => {
    const state = played(days(0.5), 4);
    const after = nextVmForecast(state, { atMs: startMs + 400 * forecastBucketMs, usedCores: 4, vcpus: 4 }, horizonMs);
    expect(state?.model.open.length).toBeGreaterThan(0);
    expect(after?.model.open).toEqual([]);
    // Only the one whose horizon ended with the last bucket before the gap.
    expect((after?.model.record.scored ?? 0) - (state?.model.record.scored ?? 0)).toBeLessThanOrEqual(1);
  });
});

it('the buckets of VMs begin at different times', () => {
  const phases = Array.from({ length: 1000 }, (_, index) => bucketPhaseMs(`00000000-0000-4000-8000-${String(index).padStart(12, '0')}`));
  const inEachFifth = Array.from(
    { length: 5 },
    (_, fifth) => phases.filter((phase) => Math.floor((phase * 5) / forecastBucketMs) === fifth).length,
  );
  expect(Math.min(...inEachFifth)).toBeGreaterThan(120);
});
