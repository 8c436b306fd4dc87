import { join } from 'node:path';
import { INFRASTRUCTURE_GROUP, groupsOf } from './cgroup.ts';
import type { CgroupRoots } from './cgroup.ts';
import { hostMounts, hostSocketPaths } from './host-files.ts';
import { netNamespacePath } from './layout.ts';
import type { Infrastructure, Layout } from './layout.ts';
import { Machine } from './machine.ts';

/** The handle of a host; the same for the process that builds it and for one that comes later. */
export function hostMachine(roots: CgroupRoots, lab: Layout, host: string): Machine {
  return new Machine({
    name: host,
    netNamespacePath: netNamespacePath(lab, host),
    ...hostSocketPaths(lab, host),
    cgroups: groupsOf(roots, lab, host),
    ...hostMounts(lab, host),
  });
}

/** Infrastructure machines see the files of the machine outside. */
export function infrastructureMachine(roots: CgroupRoots, lab: Layout, name: Infrastructure): Machine {
  const socketPath = join(lab.runDirectory, `${name}.init.sock`);
  return new Machine({
    name,
    netNamespacePath: netNamespacePath(lab, name),
    pidFile: join(lab.runDirectory, `${name}.pid`),
    socketPath,
    socketPathInside: socketPath,
    cgroups: groupsOf(roots, lab, INFRASTRUCTURE_GROUP),
    overlays: [],
    binds: [],
  });
}
