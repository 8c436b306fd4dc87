import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileAgentMemory } from './agent-memory.ts';

describe('FileAgentMemory', () => {
  let folder: string;
  let path: string;
  const state = { controllerEpoch: 4, vmEpochs: { 'vm-1': 2 }, usedTickets: { t1: 1_700_000_000_000 }, arrivals: { 'vm-2': 'boot-1' } };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'plimsoll-memory-'));
    path = join(folder, 'memory.json');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('starts with nothing on the first start of a host', async () => {
    expect(await new FileAgentMemory(path).load()).toEqual({ controllerEpoch: 0, vmEpochs: {}, usedTickets: {}, arrivals: {} });
  });

  it('gives another process what was saved, and leaves no other file behind', async () => {
    await new FileAgentMemory(path).save(state);
    expect(await new FileAgentMemory(path).load()).toEqual(state);
    expect(await readdir(folder)).toEqual(['memory.json']);
  });

  it('keeps the last of many saves at once', async () => {
    const memory = new FileAgentMemory(path);
    await Promise.all(Array.from({ length: 20 }, (_, index) => memory.save({ ...state, controllerEpoch: index })));
    expect((await memory.load()).controllerEpoch).toBe(19);
  });

  it('keeps the old state when a crash left half of a new one beside it', async () => {
    await new FileAgentMemory(path).save(state);
    await writeFile(`${path}.new`, '{"version":1,"contr');
    expect(await new FileAgentMemory(path).load()).toEqual(state);
    await new FileAgentMemory(path).save({ ...state, controllerEpoch: 5 });
    expect((await new FileAgentMemory(path).load()).controllerEpoch).toBe(5);
  });

  it.each([
    ['an empty file', ''],
    ['half a file', '{"version":1,"controllerEpoch":4,'],
    ['another version', '{"version":2,"controllerEpoch":4,"vmEpochs":{},"usedTickets":{}}'],
    ['a missing part', '{"version":1,"controllerEpoch":4,"vmEpochs":{}}'],
    ['a negative epoch', '{"version":1,"controllerEpoch":4,"vmEpochs":{"vm":-1},"usedTickets":{}}'],
    ['a list', '[]'],
  ])('refuses %s and never takes it for a first start', async (_, text) => {
    await writeFile(path, text);
    await expect(new FileAgentMemory(path).load()).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(path) as string,
    });
    expect(await readFile(path, 'utf8')).toBe(text);
  });

  it('refuses to save what it could not read back, and keeps what it had', async () => {
    const memory = new FileAgentMemory(path);
    await memory.save(state);
    await expect(memory.save({ ...state, controllerEpoch: Number.NaN })).rejects.toMatchObject({ code: 'config-invalid' });
    expect(await memory.load()).toEqual(state);
  });

  it('says what to do when the folder is missing', async () => {
    const memory = new FileAgentMemory(join(folder, 'absent', 'memory.json'));
    await expect(memory.save(state)).rejects.toMatchObject({ code: 'config-invalid' });
  });
});
