/** A cluster of hbal as a snapshot, and what of it is lost or had to be assumed. */
import { defaultPolicy, type Policy } from '#core/model/policy.ts';
import type { Result } from '#core/model/result.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { VmId, VmState } from '#core/model/vm.ts';
import { isAbove, loadOf, noRelief, startLimit } from '#core/planner/line.ts';
import { type HbalCluster, type HbalInstance, type HbalNode, type HbalTemplate, type HbalUse, usesMemory } from './hbal-cluster.ts';
import { isOwnTag, readTags } from './hbal-tags.ts';
import { countedLoss, hostNoun, type Loss, vmNoun } from './loss.ts';

export const mebibyte = 2 ** 20;
/** More digits of a CPU amount than any meter has; fractions of a host and back would else differ in the last one. */
const coresDigits = 9;

/** `diskTemplateMovable` of Ganeti's `Types.hs`, for what does not need to be copied with its VM. */
export const sharedTemplates: readonly HbalTemplate[] = ['diskless', 'sharedfile', 'rbd', 'ext', 'gluster'];
const hostIdPattern = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/;

export interface ImportFacts {
  readonly takenAtMs: number;
  /** hbal's files have none. */
  readonly policy?: Policy;
}

export type ImportRefusal =
  | { readonly reason: 'host-name'; readonly message: string }
  | { readonly reason: 'instance-repeated'; readonly message: string }
  | { readonly reason: 'amount-negative'; readonly message: string };

/**
 * The snapshot that a planner can work on. Memory: an instance's is its VM's, a node's is what is not free. CPU: its fraction of the
 * primary node's CPUs (`uses`), nothing where no file says it. Every sample counts as fresh, every load as lasting.
 */
export function snapshotOfHbal(
  cluster: HbalCluster,
  uses: readonly HbalUse[] | null,
  { takenAtMs, policy = defaultPolicy }: ImportFacts,
): Result<{ readonly snapshot: Snapshot; readonly lost: readonly Loss[] }, ImportRefusal> {
  const refusal = refusalOf(cluster, uses ?? []);
  if (refusal !== null) return { ok: false, ...refusal };
  const present = cluster.instances.filter(({ forthcoming }) => forthcoming !== true);
  const fractions = new Map((uses ?? []).map(({ name, cpu }) => [name, cpu]));
  const hostCores = new Map(cluster.nodes.map(({ name, cpus }) => [name, cpus]));
  const vms = present.map((instance) => vmOf(instance, (fractions.get(instance.name) ?? 0) * (hostCores.get(instance.primary) ?? 0)));
  const byHost = Map.groupBy(vms, ({ hostId }) => hostId);
  const promisedMib = new Map<string, number>();
  for (const one of present.filter(usesMemory)) promisedMib.set(one.primary, (promisedMib.get(one.primary) ?? 0) + one.memoryMib);
  const hosts = cluster.nodes.map((node) =>
    hostOf(node, byHost.get(node.name) ?? [], promisedMib.get(node.name) ?? 0, { takenAtMs, policy }),
  );
  return {
    ok: true,
    snapshot: {
      takenAtMs,
      policy,
      hosts,
      vms,
      inFlight: [],
      ledger: [],
      rules: [],
      refusals: [],
      vmFacts: [],
      bandwidths: [],
      automatic: false,
    },
    lost: [...lostOfUse(cluster, uses), ...lostOf(cluster)],
  };
}

function refusalOf({ nodes, instances }: HbalCluster, uses: readonly HbalUse[]): ImportRefusal | null {
  const nameless = nodes.find(({ name }) => !hostIdPattern.test(name));
  if (nameless !== undefined) {
    const message = `node '${nameless.name}': a host's name has up to 63 small letters, digits, dots and dashes`;
    return { reason: 'host-name', message };
  }
  const ids = new Map<VmId, string>();
  for (const instance of instances) {
    const vmId = vmIdOf(instance);
    if (ids.has(vmId)) return { reason: 'instance-repeated', message: `instance '${instance.name}' is there twice: a VM runs once` };
    ids.set(vmId, instance.name);
  }
  const below = [
    ...nodes.filter(({ memoryMib, cpus }) => memoryMib < 0 || cpus < 0).map(({ name }) => `node '${name}'`),
    ...instances.filter(({ memoryMib, vcpus }) => memoryMib < 0 || vcpus < 0).map(({ name }) => `instance '${name}'`),
    ...uses.filter(({ cpu }) => cpu < 0).map(({ name }) => `the use of '${name}'`),
  ];
  const [first] = below;
  return first === undefined ? null : { reason: 'amount-negative', message: `${first}: memory and CPU cannot be less than nothing` };
}

function vmOf(instance: HbalInstance, cpuCores: number): SnapshotVm {
  const said = readTags(instance.tags);
  return {
    vmId: vmIdOf(instance),
    name: said.name ?? instance.name,
    hostId: instance.primary,
    state: said.state ?? stateOf(instance),
    vcpus: instance.vcpus,
    cpuUsedCores: cores(rounded(cpuCores)),
    cpuDelayCores: cores(0),
    memoryBytes: bytes(instance.memoryMib * mebibyte),
    networkBytesPerSecond: null,
    diskBytesPerSecond: null,
    forecast: null,
  };
}

