/**
 * Proxmox VE 9.2, automatic rebalancing by the cluster resource scheduler in mode `dynamic`. Each round of the HA manager, of about
 * 10 s, with no migration queued or running: imbalance = coefficient of variation of the hosts' loads (mean of CPU share and memory
 * share) divided by its upper bound, the root of hosts - 1. When it has been above `threshold` for `holdRounds` rounds in a row, the
 * counter starts anew and the one migration, of all VMs to all hosts, that leaves the lowest imbalance is made if it lowers it by at
 * least the share `margin`. Published: pve-ha-manager 5.2.0, src/PVE/HA/Manager.pm (load_balance), and proxmox-resource-scheduling 2.1.0,
 * src/scheduler.rs and src/node.rs. The defaults are those of the settings ha-auto-rebalance-*, which have to be switched on.
 * Method `bruteforce`, the default; `topsis` is left out. Assumed: every VM is an HA resource; statistics are 10 s old at most.
 */
import type { Balancer, HostView, Step, View, VmView } from '#bench/traces/balancer.ts';
import type { Grid } from '#bench/traces/grid.ts';

export interface ProxmoxSettings {
  readonly threshold: number;
  readonly holdRounds: number;
  readonly margin: number;
}

const defaults: ProxmoxSettings = { threshold: 0.3, holdRounds: 3, margin: 0.1 };
/** Found with --search proxmox --seeds 5. */
const bestFound: ProxmoxSettings = { threshold: 0.01, holdRounds: 6, margin: 0.2 };

interface Candidate {
  readonly step: Step;
  readonly imbalance: number;
}

export class Proxmox implements Balancer {
  readonly name = 'proxmox';
  readonly periodSeconds = 10;
  readonly limits = { perHostMax: 1, perClusterMax: 1 };
  readonly #settings: ProxmoxSettings;
  #rounds = 0;

  constructor(settings: ProxmoxSettings) {
    this.#settings = settings;
  }

  plan({ hosts, underWay }: View): readonly Step[] {
    if (underWay.length > 0) return [];
    const { threshold, holdRounds, margin } = this.#settings;
    const imbalance = imbalanceOf(hosts.map((host) => loadOf(host)));
    this.#rounds = imbalance > threshold ? this.#rounds + 1 : 0;
    if (this.#rounds === 0 || this.#rounds < holdRounds) return [];
    this.#rounds = 0;
    const best = bestCandidate(hosts);
    return best !== null && (imbalance - best.imbalance) / imbalance >= margin ? [best.step] : [];
  }
}

function loadOf(host: HostView, vm?: VmView, sign = 1): number {
  const usedCores = Math.max(0, host.cpuUsedCores + (vm === undefined ? 0 : sign * vm.cpuUsedCores));
  const usedBytes = Math.max(0, host.memoryUsedBytes + (vm === undefined ? 0 : sign * vm.memoryBytes));
  return (usedCores / host.cpuCores + usedBytes / host.memoryBytes) / 2;
}

export function imbalanceOf(loads: readonly number[]): number {
  const sum = loads.reduce((total, load) => total + load, 0);
  return imbalanceFrom(
    loads.length,
    sum,
    loads.reduce((total, load) => total + load ** 2, 0),
  );
}

/** From sum and sum of squares, so that a candidate costs the same whatever the number of hosts. */
function imbalanceFrom(count: number, sum: number, squares: number): number {
  if (count < 2 || sum === 0) return 0;
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(0, squares / count - mean ** 2));
  return deviation / mean / Math.sqrt(count - 1);
}

function bestCandidate(hosts: readonly HostView[]): Candidate | null {
  const loads = hosts.map((host) => loadOf(host));
  const sum = loads.reduce((total, load) => total + load, 0);
  const squares = loads.reduce((total, load) => total + load ** 2, 0);
  let best: Candidate | null = null;
  hosts.forEach((source, from) => {
    for (const vm of source.vms) {
      const left = loadOf(source, vm, -1);
      hosts.forEach((target, to) => {
        if (target === source) return;
        const taken = loadOf(target, vm);
        const [before, beforeTo] = [loads[from] ?? 0, loads[to] ?? 0];
        const imbalance = imbalanceFrom(
          hosts.length,
          sum - before - beforeTo + left + taken,
          squares - before ** 2 - beforeTo ** 2 + left ** 2 + taken ** 2,
        );
        if (best === null || imbalance < best.imbalance)
          best = { step: { vmId: vm.vmId, fromHostId: source.hostId, toHostId: target.hostId }, imbalance };
      });
    }
  });
  return best;
}

export const proxmox: Grid<ProxmoxSettings> = {
  name: 'proxmox',
  defaults,
  best: bestFound,
  choices: { threshold: [0.01, 0.02, 0.03, 0.04, 0.05, 0.3], holdRounds: [1, 3, 6, 12], margin: [0.02, 0.1, 0.2] },
  create: (settings) => new Proxmox(settings),
};
