import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LabError } from './errors.ts';
import type { Layout } from './layout.ts';
import { waitFor } from './wait.ts';

const TOP = 'plimsoll-lab';
const QUOTA_PERIOD_US = 100_000;
/**
 * Ordinary processes that a lab weighs as much as when the machine is busy. A group without a weight of its own weighs as much
 * as one process, so that all machines of all labs would share what one busy compiler gets (28 % of a core each, measured).
 */
const LAB_WEIGHT = 8;

/**
 * Where this machine keeps control groups. Version 2 gives pressure (PSI) and `cgroup.kill`; the CPU quota is in version 2
 * (`cpu.max`) or, where version 1 holds the cpu controller, in its own tree (`cpu.cfs_quota_us`).
 */
export interface CgroupRoots {
  readonly unified: string;
  readonly cpuV1: string | undefined;
}

export async function findCgroupRoots(): Promise<CgroupRoots> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  const unified = mounts.find(([, , type]) => type === 'cgroup2')?.[1];
  const cpuV1 = mounts.find(([, , type, flags]) => type === 'cgroup' && flags?.split(',').includes('cpu'))?.[1];
  if (unified === undefined) {
    throw new LabError('lab-prerequisite-missing', 'no cgroup2 file system is mounted: boot with systemd, or mount one at /sys/fs/cgroup');
  }
  return { unified, cpuV1 };
}

/** One group per host (its capacity), one for the rest of the lab. */
export type CgroupOwner = string;
export const INFRASTRUCTURE_GROUP: CgroupOwner = 'infrastructure';

/** The folder whose *.pressure files tell of one host only. */
export const unifiedGroup = (roots: CgroupRoots, lab: Layout, owner: CgroupOwner): string => join(roots.unified, TOP, lab.name, owner);

const cpuV1Group = (root: string, lab: Layout, owner: CgroupOwner): string => join(root, TOP, lab.name, owner);

/** Folders a process joins to belong to `owner`. */
export function groupsOf(roots: CgroupRoots, lab: Layout, owner: CgroupOwner): string[] {
  const groups = [unifiedGroup(roots, lab, owner)];
  if (roots.cpuV1 !== undefined) groups.push(cpuV1Group(roots.cpuV1, lab, owner));
  return groups;
}

/** Creates the groups of `owner`; `cores` limits the CPU of all its processes together, guests included. */
export async function createGroups(roots: CgroupRoots, lab: Layout, owner: CgroupOwner, cores: number | undefined): Promise<void> {
  for (const group of groupsOf(roots, lab, owner)) await mkdir(group, { recursive: true });
  await weighLab(roots, lab);
  if (cores === undefined) return;
  const quotaUs = Math.round(cores * QUOTA_PERIOD_US);
  if (roots.cpuV1 !== undefined) {
    const group = cpuV1Group(roots.cpuV1, lab, owner);
    await writeFile(join(group, 'cpu.cfs_period_us'), `${QUOTA_PERIOD_US}`);
    await writeFile(join(group, 'cpu.cfs_quota_us'), `${quotaUs}`);
    return;
  }
  for (const parent of [roots.unified, join(roots.unified, TOP), join(roots.unified, TOP, lab.name)]) {
    await writeFile(join(parent, 'cgroup.subtree_control'), '+cpu +memory');
  }
  await writeFile(join(unifiedGroup(roots, lab, owner), 'cpu.max'), `${quotaUs} ${QUOTA_PERIOD_US}`);
}

async function weighLab({ cpuV1, unified }: CgroupRoots, lab: Layout): Promise<void> {
  if (cpuV1 !== undefined) {
    for (const group of [TOP, join(TOP, lab.name)]) await writeFile(join(cpuV1, group, 'cpu.shares'), `${1024 * LAB_WEIGHT}`);
    return;
  }
  await writeFile(join(unified, 'cgroup.subtree_control'), '+cpu');
  await writeFile(join(unified, TOP, 'cgroup.subtree_control'), '+cpu');
  for (const group of [TOP, join(TOP, lab.name)]) await writeFile(join(unified, group, 'cpu.weight'), `${100 * LAB_WEIGHT}`);
}

async function subgroups(group: string): Promise<string[]> {
  const entries = await readdir(group, { withFileTypes: true }).catch(() => []);
  return entries.filter((e) => e.isDirectory()).map((e) => join(group, e.name));
}

async function removeTree(group: string): Promise<void> {
  for (const child of await subgroups(group)) await removeTree(child);
  const gone = (): Promise<boolean> =>
    rmdir(group).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EBUSY') return error.code === 'ENOENT';
        return false; // version 1 lets go of an ended process a moment later than version 2
      },
    );
  await waitFor(gone, { what: `control group ${group} to be removable`, timeoutMs: 10_000 });
}

/** Pids (of this machine) in a group, in no order. */
export async function processesOf(group: string): Promise<number[]> {
  const text = await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean).map(Number);
}

/** Kills every process of the lab, whatever it became, and waits until the kernel let go of them. */
export async function killGroups(roots: CgroupRoots, lab: Layout): Promise<void> {
  const top = join(roots.unified, TOP, lab.name);
  const kill = await writeFile(join(top, 'cgroup.kill'), '1').catch((error: NodeJS.ErrnoException) => error);
  if (kill !== undefined && kill.code === 'ENOENT' && (await subgroups(top)).length === 0) return;
  await waitFor(async () => /^populated 0$/m.test(await readFile(join(top, 'cgroup.events'), 'utf8').catch(() => 'populated 0')), {
    what: `the processes of lab '${lab.name}' to end`,
    timeoutMs: 30_000,
  });
}

export async function removeGroups(roots: CgroupRoots, lab: Layout): Promise<void> {
  for (const root of [roots.unified, roots.cpuV1]) {
    if (root === undefined) continue;
    await removeTree(join(root, TOP, lab.name));
    // The parent belongs to all labs: the last one removes it.
    await rmdir(join(root, TOP)).catch(() => undefined);
  }
}
