/**
 * OpenStack Watcher, strategy `workload_balance`, metric instance_cpu_usage. Each audit: the workload of a host is the sum of its VMs' mean CPU
 * over `period`. Hosts at or above `thresholdPercent` of their cores are sources. From the busiest source that has one, the VM whose workload
 * comes nearest to the host's excess over the cluster's average, without going above it, goes to the host below the threshold with the lowest
 * workload that has its virtual CPUs and memory free and stays below the threshold. One migration in an audit. Published: openstack/watcher 16.0,
 * watcher/decision_engine/strategy/strategies/workload_balance.py (threshold 25, period 300 s). Assumed: a continuous audit each period, since the
 * interval has no default; virtual CPUs may be allocated 16 times, which is generous.
 */
import type { Balancer, HostView, Step, View, VmView } from '#bench/traces/balancer.ts';
import type { Grid } from '#bench/traces/grid.ts';

export interface WorkloadBalanceSettings {
  readonly thresholdPercent: number;
  readonly periodSeconds: number;
}

const defaults: WorkloadBalanceSettings = { thresholdPercent: 25, periodSeconds: 300 };
/** Found with --search "watcher balance" --seeds 5. */
const bestFound: WorkloadBalanceSettings = { thresholdPercent: 80, periodSeconds: 60 };
const allocationRatio = 16;

interface Node {
  readonly host: HostView;
  readonly workloadCores: number;
}

export class WorkloadBalance implements Balancer {
  readonly name = 'watcher balance';
  readonly periodSeconds: number;
  readonly limits = { perHostMax: 1, perClusterMax: 1 };
  readonly #thresholdPercent: number;

  constructor({ thresholdPercent, periodSeconds }: WorkloadBalanceSettings) {
    this.#thresholdPercent = thresholdPercent;
    this.periodSeconds = periodSeconds;
  }

  plan({ hosts, underWay }: View): readonly Step[] {
    if (underWay.length > 0) return [];
    const nodes = hosts.map((host) => ({ host, workloadCores: host.vms.reduce((sum, vm) => sum + vm.cpuUsedCores, 0) }));
    const averageCores = nodes.reduce((sum, { workloadCores }) => sum + workloadCores, 0) / nodes.length;
    const isOver = ({ host, workloadCores }: Node) => (workloadCores / host.cpuCores) * 100 >= this.#thresholdPercent;
    const sources = nodes.filter(isOver).toSorted((a, b) => b.workloadCores / b.host.cpuCores - a.workloadCores / a.host.cpuCores);
    for (const source of sources) {
      const vm = nearestBelow(source.host.vms, source.workloadCores - averageCores);
      if (vm === null) continue;
      const fits = (node: Node) => hasRoom(node.host, vm) && !isOver({ ...node, workloadCores: node.workloadCores + vm.cpuUsedCores });
      const target = nodes.filter(fits).toSorted((a, b) => a.workloadCores / a.host.cpuCores - b.workloadCores / b.host.cpuCores)[0];
      // Only the first source that has such a VM is looked at, whether there is a target or not.
      return target === undefined ? [] : [{ vmId: vm.vmId, fromHostId: source.host.hostId, toHostId: target.host.hostId }];
    }
    return [];
  }
}

function nearestBelow(vms: readonly VmView[], excessCores: number): VmView | null {
  let nearest: VmView | null = null;
  for (const vm of vms) {
    if (vm.cpuUsedCores <= excessCores && (nearest === null || vm.cpuUsedCores > nearest.cpuUsedCores)) nearest = vm;
  }
  return nearest;
}

function hasRoom(host: HostView, vm: VmView): boolean {
  const vcpus = host.vms.reduce((sum, other) => sum + other.vcpus, 0);
  return vcpus + vm.vcpus <= host.cpuCores * allocationRatio && host.memoryUsedBytes + vm.memoryBytes <= host.memoryBytes;
}

export const workloadBalance: Grid<WorkloadBalanceSettings> = {
  name: 'watcher balance',
  defaults,
  best: bestFound,
  choices: { thresholdPercent: [25, 60, 70, 75, 80, 85, 90, 95], periodSeconds: [60, 120, 300] },
  create: (settings) => new WorkloadBalance(settings),
};
