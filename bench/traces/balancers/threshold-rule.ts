/**
 * The threshold rule of the papers: a host above a fixed share of its CPU gives VMs away until it is at or below it, each to the
 * least loaded host that has room for it and stays below the same share. Which VM goes first is the "minimum migration time" policy
 * (least memory) or the one with most CPU. Published in A. Beloglazov and R. Buyya, "Optimal online deterministic algorithms and
 * adaptive heuristics ...", Concurrency and Computation 24 (2012), sections 5 and 6: THR-MMT, threshold 0.8, every 300 s; CloudSim 3
 * has it as PowerVmAllocationPolicyMigrationStaticThreshold. Assumed: the target is the host with most free CPU, as in the papers on
 * load balancing, where theirs, on energy, take the host whose power grows least; at most two migrations of a host at a time.
 */
import type { Balancer, MigrationLimits, Step, View } from '#bench/traces/balancer.ts';
import type { Grid } from '#bench/traces/grid.ts';
import { cpuPercent, draftOf, hasMemoryFor, moveIn } from './draft.ts';
import type { DraftHost } from './draft.ts';

export interface ThresholdSettings {
  readonly thresholdPercent: number;
  readonly periodSeconds: number;
  readonly first: 'least-memory' | 'most-cpu';
}

const defaults: ThresholdSettings = { thresholdPercent: 80, periodSeconds: 300, first: 'least-memory' };
/** Found with --search "threshold rule" --seeds 5. */
const bestFound: ThresholdSettings = { thresholdPercent: 80, periodSeconds: 60, first: 'most-cpu' };

export class ThresholdRule implements Balancer {
  readonly name = 'threshold rule';
  readonly periodSeconds: number;
  readonly limits: MigrationLimits = { perHostMax: 2, perClusterMax: Infinity };
  readonly #settings: ThresholdSettings;

  constructor(settings: ThresholdSettings) {
    this.#settings = settings;
    this.periodSeconds = settings.periodSeconds;
  }

  plan(view: View): readonly Step[] {
    const hosts = view.hosts.map(draftOf);
    const moving = new Set(view.underWay.map(({ vmId }) => vmId));
    const overloaded = hosts.filter((host) => this.#isOver(host)).toSorted((a, b) => cpuPercent(b) - cpuPercent(a));
    return overloaded.flatMap((source) => this.#relieve(source, hosts, moving));
  }

  #isOver(host: DraftHost): boolean {
    return cpuPercent(host) > this.#settings.thresholdPercent;
  }

  #relieve(source: DraftHost, hosts: readonly DraftHost[], moving: ReadonlySet<string>): readonly Step[] {
    const steps: Step[] = [];
    const byMemory = this.#settings.first === 'least-memory';
    const order = source.vms.toSorted((a, b) => (byMemory ? a.memoryBytes - b.memoryBytes : b.cpuUsedCores - a.cpuUsedCores));
    for (const vm of order) {
      if (!this.#isOver(source)) break;
      if (moving.has(vm.vmId)) continue;
      const fits = (host: DraftHost) =>
        host !== source && hasMemoryFor(host, vm) && !this.#isOver({ ...host, cpuUsedCores: host.cpuUsedCores + vm.cpuUsedCores });
      const destination = hosts.filter(fits).toSorted((a, b) => cpuPercent(a) - cpuPercent(b))[0];
      if (destination === undefined) continue;
      moveIn(source, destination, vm, vm.cpuUsedCores);
      steps.push({ vmId: vm.vmId, fromHostId: source.hostId, toHostId: destination.hostId });
    }
    return steps;
  }
}

export const thresholdRule: Grid<ThresholdSettings> = {
  name: 'threshold rule',
  defaults,
  best: bestFound,
  choices: { thresholdPercent: [75, 80, 85, 90, 95], periodSeconds: [60, 120, 300], first: ['least-memory', 'most-cpu'] },
  create: (settings) => new ThresholdRule(settings),
};
