import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Playing, playFolder, playSchedule } from './simulations.ts';

// The first run loads the controller and the agent; a busy machine may take its time over that.
vi.setConfig({ testTimeout: 180_000 });

const cluster = `seed: 7
runForSeconds: 60
mode: observe
hosts:
  host1: { cpuCores: 4, memoryGiB: 8 }
  host2: { cpuCores: 4, memoryGiB: 8 }
vms:
  web: { host: host1, vcpus: 2, memoryGiB: 1, demandCores: 1 }
`;
const events = '- { at: 20, do: migrate, vm: web, to: host2, by: anna }\n';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-sim-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const quiet = (signal = new AbortController().signal): Playing => ({ signal, onTurn: () => undefined });

function write(files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof Error && 'code' in error ? `${String(error.code)}: ${error.message}` : String(error);
  }
  throw new Error('it was played');
}

describe('a scenario folder', () => {
  test('is played from its own seed, and goes the same way again', async () => {
    const played = await playFolder(write({ 'cluster.yaml': cluster, 'events.yaml': events }), null, quiet());
    expect(played).toMatchObject({ seed: 7, virtualSeconds: 60, breaches: [], expectedLog: null, isOtherSeed: false });
    expect(played.log).toContain('anna: migrate web to host2');
    expect(await playFolder(folder, 7, quiet())).toEqual(played);
  });

  test('is played from another seed, to which the expected log does not belong', async () => {
    write({ 'cluster.yaml': cluster, 'events.yaml': '# nothing happens\n', 'expected.log': 'x\n' });
    expect(await playFolder(folder, 8, quiet())).toMatchObject({ seed: 8, expectedLog: 'x\n', isOtherSeed: true });
    expect(await playFolder(folder, null, quiet())).toMatchObject({ seed: 7, expectedLog: 'x\n', isOtherSeed: false });
  });

  test('stops when it is interrupted', async () => {
    write({ 'cluster.yaml': cluster.replace('60', '9000000'), 'events.yaml': '' });
    const interrupt = new AbortController();
    const playing = { signal: interrupt.signal, onTurn: () => interrupt.abort() };
    expect(await refusalOf(playFolder(folder, null, playing))).toMatch(/^interrupted: stopped after \d+ of 9000000 virtual seconds/);
  });

  test('is refused when it is not there', async () => {
    expect(await refusalOf(playFolder(join(folder, 'none'), null, quiet()))).toContain('input-invalid');
    expect(await refusalOf(playFolder(write({ 'cluster.yaml': cluster }), null, quiet()))).toContain(`there is no ${folder}/events.yaml`);
    expect(await refusalOf(playFolder(join(folder, 'cluster.yaml'), null, quiet()))).toContain('is not a folder');
  });

  test.each<readonly [string, Readonly<Record<string, string>>, string]>([
    ['YAML that is none', { 'events.yaml': '- { at: 20, do: [\n' }, '/events.yaml:2:1: this is not YAML'],
    ['a key twice', { 'cluster.yaml': `${cluster}seed: 8\n` }, '/cluster.yaml:9:1: this key is already set above'],
    ['a cluster without hosts', { 'cluster.yaml': 'seed: 7\n' }, ': cluster.yaml is not valid: (top) must have required properties'],
    ['an empty cluster', { 'cluster.yaml': '' }, ': cluster.yaml is not valid: (top) must be object'],
    ['an event that nobody knows', { 'events.yaml': '- { at: 1, do: dance }\n' }, ': events.yaml, event 1: do is dance'],
    ['a host that is not there', { 'events.yaml': events.replace('host2', 'host9') }, 'there is no host host9'],
  ])('is refused for %s, with its place', async (_what, wrong, expected) => {
    const refusal = await refusalOf(playFolder(write({ 'cluster.yaml': cluster, 'events.yaml': events, ...wrong }), null, quiet()));
    expect(refusal).toMatch(/^config-invalid: /);
    expect(refusal).toContain(folder);
    expect(refusal).toContain(expected);
  });
});

describe('a schedule from a seed', () => {
  test('an unknown kind of fault is refused, with those that are known', async () => {
    expect(await refusalOf(playSchedule(1, { faults: ['meteor'] }, quiet()))).toMatch(
      /^usage: there is no fault 'meteor': take from .*power-off/,
    );
  });

  test('is played, and can be interrupted', async () => {
    const interrupt = new AbortController();
    const playing = { signal: interrupt.signal, onTurn: () => interrupt.abort() };
    expect(await refusalOf(playSchedule(1, { hosts: 3, faults: [] }, playing))).toMatch(/^interrupted: /);
  });
});
