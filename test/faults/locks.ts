/** Who holds the lease of a guest's disk, by the kernel's own list of locks. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Lab } from '#lab/api.ts';
import { processesOf } from '#lab/cgroup.ts';

/** Pids that hold a lock on this inode, from the text of /proc/locks: "1: POSIX  ADVISORY  WRITE 123 00:2b:456 0 EOF"; "->" waits. */
export function holdersOf(locks: string, inode: number): readonly number[] {
  const lines = locks.split('\n').filter((line) => !line.includes('->'));
  return lines.flatMap((line) => {
    const [, , , , pid, place] = line.trim().split(/\s+/);
    return place?.split(':')[2] === `${inode}` ? [Number(pid)] : [];
  });
}

/** Hosts whose virtlockd holds it. */
export async function leaseHolders(lab: Lab, guest: string): Promise<readonly string[]> {
  const lease = join(dirname(lab.controllerSocket ?? dirname(lab.client.socketPath)), 'locks', guest);
  const { ino } = await stat(lease);
  const pids = holdersOf(await readFile('/proc/locks', 'utf8'), ino);
  const members = await Promise.all(lab.hosts.map(async (host) => ({ host: host.name, pids: await processesOf(host.cgroup) })));
  return members.filter((member) => member.pids.some((pid) => pids.includes(pid))).map(({ host }) => host);
}
