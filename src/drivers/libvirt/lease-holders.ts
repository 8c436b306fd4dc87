import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { VmLease } from '#core/model/definition.ts';

const lockManager = 'virtlockd';

/** The file that virtlockd keeps a lease in: PATH/LOCKSPACE/KEY. */
export function leaseFile({ path, lockspace, key }: VmLease): string {
  return [path, lockspace, key].filter((part) => part !== '').join('/');
}

/**
 * Pids that hold a lock on this inode, from the text of /proc/locks (proc(5)): `1: POSIX  ADVISORY  WRITE 123 fe:00:456 0 0`; a line with
 * `->` waits for one. The device in it is the file system's, which need not be the one that stat tells (btrfs, overlayfs).
 */
export function holdersOf(locks: string, inode: string): readonly string[] {
  const held = locks.split('\n').filter((line) => !line.includes('->'));
  return held.flatMap((line) => {
    const [, , , , pid, place] = line.trim().split(/\s+/u);
    return pid !== undefined && place?.split(':')[2] === inode ? [pid] : [];
  });
}

/**
 * Whether this host's virtlockd holds the lease. It locks the file as a whole (fcntl), and the kernel lists the locks of this host's own
 * processes only, also where the file lies on storage that is shared. Null where it cannot be told: the file is not there, sanlock
 * keeps the lease, or the kernel's list cannot be read.
 */
export async function holdsLease(lease: VmLease, procFolder = '/proc'): Promise<boolean | null> {
  try {
    const file = await stat(leaseFile(lease), { bigint: true });
    const holders = holdersOf(await readFile(join(procFolder, 'locks'), 'utf8'), String(file.ino));
    for (const pid of holders) if (await isLockManager(join(procFolder, pid), file)) return true;
    return false;
  } catch {
    return null;
  }
}

interface FileId {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** The inode alone could be that of a file on another file system: one of its open files has to be this very one. */
async function isLockManager(processFolder: string, file: FileId): Promise<boolean> {
  const name = await readFile(join(processFolder, 'comm'), 'utf8').catch(() => '');
  if (name.trim() !== lockManager) return false;
  const folder = join(processFolder, 'fd');
  for (const open of await readdir(folder)) {
    const one = await stat(join(folder, open), { bigint: true }).catch(() => null);
    if (one?.ino === file.ino && one.dev === file.dev) return true;
  }
  return false;
}
