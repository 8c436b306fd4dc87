/** A snapshot as a cluster of hbal, and what of it hbal's format has no place for. */
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import type { VmState } from '#core/model/vm.ts';
import {
  type HbalCluster,
  type HbalInstance,
  type HbalNode,
  type HbalPolicy,
  type HbalStatus,
  type HbalUse,
  templates,
  usesMemory,
} from './hbal-cluster.ts';
import { mebibyte, rounded, snapshotOfHbal } from './hbal-import.ts';
import { tagsOf } from './hbal-tags.ts';
import { countedLoss, hostNoun, type Loss, type LossCode, vmNoun } from './loss.ts';

export interface HbalExport {
  readonly cluster: HbalCluster;
  /** Of every VM; hbal takes a full share of everything for one that is not named. */
  readonly uses: readonly HbalUse[];
  readonly lost: readonly Loss[];
}

const group = { name: 'plimsoll', uuid: 'plimsoll' } as const;
/**
 * Limits that nothing of a cluster reaches: what may be where is Plimsoll's own policy, which hbal does not know. Gluster is left out:
 * it came late to hbal, which refuses words that it does not know.
 */
const unlimited: Omit<HbalPolicy, 'owner'> = {
  standard: [128, 1, 1024, 1, 1, 1],
  bounds: [
    [1, 1, 0, 0, 0, 1],
    [1_048_576, 512, 16_777_216, 16, 8, 12],
  ],
  templates: templates.filter((template) => template !== 'gluster'),
  vcpuRatio: 1000,
  spindleRatio: 1000,
};

/** A paused VM holds its memory; that it is paused goes with it as a tag. */
const statusOf: Readonly<Record<VmState, HbalStatus>> = {
  running: 'running',
  paused: 'running',
  incoming: 'running',
  unknown: 'running',
  crashed: 'ERROR_down',
  'shut-off': 'ADMIN_down',
};
const plainStates: readonly VmState[] = ['running', 'crashed', 'shut-off'];

/**
 * The whole snapshot as text for hbal can hold it: one node group, VMs on shared storage without a size, and no limit
 * but memory. Memory that is in use beyond that of the VMs is the node's own. What `lost` does not name of hosts and VMs comes back from
 * `snapshotOfHbal` as it was, CPU to a billionth of a core.
 */
export function hbalOfSnapshot(snapshot: Snapshot): HbalExport {
  const hosts = new Map(snapshot.hosts.map((host) => [host.hostId, host]));
  const seen = new Set<string>();
  const vms = snapshot.vms.filter(({ vmId, hostId }) => {
    const taken = hosts.has(hostId) && !seen.has(vmId);
    if (taken) seen.add(vmId);
    return taken;
  });
  const names = namesOf(vms);
  const instances = vms.map((vm) => instanceOf(vm, names.get(vm.vmId) ?? vm.vmId));
  const uses = vms.map((vm) => useOf(vm, names.get(vm.vmId) ?? vm.vmId, hosts.get(vm.hostId)));
  const ofHost = Map.groupBy(instances, ({ primary }) => primary);
  const cluster: HbalCluster = {
    groups: [{ ...group, allocation: 'preferred', tags: [], networks: [] }],
    nodes: snapshot.hosts.map((host, index) => nodeOf(host, ofHost.get(host.hostId) ?? [], index === 0)),
    instances,
    tags: [],
    policies: [
      { owner: '', ...unlimited },
      { owner: group.name, ...unlimited },
    ],
  };
  const leftOut = countedLoss(
    'vms-left-out',
    snapshot.vms.length - vms.length,
    vmNoun,
    'on a host that is not in the snapshot, or there twice',
  );
  return { cluster, uses, lost: [...leftOut, ...lostWithin({ ...snapshot, vms }, cluster, uses), ...lostAround(snapshot)] };
}

/** A VM's own name where hbal can have it, which parts columns by bars and words by blanks; else its UUID. */
function namesOf(vms: readonly SnapshotVm[]): ReadonlyMap<string, string> {
  const count = new Map<string, number>();
  for (const { name } of vms) count.set(name, (count.get(name) ?? 0) + 1);
  const ids = new Set<string>(vms.map(({ vmId }) => vmId));
  const isPlain = (name: string) => /^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(name) && count.get(name) === 1 && !ids.has(name);
  return new Map(vms.map(({ vmId, name }) => [vmId, isPlain(name) ? name : vmId]));
}

function instanceOf(vm: SnapshotVm, name: string): HbalInstance {
  return {
    name,
    memoryMib: Math.ceil(vm.memoryBytes / mebibyte),
    diskMib: 0,
    vcpus: vm.vcpus,
    status: statusOf[vm.state],
    autoBalance: true,
    primary: vm.hostId,
    secondary: null,
    template: 'ext',
    tags: tagsOf({
      vmId: vm.vmId,
      name: name === vm.name ? null : vm.name,
      state: plainStates.includes(vm.state) ? null : vm.state,
    }),
    spindleUse: 1,
    spindles: '-',
    forthcoming: false,
  };
}

