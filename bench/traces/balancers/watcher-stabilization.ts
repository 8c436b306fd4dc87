/**
 * OpenStack Watcher, strategy `workload_stabilization`, metric instance_cpu_usage. Each audit: when the standard deviation of the hosts' CPU shares
 * (mean of 600 s) is above `threshold`, each VM (mean of 720 s) is tried on other hosts; those that lower the deviation are sorted by what they
 * leave. From the top, each that lowers it further is taken, until it is below the threshold. Choice of hosts: `retryCount` random ones, or all
 * of them (`fullsearch`, here null). Published: openstack/watcher 16.0, watcher/decision_engine/strategy/strategies/workload_stabilization.py
 * (threshold 0.1, retry of 1). Assumed: an audit each 600 s, since the interval has no default; two migrations at a time, as the weight planner's
 * default for parallel migrations; a VM is taken once in an audit.
 */
import type { Balancer, Step, View, VmView } from '#bench/traces/balancer.ts';
import type { Grid } from '#bench/traces/grid.ts';
import type { Random } from '#core/ports.ts';
import { Streams } from '#sim/random.ts';
import { draftOf } from './draft.ts';
import type { DraftHost } from './draft.ts';
import { History } from './history.ts';

export interface StabilizationSettings {
  readonly threshold: number;
  readonly retryCount: number | null;
  readonly intervalSeconds: number;
}

const defaults: StabilizationSettings = { threshold: 0.1, retryCount: 1, intervalSeconds: 600 };
/** Found with --search "watcher stabilization" --seeds 5. */
const bestFound: StabilizationSettings = { threshold: 0.1, retryCount: 4, intervalSeconds: 300 };
const hostMinutes = 10;
const vmMinutes = 12;
const migrationsMax = 2;

interface Case {
  readonly vm: VmView;
  readonly source: DraftHost;
  readonly target: DraftHost;
  readonly deviation: number;
}

export class Stabilization implements Balancer {
  readonly name = 'watcher stabilization';
  readonly periodSeconds = 60;
  readonly limits = { perHostMax: migrationsMax, perClusterMax: migrationsMax };
  readonly #settings: StabilizationSettings;
  readonly #hostMeans = new History(hostMinutes);
  readonly #vmMeans = new History(vmMinutes);
  readonly #random: Random = new Streams(1).stream('retry');

  constructor(settings: StabilizationSettings) {
    this.#settings = settings;
  }

  plan(view: View): readonly Step[] {
    for (const host of view.hosts) {
      this.#hostMeans.add(host.hostId, host.cpuUsedCores);
      for (const vm of host.vms) this.#vmMeans.add(vm.vmId, vm.cpuUsedCores);
    }
    if (view.underWay.length > 0 || view.atSeconds % this.#settings.intervalSeconds !== 0) return [];
    const hosts = view.hosts.map((host) => ({ ...draftOf(host), cpuUsedCores: this.#hostMeans.mean(host.hostId) }));
    const before = deviationOf(hosts);
    return before > this.#settings.threshold ? this.#take(this.#cases(hosts, before), hosts) : [];
  }

  #cases(hosts: readonly DraftHost[], before: number): readonly Case[] {
    const cases: Case[] = [];
    for (const source of hosts) {
      const others = hosts.filter((host) => host !== source);
      for (const vm of source.vms) {
        let lowest = before;
        for (const target of this.#choose(others)) {
          const deviation = deviationAfter(hosts, source, target, this.#vmMeans.mean(vm.vmId));
          if (deviation >= lowest) continue;
          lowest = deviation;
          cases.push({ vm, source, target, deviation });
        }
      }
    }
    return cases.toSorted((a, b) => a.deviation - b.deviation);
  }

  #choose(hosts: readonly DraftHost[]): readonly DraftHost[] {
    const { retryCount } = this.#settings;
    if (retryCount === null) return hosts;
    const rest = [...hosts];
    return Array.from({ length: Math.min(retryCount, rest.length) }, () =>
      rest.splice(Math.floor(this.#random.fraction() * rest.length), 1),
    ).flat();
  }

  #take(cases: readonly Case[], hosts: readonly DraftHost[]): readonly Step[] {
    const steps: Step[] = [];
    const taken = new Set<VmView>();
    let lowest = 1;
    for (const { vm, source, target } of cases) {
      const usedCores = this.#vmMeans.mean(vm.vmId);
      const deviation = deviationAfter(hosts, source, target, usedCores);
      if (taken.has(vm) || deviation >= lowest) continue;
      lowest = deviation;
      taken.add(vm);
      source.cpuUsedCores -= usedCores;
      target.cpuUsedCores += usedCores;
      steps.push({ vmId: vm.vmId, fromHostId: source.hostId, toHostId: target.hostId });
      if (deviation < this.#settings.threshold) break;
    }
    return steps;
  }
}

function deviationOf(hosts: readonly DraftHost[]): number {
  return deviationFrom(hosts.map((host) => host.cpuUsedCores / host.cpuCores));
}

function deviationAfter(hosts: readonly DraftHost[], source: DraftHost, target: DraftHost, usedCores: number): number {
  const change = (host: DraftHost) => (host === source ? -usedCores : host === target ? usedCores : 0);
  return deviationFrom(hosts.map((host) => (host.cpuUsedCores + change(host)) / host.cpuCores));
}

function deviationFrom(shares: readonly number[]): number {
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  return Math.sqrt(shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length);
}

export const stabilization: Grid<StabilizationSettings> = {
  name: 'watcher stabilization',
  defaults,
  best: bestFound,
  choices: { threshold: [0.05, 0.08, 0.1, 0.12, 0.15, 0.2], retryCount: [1, 4, null], intervalSeconds: [120, 300, 600] },
  create: (settings) => new Stabilization(settings),
};
