import { readdir, rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { findCgroupRoots, killGroups, removeGroups } from './cgroup.ts';
import { DATA_ROOT, NAMESPACE_FOLDER, RUN_ROOT, layoutOf } from './layout.ts';
import { removeNetwork } from './network.ts';
import { run } from './process.ts';
import { labNames, releaseIndex } from './record.ts';

/** Removes what lies outside the lab's own folder in /run: processes, namespaces, control groups, data. */
export async function sweepLab(name: string): Promise<void> {
  // The index plays no part in what is removed: all of it is found by name.
  const lab = layoutOf(name, 0);
  const roots = await findCgroupRoots();
  await killGroups(roots, lab);
  await removeNetwork(lab);
  await removeGroups(roots, lab);
  await rm(lab.dataDirectory, { recursive: true, force: true });
}

/**
 * Takes away everything of a lab, whatever state it is in, also after a crash of `up`; does nothing where there is nothing.
 * All processes of a lab are in its control groups, so nothing has to be remembered to find them.
 */
export async function removeLab(name: string): Promise<void> {
  await sweepLab(name);
  await rm(layoutOf(name, 0).runDirectory, { recursive: true, force: true });
  await releaseIndex(name);
  await removeSharedFolders();
}

/** The folders above belong to all labs (and perhaps to an installed agent): only empty ones go. */
async function removeSharedFolders(): Promise<void> {
  const remove = (folder: string): Promise<boolean> =>
    rmdir(folder).then(
      () => true,
      () => false,
    );
  await remove(DATA_ROOT);
  const wasLast = await remove(RUN_ROOT);
  await remove(dirname(RUN_ROOT));
  if (wasLast) await removeNamespaceFolder();
}

/** `ip netns add` makes /run/netns a mount of its own; whoever needs it next makes it again. */
async function removeNamespaceFolder(): Promise<void> {
  const entries = await readdir(NAMESPACE_FOLDER).catch(() => undefined);
  if (entries?.length !== 0) return;
  // -n: umount would make a folder of its own in /run for its table.
  await run(['umount', '-n', NAMESPACE_FOLDER], { timeoutMs: 10_000 });
  await rmdir(NAMESPACE_FOLDER).catch(() => undefined);
}

export async function removeAllLabs(log: (line: string) => void): Promise<void> {
  for (const name of await labNames()) {
    await removeLab(name);
    log(`lab '${name}' is gone`);
  }
}