function useOf(vm: SnapshotVm, name: string, host: SnapshotHost | undefined): HbalUse {
  const share = (amount: number, capacity: number | undefined) => (capacity === undefined || capacity <= 0 ? 0 : amount / capacity);
  return {
    name,
    cpu: share(vm.cpuUsedCores, host?.capacity.cpuCores),
    memory: share(vm.memoryBytes, host?.capacity.memoryBytes),
    disk: 0,
    network: 0,
  };
}

/** hbal takes the free memory to be the node's memory less its own and that of its instances. */
function nodeOf(host: SnapshotHost, instances: readonly HbalInstance[], isMaster: boolean): HbalNode {
  const memoryMib = host.capacity.memoryBytes / mebibyte;
  const promisedMib = instances.filter(usesMemory).reduce((sum, one) => sum + one.memoryMib, 0);
  const ownMemoryMib = Math.max(0, Math.ceil(host.memoryUsedBytes / mebibyte) - promisedMib);
  const online = isMaster ? 'M' : 'N';
  return {
    name: host.hostId,
    memoryMib,
    ownMemoryMib,
    freeMemoryMib: Math.floor(memoryMib) - ownMemoryMib - promisedMib,
    diskMib: 0,
    freeDiskMib: 0,
    cpus: host.capacity.cpuCores,
    role: host.status === 'up' ? online : 'Y',
    groupUuid: group.uuid,
    spindles: 1,
    tags: [],
    exclusiveStorage: false,
    freeSpindles: 0,
    ownCpus: 0,
    cpuSpeed: 1,
  };
}

/** What of hosts and VMs does not come back: found by reading back what was made. */
function lostWithin(snapshot: Snapshot, cluster: HbalCluster, uses: readonly HbalUse[]): readonly Loss[] {
  const back = snapshotOfHbal(cluster, uses, snapshot);
  if (!back.ok) throw new RangeError(`a snapshot with what no snapshot has: ${back.message}`);
  const hosts = pairs(snapshot.hosts, back.snapshot.hosts, ({ hostId }) => hostId);
  const vms = pairs(snapshot.vms, back.snapshot.vms, ({ vmId }) => vmId);
  const lost = <Item>(
    code: LossCode,
    noun: readonly [string, string],
    all: readonly Pair<Item>[],
    value: (item: Item) => unknown,
    message: string,
  ) => countedLoss(code, all.filter(([one, other]) => value(one) !== value(other)).length, noun, message);
  return [
    ...lost('host-cpu', hostNoun, hosts, (host) => rounded(host.cpuUsedCores), 'CPU that no VM accounts for is left out'),
    ...lost('host-memory', hostNoun, hosts, (host) => host.memoryUsedBytes, 'VMs count with all of their memory, and amounts as whole MiB'),
    ...lost('host-status', hostNoun, hosts, (host) => host.status, 'every host that is not up counts as offline'),
    ...lost('vm-cpu', vmNoun, vms, (vm) => rounded(vm.cpuUsedCores), 'CPU in use is left out'),
    ...lost('vm-memory', vmNoun, vms, (vm) => vm.memoryBytes, 'memory is rounded up to whole MiB'),
    ...lost(
      'vm-state',
      vmNoun,
      vms,
      ({ name, state, hostId, vcpus }) => [name, state, hostId, vcpus].join('/'),
      'its name or state does not fit',
    ),
  ];
}

type Pair<Item> = readonly [one: Item, other: Item];

function pairs<Item>(ones: readonly Item[], others: readonly Item[], key: (item: Item) => string): readonly Pair<Item>[] {
  const known = new Map(others.map((other) => [key(other), other]));
  return ones.flatMap((one) => {
    const other = known.get(key(one));
    return other === undefined ? [] : [[one, other] as const];
  });
}

function lostAround({ hosts, vms, inFlight, ledger, rules, refusals }: Snapshot): readonly Loss[] {
  const pressed = hosts.filter(({ pressure }) => pressure !== null).length;
  const busy = hosts.filter((host) => host.networkBytesPerSecond !== null || host.diskBytesPerSecond !== null).length;
  const doubted = hosts.filter(({ quarantine }) => quarantine !== null).length;
  const forecast = vms.filter((vm) => vm.forecast !== null).length;
  return [
    { code: 'policy', message: 'the policy: lines, limits, cool-downs; hbal weighs by its own score' },
    { code: 'history', message: 'when the snapshot and its samples were taken, and for how long hosts have been over their lines' },
    ...countedLoss('history', pressed, hostNoun, 'pressure is left out'),
    ...countedLoss('history', busy, hostNoun, 'what goes through its cards and disks, and those of its VMs, is left out'),
    ...countedLoss('history', doubted, hostNoun, 'that it is not believed is left out'),
    ...countedLoss('history', forecast, vmNoun, 'the forecast is left out'),
    ...countedLoss('in-flight', inFlight.length, ['migration', 'migrations'], 'under way, left out: the VM is where it was'),
    ...countedLoss('ledger', ledger.length, ['past migration', 'past migrations'], 'left out, and with it the cool-downs'),
    ...countedLoss('rules', rules.length, ['rule', 'rules'], 'left out: hbal knows exclusion tags only'),
    ...countedLoss('rules', hosts.filter(({ cordoned }) => cordoned).length, hostNoun, 'cordoned, and open to hbal'),
    ...countedLoss('rules', refusals.length, ['refused pair', 'refused pairs'], 'of VM and host, left out'),
  ];
}
