import { expect, test } from 'vitest';
import { Streams } from '#sim/random.ts';
import { syntheticTrace } from './synthetic.ts';
import { meanOf, readingsPerDay } from './trace.ts';
import type { Trace } from './trace.ts';

const traces = tracesOf(1);

function tracesOf(seed: number): readonly Trace[] {
  const streams = new Streams(seed);
  return Array.from({ length: 1000 }, (_, index) => syntheticTrace(streams.stream(`trace-${index}`)));
}

/** The value that this share of the values is below. */
function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(share * values.length)] ?? Number.NaN;
}

/** Of all traces together, each around its own mean. */
function correlation(lag: number): number {
  let [products, squares] = [0, 0];
  for (const trace of traces) {
    const mean = meanOf(trace);
    for (const [index, reading] of trace.entries()) {
      squares += (reading - mean) ** 2;
      products += (reading - mean) * ((trace[index + lag] ?? mean) - mean);
    }
  }
  return products / squares;
}

test.each([1, 2, 3])('the mean is 9 to 12 % and readings go up to 99 % (seed %i)', (seed) => {
  const means = tracesOf(seed).map(meanOf);
  expect(meanOf(means)).toBeGreaterThan(9);
  expect(meanOf(means)).toBeLessThan(12);
  expect(Math.max(...tracesOf(seed).map((trace) => Math.max(...trace)))).toBe(99);
});

test('most VMs are nearly idle and a few are busy all day, as in PlanetLab’s days', () => {
  const means = traces.map(meanOf);
  expect(quantile(means, 0.5)).toBeGreaterThan(5);
  expect(quantile(means, 0.5)).toBeLessThan(8);
  expect(quantile(means, 0.95)).toBeGreaterThan(25);
  expect(quantile(means, 0.95)).toBeLessThan(42);
});

test('half of the readings are at most 6 %, one in a hundred is above 65 %', () => {
  const readings = traces.flatMap((trace) => [...trace]);
  expect(quantile(readings, 0.5)).toBeLessThanOrEqual(6);
  expect(quantile(readings, 0.99)).toBeGreaterThan(65);
  expect(quantile(readings, 0.99)).toBeLessThan(90);
});

test('a reading keeps something of the one before, and nothing of those hours ago', () => {
  expect(correlation(1)).toBeGreaterThan(0.5);
  expect(correlation(6)).toBeGreaterThan(0.15);
  expect(correlation(12)).toBeLessThan(0.2);
});

test('the day is busier than the night', () => {
  const at = (hour: number) => meanOf(traces.map((trace) => meanOf(trace.subarray(hour * 12, hour * 12 + 12))));
  expect(at(14) / at(2)).toBeGreaterThan(1.2);
  expect(at(14) / at(2)).toBeLessThan(2);
});

test('a day has 288 readings and the same seed gives the same traces', () => {
  expect(traces[0]).toHaveLength(readingsPerDay);
  expect(tracesOf(1)).toEqual(traces);
  expect(tracesOf(2)).not.toEqual(traces);
});
