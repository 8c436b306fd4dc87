/**
 * Incus 7, automatic cluster rebalance. Each `intervalMinutes`: the score of a server is the mean of two whole percentages, memory in
 * use and load average of the last minute by processors. When the lowest is at least `thresholdPercent` below the highest, relative to
 * the highest, VMs of the busiest server go to the least busy one, in the order of the list, as long as the target's score with the VM's
 * *configured* processors and memory stays below the middle between both scores. At most `batch` VMs in a run, one after the other; a VM
 * rests for `coolDownMinutes`. Published: lxc/incus cmd/incusd/api_cluster_rebalance.go (7.x) and the server settings cluster.rebalance.*
 * (threshold 20, batch 1, cooldown 6H, interval 0 = off). Assumed: 15 minutes as the default interval, since there is none; the load
 * average is the CPU that VMs use and wait for.
 */
import type { Balancer, HostView, Step, View } from '#bench/traces/balancer.ts';
import type { Grid } from '#bench/traces/grid.ts';

export interface IncusSettings {
  readonly intervalMinutes: number;
  readonly thresholdPercent: number;
  readonly batch: number;
  readonly coolDownMinutes: number;
}

const defaults: IncusSettings = { intervalMinutes: 15, thresholdPercent: 20, batch: 1, coolDownMinutes: 360 };
/** Found with --search incus --seeds 5. */
const bestFound: IncusSettings = { intervalMinutes: 1, thresholdPercent: 5, batch: 1, coolDownMinutes: 60 };

interface Usage {
  readonly memoryBytes: number;
  readonly loadCores: number;
}

export class Incus implements Balancer {
  readonly name = 'incus';
  readonly periodSeconds = 60;
  readonly limits = { perHostMax: 1, perClusterMax: 1 };
  readonly #settings: IncusSettings;
  readonly #movedAtSeconds = new Map<string, number>();

  constructor(settings: IncusSettings) {
    this.#settings = settings;
  }

  plan(view: View): readonly Step[] {
    for (const { vmId, outcome, endedAtSeconds } of view.ended) if (outcome === 'moved') this.#movedAtSeconds.set(vmId, endedAtSeconds);
    if (view.underWay.length > 0 || view.atSeconds % (this.#settings.intervalMinutes * 60) !== 0) return [];
    const scored = view.hosts.map((host) => ({ host, score: scoreOf(host, usageOf(host)) })).toSorted((a, b) => b.score - a.score);
    const [busiest, idlest] = [scored[0], scored.at(-1)];
    if (busiest === undefined || idlest === undefined || busiest.score === 0) return [];
    const differencePercent = Math.trunc(((busiest.score - idlest.score) / busiest.score) * 100);
    if (differencePercent < this.#settings.thresholdPercent || idlest.score >= busiest.score) return [];
    return this.#fill(busiest.host, idlest.host, Math.trunc((busiest.score + idlest.score) / 2), view.atSeconds);
  }

  #fill(source: HostView, target: HostView, scoreMax: number, atSeconds: number): readonly Step[] {
    const steps: Step[] = [];
    let usage = usageOf(target);
    for (const vm of source.vms.toSorted((a, b) => (a.vmId < b.vmId ? -1 : 1))) {
      if (steps.length >= this.#settings.batch || scoreOf(target, usage) >= scoreMax) break;
      const restsUntilSeconds = (this.#movedAtSeconds.get(vm.vmId) ?? Number.NEGATIVE_INFINITY) + this.#settings.coolDownMinutes * 60;
      if (atSeconds < restsUntilSeconds) continue;
      const expected = { memoryBytes: usage.memoryBytes + vm.memoryBytes, loadCores: usage.loadCores + vm.vcpus };
      if (scoreOf(target, expected) >= scoreMax) continue;
      usage = expected;
      steps.push({ vmId: vm.vmId, fromHostId: source.hostId, toHostId: target.hostId });
    }
    return steps;
  }
}

function usageOf(host: HostView): Usage {
  return { memoryBytes: host.memoryUsedBytes, loadCores: host.vms.reduce((sum, vm) => sum + vm.cpuDelayCores, host.cpuUsedCores) };
}

function scoreOf(host: HostView, usage: Usage): number {
  const memory = Math.trunc((usage.memoryBytes / host.memoryBytes) * 100);
  const cpu = Math.trunc((usage.loadCores / host.cpuCores) * 100);
  return Math.trunc((memory + cpu) / 2);
}

export const incus: Grid<IncusSettings> = {
  name: 'incus',
  defaults,
  best: bestFound,
  choices: { intervalMinutes: [1, 5, 15], thresholdPercent: [5, 10, 20, 30, 40], batch: [1, 4], coolDownMinutes: [30, 60, 360] },
  create: (settings) => new Incus(settings),
};
