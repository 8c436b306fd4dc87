import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exampleRun } from './examples.ts';
import { appendRecord, readRecords } from './record.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plimsoll-faults-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('what was kept is read again, without a last line that a kill cut off', async () => {
  const file = join(folder, 'runs.jsonl');
  await appendRecord(file, exampleRun);
  await appendRecord(file, { ...exampleRun, time: 2 });
  await appendFile(file, '{"fault":"kill con');
  expect(await readRecords(file)).toEqual([exampleRun, { ...exampleRun, time: 2 }]);
});

test('a campaign that goes on begins a new line', async () => {
  const file = join(folder, 'resumed.jsonl');
  await appendRecord(file, exampleRun);
  await appendFile(file, '{"fault":"kill con');
  expect(await readRecords(file)).toEqual([exampleRun]);
  await appendRecord(file, { ...exampleRun, time: 2 });
  expect((await readRecords(file)).map(({ time }) => time)).toEqual([1, 2]);
});

test('a campaign whose file is not there yet has played nothing', async () => {
  expect(await readRecords(join(folder, 'new.jsonl'))).toEqual([]);
});

test.each(['{"a":1}\n', '# a text\n\nits last line', 'one line without an end'])(
  'a file of something else is refused, and left as it is: %j',
  async (text) => {
    const file = join(folder, 'other.txt');
    await writeFile(file, text);
    await expect(readRecords(file)).rejects.toThrow(/line 1|no whole run/);
    expect(await readFile(file, 'utf8')).toBe(text);
  },
);
