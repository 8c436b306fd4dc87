import { rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { findCgroupRoots, killGroups, removeGroups } from './cgroup.ts';
import { DATA_ROOT, RUN_ROOT, layoutOf } from './layout.ts';
import { removeNetwork } from './network.ts';
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
  for (const folder of [DATA_ROOT, RUN_ROOT, dirname(RUN_ROOT)]) await rmdir(folder).catch(() => undefined);
}

export async function removeAllLabs(log: (line: string) => void): Promise<void> {
  for (const name of await labNames()) {
    await removeLab(name);
    log(`lab '${name}' is gone`);
  }
}
