import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { killVmProcesses, type ProcessTable } from './vm-process.ts';

const vmId = '00000000-0000-4000-8000-000000000001';
const otherVmId = '00000000-0000-4000-8000-000000000002';
const signal = AbortSignal.timeout(20_000);
let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plimsoll-proc-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function run(pid: number, ...words: readonly string[]): Promise<void> {
  await mkdir(join(folder, String(pid)));
  await writeFile(join(folder, String(pid), 'cmdline'), words.map((word) => `${word}\0`).join(''));
}

/** Kills as the kernel does: at once. */
function table(killed: number[]): ProcessTable {
  return {
    folder,
    kill: (pid) => {
      killed.push(pid);
      rmSync(join(folder, String(pid)), { recursive: true });
    },
  };
}

describe('the processes of a VM', () => {
  it('are killed, all of them, and nobody else', async () => {
    await run(10, 'qemu', '-name', 'a', '-uuid', vmId, '-m', '64');
    await run(11, 'qemu', '-uuid', vmId, '-incoming', 'defer');
    await run(12, 'qemu', '-uuid', otherVmId);
    await run(13, 'grep', vmId);
    await run(14);
    await mkdir(join(folder, 'self'));
    const killed: number[] = [];
    expect(await killVmProcesses(vmId, table(killed), signal)).toBe(true);
    expect(killed.toSorted((one, other) => one - other)).toEqual([10, 11]);
    expect(await killVmProcesses(vmId, table(killed), signal)).toBe(false);
    expect(killed).toHaveLength(2);
  });

  it('may have gone by themselves between the look and the kill', async () => {
    await run(10, 'qemu', '-uuid', vmId);
    const kill = (pid: number) => {
      rmSync(join(folder, String(pid)), { recursive: true });
      throw Object.assign(new Error('no such process'), { code: 'ESRCH' });
    };
    expect(await killVmProcesses(vmId, { folder, kill }, signal)).toBe(true);
  });

  it('that may not be killed are told of, not passed by', async () => {
    await run(10, 'qemu', '-uuid', vmId);
    const kill = () => {
      throw Object.assign(new Error('not permitted'), { code: 'EPERM' });
    };
    await expect(killVmProcesses(vmId, { folder, kill }, signal)).rejects.toThrow('not permitted');
  });
});
