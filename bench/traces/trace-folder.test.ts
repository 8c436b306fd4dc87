import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rowsOf, tracesOfFolder } from './trace-folder.ts';
import { readingsPerDay } from './trace.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'traces-'));
  const rows = [1, 2, 3].map((percent) => Buffer.alloc(readingsPerDay, percent));
  await writeFile(path.join(folder, 'day.u8.gz'), gzipSync(Buffer.concat(rows)));
  await writeFile(path.join(folder, 'notes.txt'), 'not a day');
});

afterAll(() => rm(folder, { recursive: true }));

test('a folder gives its days; a run draws all VMs of a day before it takes one again, in the order of its seed', async () => {
  const [day, ...others] = await tracesOfFolder(folder);
  expect([day?.name, others]).toEqual(['day', []]);
  const drawn = (seed: number) => {
    const traces = day?.traces(seed);
    return Array.from({ length: 6 }, () => traces?.next().value[0]);
  };
  expect(new Set(drawn(1).slice(0, 3))).toEqual(new Set([1, 2, 3]));
  expect(drawn(1).slice(3)).toEqual(drawn(1).slice(0, 3));
  expect(new Set([1, 2, 3, 4, 5].map((seed) => drawn(seed).join(' '))).size).toBeGreaterThan(1);
});

test('a folder without days is refused', async () => {
  await expect(tracesOfFolder(tmpdir())).rejects.toThrow('holds no file');
});

test('half a row and a reading above 100 % are refused', () => {
  expect(() => rowsOf('day', new Uint8Array(readingsPerDay + 1))).toThrow('rows of 288');
  expect(() => rowsOf('day', new Uint8Array(readingsPerDay).fill(101))).toThrow('above 100 percent');
});
