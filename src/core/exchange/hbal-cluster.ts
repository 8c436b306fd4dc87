/**
 * A cluster as Ganeti's balancer hbal reads and writes it (`hbal -t FILE`). Amounts of memory and disk are MiB. Columns and words are
 * those of Ganeti's `src/Ganeti/HTools/Backend/Text.hs` and `src/Ganeti/Types.hs`.
 */

export const allocations = ['preferred', 'last_resort', 'unallocable'] as const;
export const roles = ['N', 'M', 'Y'] as const;
export const statuses = [
  'ADMIN_down',
  'ADMIN_offline',
  'ERROR_down',
  'ERROR_up',
  'ERROR_nodedown',
  'ERROR_nodeoffline',
  'running',
  'USER_down',
  'ERROR_wrongnode',
] as const;
export const templates = ['diskless', 'file', 'sharedfile', 'plain', 'blockdev', 'drbd', 'rbd', 'ext', 'gluster'] as const;

export type HbalAllocation = (typeof allocations)[number];
/** `M`: the master, `Y`: offline, `N`: neither. */
export type HbalRole = (typeof roles)[number];
export type HbalStatus = (typeof statuses)[number];
export type HbalTemplate = (typeof templates)[number];

export interface HbalGroup {
  readonly name: string;
  readonly uuid: string;
  readonly allocation: HbalAllocation;
  readonly tags: readonly string[];
  /** Null where the file has no such column. */
  readonly networks: readonly string[] | null;
}

/** Columns that came with later versions of hbal are null where the file ends before them. */
export interface HbalNode {
  readonly name: string;
  readonly memoryMib: number;
  /** What the node itself uses, outside of instances. */
  readonly ownMemoryMib: number;
  readonly freeMemoryMib: number;
  readonly diskMib: number;
  readonly freeDiskMib: number;
  readonly cpus: number;
  readonly role: HbalRole;
  readonly groupUuid: string;
  readonly spindles: number | null;
  readonly tags: readonly string[] | null;
  readonly exclusiveStorage: boolean | null;
  readonly freeSpindles: number | null;
  /** CPUs that the node keeps for itself. */
  readonly ownCpus: number | null;
  readonly cpuSpeed: number | null;
}

/** As with nodes, later columns are null where the file ends before them. */
export interface HbalInstance {
  readonly name: string;
  readonly memoryMib: number;
  readonly diskMib: number;
  readonly vcpus: number;
  readonly status: HbalStatus;
  readonly autoBalance: boolean;
  readonly primary: string;
  /** Null: it has none. */
  readonly secondary: string | null;
  readonly template: HbalTemplate;
  readonly tags: readonly string[];
  readonly spindleUse: number | null;
  /** `-`: not known. */
  readonly spindles: number | '-' | null;
  readonly forthcoming: boolean | null;
}

/** Memory in MiB, CPUs, disk in MiB, disks, network interfaces, spindles. */
export type HbalSpec = readonly number[];
export const specLength = 6;

export interface HbalPolicy {
  /** Name of a group; empty for the cluster's own. */
  readonly owner: string;
  readonly standard: HbalSpec;
  /** The least and the most, by turns. */
  readonly bounds: readonly HbalSpec[];
  readonly templates: readonly HbalTemplate[];
  readonly vcpuRatio: number;
  readonly spindleRatio: number;
}

export interface HbalCluster {
  readonly groups: readonly HbalGroup[];
  readonly nodes: readonly HbalNode[];
  readonly instances: readonly HbalInstance[];
  readonly tags: readonly string[];
  /** Null where the file has no such section. */
  readonly policies: readonly HbalPolicy[] | null;
}

/** One line of `hbal -U FILE`: what an instance uses of its node, as fractions of the node. */
export interface HbalUse {
  readonly name: string;
  readonly cpu: number;
  readonly memory: number;
  readonly disk: number;
  readonly network: number;
}

/** `usesMemory` of Ganeti's `Instance.hs`: whether hbal takes this instance's memory from its node. */
export function usesMemory({ status, forthcoming }: Pick<HbalInstance, 'status' | 'forthcoming'>): boolean {
  return forthcoming !== true && !['ADMIN_down', 'ADMIN_offline', 'ERROR_down', 'USER_down'].includes(status);
}
