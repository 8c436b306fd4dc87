/** The QEMU of a guest on a host, found without asking a daemon that may be dead, and at once. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabHost } from '#lab/api.ts';

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // ended in between
  }
}

/** Pid outside the host; undefined when there is none. Synchronous, so that a strike hits what is there now. */
export function qemuPid(host: LabHost, guest: string): number | undefined {
  const pids = read(join(host.cgroup, 'cgroup.procs')).split('\n').filter(Boolean);
  const found = pids.find((pid) => {
    const words = read(`/proc/${pid}/cmdline`).split('\0');
    return words[0]?.includes('qemu') === true && words.some((word) => word.startsWith(`guest=${guest},`));
  });
  return found === undefined ? undefined : Number(found);
}

/** Goes on with a QEMU that was stopped. */
export function goOn(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // killed meanwhile
  }
}
