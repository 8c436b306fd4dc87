import { expect, test } from 'vitest';
import { processorTime, processorTimeOf, stolenPercent } from './stolen.ts';

const before = 'cpu  100 10 50 800 20 0 10 10 5 0\ncpu0 1 2 3 4 5 6 7 8\n';
const after = 'cpu  150 10 60 1000 20 0 10 50 5 0\ncpu0 1 2 3 4 5 6 7 8\n';

test('the stolen share is of all of the time, and guest time is not counted twice', () => {
  expect(processorTimeOf(before)).toEqual({ stolenTicks: 10, totalTicks: 1000 });
  expect(stolenPercent(processorTimeOf(before), processorTimeOf(after))).toBeCloseTo((40 / 300) * 100);
});

test('no time at all has nothing stolen', () => {
  expect(stolenPercent(processorTimeOf(before), processorTimeOf(before))).toBe(0);
});

test.each(['', 'cpu 1 2 3', 'intr 1 2 3 4 5 6 7 x'])('what is not the time of all processors is refused: %j', (text) => {
  expect(() => processorTimeOf(text)).toThrow('/proc/stat');
});

test('this machine tells its own', async () => {
  expect((await processorTime()).totalTicks).toBeGreaterThan(0);
});
