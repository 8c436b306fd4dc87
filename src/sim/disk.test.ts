import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { put, SimDisk, take } from './disk.ts';
import { surroundings } from './examples.ts';
import { Streams } from './random.ts';
import { VirtualTime } from './virtual-time.ts';

function setUp(seed = 1) {
  const time = new VirtualTime();
  const disk = new SimDisk(time, new Streams(seed).stream('disk'));
  const table = new Map<string, number>();
  const acknowledged: string[] = [];
  const write = (key: string, value: number) =>
    disk
      .write(
        2,
        () => new Error('full'),
        (undo) => put(undo, table, key, value),
      )
      .then(() => acknowledged.push(key));
  const run = (ms: number) => time.runUntil(time.elapsedMs + ms, surroundings.drain);
  return { disk, table, acknowledged, write, run };
}

/** In an order of its own. */
function stateOf(table: ReadonlyMap<string, number>): string {
  return JSON.stringify(['x', 'y', 'z'].map((key) => table.get(key) ?? null));
}

describe('a disk', () => {
  test('has a write as soon as it begins, and says so a moment later', async () => {
    const { disk, table, acknowledged, write, run } = setUp();
    void write('a', 1);
    expect(table.get('a')).toBe(1);
    expect(acknowledged).toEqual([]);
    expect(disk.lose()).toBe(0);
    await run(2);
    expect(acknowledged).toEqual(['a']);
  });

  test('that is full refuses each write and keeps what it has', async () => {
    const { disk, table, write } = setUp();
    disk.condition = 'full';
    await expect(write('a', 1)).rejects.toThrow('full');
    expect(table.size).toBe(0);
    disk.condition = 'ok';
    void write('a', 2);
    expect(table.get('a')).toBe(2);
  });

  test('that is torn has, when its writer dies, the first of the writes under way and not the others; all that was acknowledged stays', async () => {
    const kept = new Set<number>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const { disk, table, acknowledged, write, run } = setUp(seed);
      disk.condition = 'torn';
      void write('old', 1);
      await run(5);
      for (const [index, key] of ['a', 'b', 'old'].entries()) void write(key, 10 + index);
      await run(1);
      const lost = disk.lose();
      const first = ['a', 'b', 'old'].slice(0, 3 - lost);
      expect(acknowledged).toEqual(['old']);
      expect([...table.keys()].toSorted()).toEqual([...new Set(['old', ...first])].toSorted());
      expect(table.get('old')).toBe(first.includes('old') ? 12 : 1);
      kept.add(first.length);
    }
    expect(kept).toEqual(new Set([0, 1, 2, 3]));
  });

  test('that is torn is, after a death, as it was after one of the writes', async () => {
    const changes = fc.array(fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.option(fc.integer({ min: 0, max: 9 }))), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(changes, fc.integer({ min: 1, max: 1000 }), async (steps, seed) => {
        const { disk, table } = setUp(seed);
        disk.condition = 'torn';
        const states = [stateOf(table)];
        for (const [key, value] of steps) {
          void disk.write(
            2,
            () => new Error('full'),
            (undo) => (value === null ? take(undo, table, key) : put(undo, table, key, value)),
          );
          states.push(stateOf(table));
        }
        disk.lose();
        expect(states).toContain(stateOf(table));
      }),
      { numRuns: 100 },
    );
  });
});
