import { exampleData, exampleUtil } from '#core/exchange/hbal-examples.ts';
import { exampleEntry, exampleSnapshot } from '#core/planner/examples.ts';
import { bytes } from '#core/model/units.ts';
import { snapshotFileOf } from '#wire/snapshot-file.ts';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readClusterFile, writeHbalFiles, writeNew } from './snapshot-files.ts';
import { printClusterFile, printHbalFiles } from './snapshot-printer.ts';

const vm = (number: number) => `00000000-0000-4000-8000-00000000000${number}`;
const hot = exampleSnapshot(
  [
    {
      id: 'host1',
      vms: [
        { id: vm(1), cores: 4 },
        { id: vm(2), cores: 3 },
      ],
    },
    { id: 'host2', vms: [{ id: vm(3), cores: 1, gib: 60 }] },
    { id: 'host3' },
  ],
  { ledger: [exampleEntry(vm(1), 5000)] },
);

// What is read with is loaded when it is asked for; a busy machine may take its time over that.
vi.setConfig({ testTimeout: 60_000 });

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-snapshot-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, content: string | object): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof Error && 'code' in error ? `${String(error.code)}: ${error.message}` : String(error);
  }
  throw new Error('it was read');
}

describe('a snapshot file', () => {
  test('is shown with what is over its line', async () => {
    const text = printClusterFile(await readClusterFile(write('s.json', snapshotFileOf(hot, 'observe')), null));
    expect(text).toContain('hosts:      3, 2 over a line');
    expect(text).toMatch(/host1 +up +88 % +7.00 of 8.00 .* 2 +over: CPU\n/);
    expect(text).toMatch(/host2 +up +13 % .* 94 % .* 1 +over: memory\n/);
    expect(text).toMatch(/host3 .* below\n/);
    expect(text).toContain('0 under way, 1 in the ledger');
    expect(text).not.toContain('Cannot be true');
  });

  test('that cannot be true says so', async () => {
    const broken = { ...hot, hosts: hot.hosts.slice(0, 2), vms: hot.vms.map((one) => ({ ...one, hostId: 'host9' })) };
    const text = printClusterFile(await readClusterFile(write('s.json', snapshotFileOf(broken, null)), null));
    expect(text).toContain('Cannot be true of a cluster at rest:');
    expect(text).toContain('host9, which is not in the snapshot');
  });

  test.each<readonly [string, string | object, string]>([
    ['of another version', { ...snapshotFileOf(hot, null), version: 2 }, 'version-unsupported: '],
    ['of another format', { format: 'something' }, 'holds no snapshot'],
    ['that is broken off', JSON.stringify(snapshotFileOf(hot, null)).slice(0, -9), 'begins like a snapshot but is not JSON'],
    ['with a figure below nothing', { ...snapshotFileOf(hot, null), takenAtMs: -1 }, '/takenAtMs'],
    ['with a key that nobody knows', { ...snapshotFileOf(hot, null), extra: 1 }, 'has unknown keys: extra'],
    ['that is nothing at all', 'hello', 'neither a snapshot nor a file of hbal'],
  ])('%s is refused', async (_what, content, expected) => {
    const refusal = await refusalOf(readClusterFile(write('s.json', content), null));
    expect(refusal).toContain(expected);
    expect(refusal).toContain(join(folder, 's.json'));
  });
});

describe('a cluster of hbal', () => {
  test('is shown with the utilisation that lies beside it', async () => {
    const path = write('c.data', exampleData);
    write('c.util', exampleUtil);
    const file = await readClusterFile(path, null);
    expect(file.snapshot.hosts[0]?.cpuUsedCores).toBe(11);
    expect(printClusterFile(file)).toContain('Lost or assumed, because the file is of hbal:');
  });

  test('is shown with a utilisation that is named, and without any', async () => {
    const path = write('c.data', exampleData);
    expect((await readClusterFile(path, write('other', exampleUtil))).snapshot.hosts[0]?.cpuUsedCores).toBe(11);
    expect((await readClusterFile(path, null)).lost[0]).toContain('every VM and host counts as idle');
  });

  test('is refused with file, line and column', async () => {
    const refusal = await refusalOf(
      readClusterFile(write('c.data', exampleData.replace('|running|Y|h1||ext|t', '|walking|Y|h1||ext|t')), null),
    );
    expect(refusal).toContain(`${join(folder, 'c.data')}:7:18: 'walking': the instance's status has to be one of`);
    const path = write('d.data', exampleData);
    expect(await refusalOf(readClusterFile(path, write('d.util', 'web 1 1\n')))).toContain('d.util:1:1: ');
  });
});

describe('what is written for hbal', () => {
  test('comes back as the same hosts and VMs', async () => {
    const file = await readClusterFile(write('s.json', snapshotFileOf(hot, 'observe')), null);
    const files = await writeHbalFiles(file, join(folder, 'out'), false);
    expect(printHbalFiles(files)).toContain(`hbal -t ${join(folder, 'out.data')} -U ${join(folder, 'out.util')}`);
    expect(printHbalFiles(files)).toContain('1 past migration: left out');
    const back = await readClusterFile(files.dataPath, null);
    expect(back.snapshot.vms).toEqual(file.snapshot.vms);
    const known = ({ hostId, status, capacity, cpuUsedCores, memoryUsedBytes }: (typeof back.snapshot.hosts)[number]) => [
      hostId,
      status,
      capacity,
      cpuUsedCores,
      memoryUsedBytes,
    ];
    expect(back.snapshot.hosts.map(known)).toEqual(file.snapshot.hosts.map(known));
  });

  test('does not go over what is there, unless it is forced', async () => {
    const file = await readClusterFile(write('s.json', snapshotFileOf(hot, null)), null);
    const path = write('out.data', 'precious');
    expect(await refusalOf(writeHbalFiles(file, path, false))).toMatch(/^file-exists: .*out\.data is there already/);
    expect(readFileSync(path, 'utf8')).toBe('precious');
    await writeHbalFiles(file, path, true);
    expect(readFileSync(path, 'utf8')).toContain('host1|');
  });

  test('is for its owner alone, and needs a folder', async () => {
    await writeNew(join(folder, 'n'), 'x', false);
    expect(statSync(join(folder, 'n')).mode & 0o777).toBe(0o600);
    expect(await refusalOf(writeNew(join(folder, 'none', 'n'), 'x', false))).toMatch(/^file-unwritable: /);
  });
});

test('memory beyond what a number can hold exactly is no reason to fail', async () => {
  const vast = { ...hot, hosts: hot.hosts.map((host) => ({ ...host, capacity: { ...host.capacity, memoryBytes: bytes(2 ** 60) } })) };
  const file = await readClusterFile(write('s.json', snapshotFileOf(vast, null)), null);
  const files = await writeHbalFiles(file, join(folder, 'vast'), false);
  expect((await readClusterFile(files.dataPath, null)).snapshot.hosts[0]?.capacity.memoryBytes).toBe(2 ** 60);
});
