import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';

const lookMs = 50;
/** A process that is killed is gone at once, unless it waits for a disk (state D). */
const goneMsMax = 10_000;

/** The processes of this machine; injectable so that a test has its own. */
export interface ProcessTable {
  /** Such as `/proc`. */
  readonly folder: string;
  kill(pid: number): void;
}

export const systemProcesses: ProcessTable = { folder: '/proc', kill: (pid) => process.kill(pid, 'SIGKILL') };

/**
 * Kills every process that has this VM, without its daemon: libvirt gives each QEMU `-uuid UUID`. True when there was one; resolves when
 * all of them are gone. Rejects with `hypervisor-failed` when one does not go.
 */
export async function killVmProcesses(vmId: VmId, table: ProcessTable, signal: AbortSignal): Promise<boolean> {
  const untilMs = performance.now() + goneMsMax;
  for (let round = 0; ; round += 1) {
    const pids = await processesOf(vmId, table);
    if (pids.length === 0) return round > 0;
    for (const pid of pids) killOne(pid, table);
    if (performance.now() > untilMs) {
      throw new PlimsollError(
        'hypervisor-failed',
        `process ${pids.join(', ')} of VM ${vmId} was killed and does not go: it waits for a disk`,
      );
    }
    await sleep(lookMs, undefined, { signal });
  }
}

/** Pids. A zombie has no command line any more, so it does not count. */
export async function processesOf(vmId: VmId, { folder }: Pick<ProcessTable, 'folder'>): Promise<readonly number[]> {
  const found: number[] = [];
  for (const name of await readdir(folder)) {
    if (!/^\d+$/u.test(name)) continue;
    const words = (await readFile(join(folder, name, 'cmdline'), 'latin1').catch(() => '')).split('\0');
    if (words[words.indexOf('-uuid') + 1] === vmId) found.push(Number(name));
  }
  return found;
}

function killOne(pid: number, table: ProcessTable): void {
  try {
    table.kill(pid);
  } catch (error) {
    // It has gone by itself since.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
