import { exampleSnapshot } from '#core/planner/examples.ts';
import { snapshotFileOf } from '#wire/snapshot-file.ts';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { servedCli } from './served.ts';

// A busy machine may take its time over the start of a command.
vi.setConfig({ testTimeout: 180_000 });

const served = servedCli();
const { serve, cli } = served;
const live = snapshotFileOf(
  exampleSnapshot([{ id: 'host-a', vms: [{ id: '00000000-0000-4000-8000-000000000001', cores: 7.5 }] }, { id: 'host-b' }]),
  'approve',
);

test('snapshot save writes what the controller answers, and snapshot show reads it without a controller', async () => {
  const service = await serve({ snapshot: () => Promise.resolve(live) });
  const path = join(served.folder, 's.json');
  const saved = await cli(`snapshot save ${path}`);
  expect(saved).toMatchObject({ code: 0, err: '' });
  expect(saved.out).toContain('Saved 2 hosts and 1 VMs.');
  expect(service.asked).toEqual([]);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(live);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await served.stop();
  const shown = await cli(`snapshot show ${path}`);
  expect(shown).toMatchObject({ code: 0, err: '' });
  expect(shown.out).toMatch(/host-a +up +94 % .* over: CPU\n/);
  expect(shown.out).toContain('approve');
});

test('snapshot save does not go over a file, unless it is forced', async () => {
  await serve({ snapshot: () => Promise.resolve(live) });
  const path = join(served.folder, 's.json');
  writeFileSync(path, 'precious');
  expect(await cli(`snapshot save ${path}`)).toMatchObject({ code: 1, out: '' });
  expect(readFileSync(path, 'utf8')).toBe('precious');
  expect(await cli(`snapshot save ${path} --force`)).toMatchObject({ code: 0 });
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(live);
});

test('snapshot save can write to standard output', async () => {
  await serve({ snapshot: () => Promise.resolve(live) });
  expect(JSON.parse((await cli('snapshot save -')).out)).toEqual(live);
});

test('a snapshot that would break its schema is not sent', async () => {
  await serve({ snapshot: () => Promise.resolve({ ...live, takenAtMs: -1 }) });
  expect(await cli('snapshot save -')).toMatchObject({ code: 1, out: '' });
});
