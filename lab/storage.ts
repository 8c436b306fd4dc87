import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { STORAGE_LAST, diskPath, targetName, tgtSocket, underlayAddress } from './layout.ts';
import type { Layout } from './layout.ts';
import type { Machine } from './machine.ts';
import { must, run } from './process.ts';
import type { GuestRecord } from './record.ts';
import { waitFor } from './wait.ts';

export const DISK_BYTES = 32 << 20;

const tgtadm = (lab: Layout, args: readonly string[]): string[] => ['tgtadm', '--lld', 'iscsi', ...args];

/** One iSCSI target per guest, each with one disk; the data lies in a sparse file that can be read from outside. */
export async function startStorage(lab: Layout, storage: Machine, guests: readonly GuestRecord[], signal?: AbortSignal): Promise<void> {
  await mkdir(join(lab.dataDirectory, 'disks'), { recursive: true });
  const portal = `portal=${underlayAddress(lab, STORAGE_LAST)}:3260`;
  const env = { TGT_IPC_SOCKET: tgtSocket(lab) };
  await storage.startService({
    name: 'tgtd',
    argv: ['tgtd', '-f', '-C', '0', '--iscsi', portal],
    env,
    // Started again it would know no targets: a lab whose storage died is broken, and shows it.
    restart: 'never',
    log: join(lab.runDirectory, 'log', 'tgtd.log'),
  });
  const ready = async (): Promise<boolean> => (await run(tgtadm(lab, ['--op', 'show', '--mode', 'sys']), { env, signal })).code === 0;
  await waitFor(ready, { what: 'tgtd', timeoutMs: 10_000, signal });
  for (const [i, guest] of guests.entries()) await addTarget(lab, guest.name, i + 1, signal);
}

async function addTarget(lab: Layout, guest: string, id: number, signal?: AbortSignal): Promise<void> {
  const file = await open(diskPath(lab, guest), 'w');
  await file.truncate(DISK_BYTES);
  await file.close();
  const env = { TGT_IPC_SOCKET: tgtSocket(lab) };
  const target = ['--tid', `${id}`];
  await must(tgtadm(lab, ['--op', 'new', '--mode', 'target', ...target, '-T', targetName(lab, guest)]), { env, signal });
  await must(tgtadm(lab, ['--op', 'new', '--mode', 'logicalunit', ...target, '--lun', '1', '-b', diskPath(lab, guest)]), { env, signal });
  await must(tgtadm(lab, ['--op', 'bind', '--mode', 'target', ...target, '-I', 'ALL']), { env, signal });
}
