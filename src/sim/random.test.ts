import { describe, expect, test } from 'vitest';
import { Streams } from './random.ts';

const draw = (seed: number, entity: string, count: number) => {
  const stream = new Streams(seed).stream(entity);
  return Array.from({ length: count }, () => stream.fraction());
};

describe('seeded randomness', () => {
  test('gives the same numbers and ids for the same seed and entity', () => {
    expect(draw(7, 'host1', 20)).toEqual(draw(7, 'host1', 20));
    expect(new Streams(7).stream('host1').id()).toBe(new Streams(7).stream('host1').id());
  });

  test('gives other numbers for another seed, and for another entity', () => {
    expect(draw(8, 'host1', 5)).not.toEqual(draw(7, 'host1', 5));
    expect(draw(7, 'host2', 5)).not.toEqual(draw(7, 'host1', 5));
  });

  test('lets one entity draw without changing what another one gets', () => {
    const streams = new Streams(7);
    const first = streams.stream('host1');
    const second = streams.stream('host2');
    for (let draws = 0; draws < 100; draws += 1) first.fraction();
    expect(second.fraction()).toBe(draw(7, 'host2', 1)[0]);
  });

  test('spreads evenly over [0, 1)', () => {
    const numbers = draw(3, 'spread', 20_000);
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
    for (let tenth = 0; tenth < 10; tenth += 1) {
      const share = numbers.filter((number) => Math.floor(number * 10) === tenth).length / numbers.length;
      expect(share).toBeGreaterThan(0.09);
      expect(share).toBeLessThan(0.11);
    }
  });

  test('makes ids that the wire accepts and that do not repeat', () => {
    const stream = new Streams(1).stream('ids');
    const ids = Array.from({ length: 2000 }, () => stream.id());
    expect(ids.every((id) => /^[a-z0-9]{16}$/.test(id))).toBe(true);
    expect(new Set(ids).size).toBe(2000);
  });
});
