/** A saved cluster as a scenario: what the balancer would make of it from there on, if its load stayed as it is. */
import { countedLoss, hostNoun, vmNoun } from '#core/exchange/loss.ts';
import type { Mode } from '#core/model/policy.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { ownUse } from './host.ts';
import { type Scenario, scenarioOf } from './scenario.ts';

export interface SnapshotPlay {
  readonly scenario: Scenario;
  /** What a snapshot does not say, or the simulator has no place for. */
  readonly assumed: readonly string[];
}

export interface SnapshotWish {
  readonly seed: number;
  readonly runForSeconds: number;
  readonly mode: Mode;
}

const gibibyte = 2 ** 30;
const mebibyte = 2 ** 20;

/** Hosts that are up, with the VMs that run on them. Throws `input-invalid` when none is, and `config-invalid` for what no cluster can be. */
export function scenarioOfSnapshot({ hosts, vms, policy, inFlight, ledger }: Snapshot, wish: SnapshotWish): SnapshotPlay {
  const up = hosts.filter(({ status }) => status === 'up');
  const hostIds = new Set(up.map(({ hostId }) => hostId));
  const played = vms.filter(({ hostId, state }) => hostIds.has(hostId) && state === 'running');
  if (up.length === 0) throw new PlimsollError('input-invalid', 'no host of the snapshot is up: there is nothing to play');
  const names = namesOf(played);
  const vmsOf = Map.groupBy(played, ({ hostId }) => hostId);
  const crowded = up.filter((host) => memoryGiBOf(host, vmsOf.get(host.hostId) ?? []) > host.capacity.memoryBytes / gibibyte);
  const left = [
    countedLoss('host-status', hosts.length - up.length, hostNoun, 'not up, left out with all VMs there'),
    countedLoss('vms-left-out', vms.length - played.length, vmNoun, 'not running on a host that is up, left out'),
    countedLoss('host-memory', crowded.length, hostNoun, 'less memory than the VMs there, given as much as they take'),
    countedLoss('in-flight', inFlight.length, ['migration', 'migrations'], 'under way, left out: the VM is where it was'),
    countedLoss('ledger', ledger.length, ['past migration', 'past migrations'], 'left out: cool-downs begin anew'),
  ];
  const { migration: _, channel: _channel, forecast: _forecast, ...limits } = policy;
  const cluster = {
    ...wish,
    policy: limits,
    hosts: Object.fromEntries(
      up.map((host) => [host.hostId, { cpuCores: host.capacity.cpuCores, memoryGiB: memoryGiBOf(host, vmsOf.get(host.hostId) ?? []) }]),
    ),
    vms: Object.fromEntries(
      played.map((vm, index) => [
        names[index] ?? vm.vmId,
        {
          host: vm.hostId,
          vcpus: vm.vcpus,
          memoryGiB: vm.memoryBytes / gibibyte,
          demandCores: vm.cpuUsedCores,
          netMiBPerSecond: (vm.networkBytesPerSecond ?? 0) / mebibyte,
          diskMiBPerSecond: (vm.diskBytesPerSecond ?? 0) / mebibyte,
        },
      ]),
    ),
  };
  return {
    scenario: scenarioOf(cluster, []),
    assumed: [
      'every VM goes on asking for the CPU, the network and the disks that it used, and writes 4 MiB/s into 128 MiB of its memory',
      'a channel carries 50 MiB/s; how VMs are moved and forecast is as in the default policy',
      ...left.flat().map(({ message }) => message),
    ],
  };
}

/** By its own name where no other VM has it. */
function namesOf(vms: readonly SnapshotVm[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { name } of vms) counts.set(name, (counts.get(name) ?? 0) + 1);
  return vms.map(({ name, vmId }) => (counts.get(name) === 1 ? name : vmId));
}

function memoryGiBOf({ capacity }: SnapshotHost, vms: readonly SnapshotVm[]): number {
  const needed = vms.reduce((sum, { memoryBytes }) => sum + memoryBytes, ownUse.memoryBytes);
  return Math.max(capacity.memoryBytes, needed) / gibibyte;
}