function hostOf(
  node: HbalNode,
  vms: readonly SnapshotVm[],
  promisedMib: number,
  { takenAtMs, policy }: { readonly takenAtMs: number; readonly policy: Policy },
): SnapshotHost {
  const usedMib = Math.max(0, node.memoryMib - node.freeMemoryMib, node.ownMemoryMib + promisedMib);
  const figures = {
    capacity: { cpuCores: cores(node.cpus), memoryBytes: bytes(node.memoryMib * mebibyte) },
    cpuUsedCores: cores(rounded(vms.reduce((sum, vm) => sum + vm.cpuUsedCores, 0))),
    memoryUsedBytes: bytes(usedMib * mebibyte),
  };
  return {
    hostId: node.name,
    status: node.role === 'Y' ? 'silent' : 'up',
    ...figures,
    networkBytesPerSecond: null,
    diskBytesPerSecond: null,
    pressure: null,
    sampledAtMs: takenAtMs,
    roundsOverLine: isAbove(loadOf(figures), startLimit(policy)) ? policy.sustainedRounds : 0,
    relieving: noRelief,
    quarantine: null,
    cordoned: false,
    unfit: null,
  };
}

function stateOf({ status }: HbalInstance): VmState {
  if (status === 'running' || status === 'ERROR_up') return 'running';
  if (status === 'ERROR_down') return 'crashed';
  return status === 'ADMIN_down' || status === 'ADMIN_offline' || status === 'USER_down' ? 'shut-off' : 'unknown';
}

export function rounded(cpuCores: number): number {
  return Number(cpuCores.toFixed(coresDigits));
}

function vmIdOf({ name, tags }: HbalInstance): VmId {
  return readTags(tags).vmId ?? idOfName(name);
}

/** An instance without a UUID gets one of its name, the same each time: version 8 of RFC 9562 section 5.8, its bits by FNV-1a. */
function idOfName(name: string): VmId {
  const hex = [1, 2, 3, 4].map((round) => fnv1a(`${round}/${name}`).toString(16).padStart(8, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/** FNV-1a over UTF-16 code units, 32 bits (Fowler, Noll, Vo). */
function fnv1a(text: string): number {
  let value = 0x811c_9dc5;
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), 0x0100_0193);
  return value >>> 0;
}

function lostOfUse({ instances }: HbalCluster, uses: readonly HbalUse[] | null): readonly Loss[] {
  if (uses === null) return [{ code: 'use-unknown', message: 'no utilisation was given: every VM and host counts as idle' }];
  const known = new Set(uses.map(({ name }) => name));
  const names = new Set(instances.map(({ name }) => name));
  const missing = instances.filter(({ name, forthcoming }) => !known.has(name) && forthcoming !== true).length;
  const strangers = [...known].filter((name) => !names.has(name)).length;
  const others = uses.filter(({ disk, network }) => disk !== 0 || network !== 0).length;
  return [
    ...countedLoss('use-unknown', missing, vmNoun, 'not in the utilisation file, so idle'),
    ...countedLoss('use-unknown', strangers, ['line', 'lines'], 'of the utilisation file, about no instance'),
    ...countedLoss('other-use', others, vmNoun, 'use of disk and network is not known here'),
  ];
}

function lostOf({ groups, nodes, instances, tags, policies }: HbalCluster): readonly Loss[] {
  const foreign = (all: readonly string[] | null) => (all ?? []).some((tag) => !isOwnTag(tag));
  const tagged = [...nodes, ...instances, ...groups].filter((one) => foreign(one.tags)).length + tags.length;
  const fixed = instances.filter(({ template }) => !sharedTemplates.includes(template)).length;
  const withDisk = [...nodes, ...instances].filter(({ diskMib }) => diskMib !== 0).length;
  return [
    { code: 'figures-assumed', message: 'the policy is the default one, every sample counts as fresh and every load as lasting' },
    ...(groups.length > 1
      ? [{ code: 'groups', message: `${groups.length} node groups: hosts of all of them are one cluster here` } as const]
      : []),
    ...countedLoss('tags', tagged, ['tagged thing', 'tagged things'], 'what tags exclude or restrict is not known here'),
    ...countedLoss('not-movable', fixed, vmNoun, 'on disks of their host, which hbal would not move live; that is not known here'),
    ...countedLoss(
      'instances-forthcoming',
      instances.filter(({ forthcoming }) => forthcoming === true).length,
      vmNoun,
      'not there yet, left out',
    ),
    ...countedLoss('cpu-speed', nodes.filter(({ cpuSpeed }) => (cpuSpeed ?? 1) !== 1).length, hostNoun, 'CPU speed is not known here'),
    ...countedLoss('disk', withDisk, ['host or VM', 'hosts and VMs'], 'disk space is not known here'),
    ...countedLoss('policy', policies?.length ?? 0, ['instance policy', 'instance policies'], 'not known here'),
  ];
}
