import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Type } from 'typebox';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JsonFile, type JsonFileOptions } from './json-file.ts';

const shape = Type.Object({ version: Type.Literal(1), count: Type.Integer() });

describe('a JSON file of a known shape', () => {
  let folder: string;
  let path: string;
  const good = { version: 1, count: 3 };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'plimsoll-json-'));
    path = join(folder, 'file.json');
  });
  afterEach(() => rm(folder, { recursive: true }));

  const file = (more: Partial<JsonFileOptions<typeof shape>> = {}) =>
    new JsonFile({ path, shape, code: 'channel-failed', damaged: (fault) => `the tally: ${fault}; count again`, ...more });

  it('is nothing before the first write, and then what was written last, with nothing left beside it', async () => {
    expect(await file().read()).toBeNull();
    await file().write({ ...good, count: 2 });
    await file().write(good);
    expect(await file().read()).toEqual(good);
    expect(await readdir(folder)).toEqual(['file.json']);
  });

  it.each([
    ['empty', '', 'the tally: it is not JSON; count again'],
    ['cut short', '{"version":1,"cou', 'the tally: it is not JSON; count again'],
    ['of another shape', '{"version":1,"count":"x"}', 'the tally: /count must be integer; count again'],
    ['no object', '[]', 'the tally: must be object; count again'],
  ])('that is %s is refused with its own code and sentence, and left as it is', async (_story, text, message) => {
    await writeFile(path, text);
    await expect(file().read()).rejects.toMatchObject({ code: 'channel-failed', message });
    expect(await readFile(path, 'utf8')).toBe(text);
  });

  it('never takes in what could not be read back', async () => {
    await file().write(good);
    await expect(file().write({ ...good, count: Number.NaN })).rejects.toMatchObject({ code: 'channel-failed' });
    expect(await file().read()).toEqual(good);
  });

  it('makes its folder, for its owner only, when that was asked for', async () => {
    const below = { path: join(folder, 'run', 'file.json') };
    await expect(file(below).write(good)).rejects.toMatchObject({ code: 'channel-failed', cause: { code: 'ENOENT' } });
    await file({ ...below, makesFolder: true }).write(good);
    expect(await file(below).read()).toEqual(good);
    expect((await stat(join(folder, 'run'))).mode & 0o777).toBe(0o700);
  });

  it('is one line, or indented for people', async () => {
    await file().write(good);
    expect(await readFile(path, 'utf8')).toBe('{"version":1,"count":3}\n');
    await file({ indent: 2 }).write(good);
    expect(await readFile(path, 'utf8')).toBe('{\n  "version": 1,\n  "count": 3\n}\n');
  });
});
