/**
 * Apache CloudStack, cluster DRS. Each interval: imbalance = standard deviation of what is *allocated* on the hosts, as a share, divided by its mean.
 * While it is above 1 - `imbalance` (algorithm `balanced`; `condensed` packs while it is below `imbalance`), the one migration, of all VMs to all hosts
 * with the allocation free, that improves it most is planned, at most 50 in a plan; a VM that would come back to where the plan found it ends the plan.
 * Measured load plays no part. Published: apache/cloudstack, ClusterDrsAlgorithm.java, ClusterDrsServiceImpl.java (getDrsPlan, getBestMigration; cost 0,
 * benefit 1), plugins/drs/cluster/{balanced,condensed}, 2026; settings drs.* (balanced, memory, imbalance 0.4, 60 minutes, type used, ratio). Metric
 * `both` is the worse of the two. Assumed: virtual CPUs may be allocated 16 times (the factor's default, 1, would not let this cluster exist), and the jobs
 * of a plan run five at a time.
 */
import type { Balancer, Step, View, VmView } from '#bench/traces/balancer.ts';
import type { Grid } from '#bench/traces/grid.ts';

export interface CloudStackSettings {
  readonly algorithm: 'balanced' | 'condensed';
  readonly metric: 'memory' | 'cpu' | 'both';
  readonly imbalance: number;
  readonly intervalMinutes: number;
}

const defaults: CloudStackSettings = { algorithm: 'balanced', metric: 'memory', imbalance: 0.4, intervalMinutes: 60 };
/** Found with --search cloudstack --seeds 5. */
const bestFound: CloudStackSettings = { algorithm: 'balanced', metric: 'memory', imbalance: 0.98, intervalMinutes: 5 };
const migrationsMax = 50;
const allocationRatio = 16;

interface Allocation {
  readonly hostId: string;
  readonly vms: VmView[];
  readonly vcpusMax: number;
  readonly memoryBytesMax: number;
  vcpus: number;
  memoryBytes: number;
}

interface Candidate {
  readonly vm: VmView;
  readonly source: Allocation;
  readonly target: Allocation;
  readonly improvement: number;
}

export class CloudStack implements Balancer {
  readonly name = 'cloudstack';
  readonly periodSeconds: number;
  readonly limits = { perHostMax: Infinity, perClusterMax: 5 };
  readonly #settings: CloudStackSettings;

  constructor(settings: CloudStackSettings) {
    this.#settings = settings;
    this.periodSeconds = settings.intervalMinutes * 60;
  }

  plan(view: View): readonly Step[] {
    if (view.underWay.length > 0) return [];
    const hosts = view.hosts.map((host) => ({
      hostId: host.hostId,
      vms: [...host.vms],
      vcpusMax: host.cpuCores * allocationRatio,
      memoryBytesMax: host.memoryBytes,
      vcpus: host.vms.reduce((sum, vm) => sum + vm.vcpus, 0),
      memoryBytes: host.vms.reduce((sum, vm) => sum + vm.memoryBytes, 0),
    }));
    const homes = new Map(view.hosts.flatMap((host) => host.vms.map((vm) => [vm.vmId, host.hostId])));
    const steps: Step[] = [];
    while (steps.length < migrationsMax && this.#isNeeded(hosts)) {
      const best = this.#best(hosts);
      if (best === null || homes.get(best.vm.vmId) === best.target.hostId) break;
      steps.push({ vmId: best.vm.vmId, fromHostId: best.source.hostId, toHostId: best.target.hostId });
      allocate(best.source, best.vm, -1);
      allocate(best.target, best.vm, 1);
    }
    return steps;
  }

  #isNeeded(hosts: readonly Allocation[]): boolean {
    const { algorithm, imbalance } = this.#settings;
    return algorithm === 'balanced' ? this.#imbalance(hosts) > 1 - imbalance : this.#imbalance(hosts) < imbalance;
  }

  #best(hosts: readonly Allocation[]): Candidate | null {
    const sign = this.#settings.algorithm === 'balanced' ? 1 : -1;
    const before = this.#imbalance(hosts);
    let best: Candidate | null = null;
    for (const source of hosts) {
      for (const vm of source.vms) {
        for (const target of hosts) {
          if (target === source || target.vcpus + vm.vcpus > target.vcpusMax) continue;
          if (target.memoryBytes + vm.memoryBytes > target.memoryBytesMax) continue;
          const improvement = sign * (before - this.#imbalance(hosts, { vm, source, target }));
          if (improvement > (best?.improvement ?? 0)) best = { vm, source, target, improvement };
        }
      }
    }
    return best;
  }

  #imbalance(hosts: readonly Allocation[], move?: Pick<Candidate, 'vm' | 'source' | 'target'>): number {
    const sign = (host: Allocation) => (host === move?.source ? -1 : host === move?.target ? 1 : 0);
    const ofCpu = () => variation(hosts, (host) => (host.vcpus + sign(host) * (move?.vm.vcpus ?? 0)) / host.vcpusMax);
    const ofMemory = () => variation(hosts, (host) => (host.memoryBytes + sign(host) * (move?.vm.memoryBytes ?? 0)) / host.memoryBytesMax);
    if (this.#settings.metric === 'both') return Math.max(ofCpu(), ofMemory());
    return this.#settings.metric === 'cpu' ? ofCpu() : ofMemory();
  }
}

function allocate(host: Allocation, vm: VmView, sign: 1 | -1): void {
  if (sign === 1) host.vms.push(vm);
  else host.vms.splice(host.vms.indexOf(vm), 1);
  host.vcpus += sign * vm.vcpus;
  host.memoryBytes += sign * vm.memoryBytes;
}

/** Standard deviation divided by mean. */
function variation(hosts: readonly Allocation[], share: (host: Allocation) => number): number {
  let [sum, squares] = [0, 0];
  for (const host of hosts) {
    const value = share(host);
    sum += value;
    squares += value ** 2;
  }
  const mean = sum / hosts.length;
  return mean > 0 ? Math.sqrt(Math.max(0, squares / hosts.length - mean ** 2)) / mean : 0;
}

export const cloudStack: Grid<CloudStackSettings> = {
  name: 'cloudstack',
  defaults,
  best: bestFound,
  choices: {
    algorithm: ['balanced'],
    metric: ['memory', 'cpu', 'both'],
    imbalance: [0.4, 0.7, 0.9, 0.95, 0.98],
    intervalMinutes: [5, 60],
  },
  create: (settings) => new CloudStack(settings),
};
