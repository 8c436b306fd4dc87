import { expect, test } from 'vitest';
import { percentile } from './percentile.ts';

test('of nothing there is no percentile', () => {
  expect(percentile([], 50)).toBeNull();
});

test('it is always one of the values, by nearest rank', () => {
  const values = [40, 10, 30, 20];
  expect([1, 25, 26, 50, 75, 76, 99, 100].map((percent) => percentile(values, percent))).toEqual([10, 10, 20, 20, 30, 40, 40, 40]);
});

test('one slow run of a hundred is the 100th percentile and not the 99th; two are', () => {
  const fast = Array.from({ length: 98 }, () => 1);
  expect(percentile([...fast, 1, 60], 99)).toBe(1);
  expect(percentile([...fast, 60, 60], 99)).toBe(60);
});
