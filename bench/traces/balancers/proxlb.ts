/**
 * ProxLB 2.2.0, greedy balancing. Each interval: while the highest and the lowest host differ by more than `balanciness` percent points of
 * the one `method`, or the highest is at or above the optional threshold of that method, VMs are taken in the order of their memory, each
 * only if it is on the highest host and its memory is free on the lowest one, which is where it goes. One migration after the other, or
 * `parallelJobs` at a time. Published: credativ/ProxLB (gyptazy/ProxLB before) 2.2.0, proxlb/models/calculations.py (get_balanciness,
 * relocate_guests) and the defaults of proxlb/utils/config_parser.py: memory, 10, no threshold, 12 hours, smaller VMs first, one job.
 * A VM's CPU is the mean of its last hour, a host's CPU is the newest. The optional CP-SAT solver is left out. Assumed: the mean has a point each minute.
 */
import type { Balancer, MigrationLimits, Step, View, VmView } from '#bench/traces/balancer.ts';
import type { Grid } from '#bench/traces/grid.ts';
import { cpuPercent, draftOf, memoryPercent, moveIn } from './draft.ts';
import type { DraftHost } from './draft.ts';
import { History } from './history.ts';

export interface ProxLbSettings {
  readonly method: 'memory' | 'cpu';
  readonly balanciness: number;
  readonly thresholdPercent: number | null;
  readonly intervalMinutes: number;
  readonly largerFirst: boolean;
  readonly parallelJobs: number;
}

const defaults: ProxLbSettings = {
  method: 'memory',
  balanciness: 10,
  thresholdPercent: null,
  intervalMinutes: 720,
  largerFirst: false,
  parallelJobs: 1,
};
/** Found with --search proxlb --seeds 5. */
const bestFound: ProxLbSettings = { ...defaults, method: 'cpu', balanciness: 40, intervalMinutes: 1 };

export class ProxLb implements Balancer {
  readonly name = 'proxlb';
  readonly periodSeconds = 60;
  readonly limits: MigrationLimits;
  readonly #settings: ProxLbSettings;
  readonly #lastHour = new History(60);
  #nextAtSeconds = 0;

  constructor(settings: ProxLbSettings) {
    this.#settings = settings;
    this.limits = { perHostMax: Infinity, perClusterMax: settings.parallelJobs };
  }

  plan(view: View): readonly Step[] {
    for (const vm of view.hosts.flatMap(({ vms }) => vms)) this.#lastHour.add(vm.vmId, vm.cpuUsedCores);
    if (view.underWay.length > 0 || view.atSeconds < this.#nextAtSeconds) return [];
    this.#nextAtSeconds = view.atSeconds + this.#settings.intervalMinutes * 60;
    return this.#relocate(view.hosts.map(draftOf));
  }

  #relocate(hosts: readonly DraftHost[]): readonly Step[] {
    const steps: Step[] = [];
    const sign = this.#settings.largerFirst ? -1 : 1;
    const vms = hosts.flatMap((host) => host.vms.map((vm) => ({ host, vm })));
    for (const { host, vm } of vms.toSorted((a, b) => sign * (a.vm.memoryBytes - b.vm.memoryBytes))) {
      const [highest, lowest] = this.#extremes(hosts);
      if (!this.#isNeeded(highest, lowest)) break;
      if (highest !== host || lowest === host || !(vm.memoryBytes < lowest.memoryBytes - lowest.memoryUsedBytes)) continue;
      this.#move(host, lowest, vm);
      steps.push({ vmId: vm.vmId, fromHostId: host.hostId, toHostId: lowest.hostId });
    }
    return steps;
  }

  #move(source: DraftHost, destination: DraftHost, vm: VmView): void {
    moveIn(source, destination, vm, this.#lastHour.mean(vm.vmId));
  }

  #isNeeded(highest: DraftHost, lowest: DraftHost): boolean {
    const { thresholdPercent, balanciness } = this.#settings;
    const isAboveThreshold = thresholdPercent !== null && this.#percent(highest) >= thresholdPercent;
    return isAboveThreshold || this.#percent(highest) - this.#percent(lowest) > balanciness;
  }

  #extremes(hosts: readonly DraftHost[]): readonly [DraftHost, DraftHost] {
    const percent = (host: DraftHost) => this.#percent(host);
    return [hosts.reduce((a, b) => (percent(b) > percent(a) ? b : a)), hosts.reduce((a, b) => (percent(b) < percent(a) ? b : a))];
  }

  #percent(host: DraftHost): number {
    return this.#settings.method === 'cpu' ? cpuPercent(host) : memoryPercent(host);
  }
}

export const proxLb: Grid<ProxLbSettings> = {
  name: 'proxlb',
  defaults,
  best: bestFound,
  choices: {
    method: ['cpu'],
    balanciness: [10, 20, 30, 40, 50],
    thresholdPercent: [null, 75],
    intervalMinutes: [1, 5, 30],
    largerFirst: [false, true],
    parallelJobs: [1, 5],
  },
  create: (settings) => new ProxLb(settings),
};
