/**
 * Xen Orchestra's load balancer, performance plan. Each minute: averages = 75 % of the last minute and 25 % of the last 30 minutes. A host
 * is relieved when both the last minute and that average are at or above 0.85 of the critical CPU, or free memory is at or below 1.2 of
 * the critical free memory. Worst host first; its VMs by CPU, those within a factor of four of each other by memory; each goes to the
 * one host that is best (no limit reached, then least CPU) if that host stays below 0.65 of the critical CPU and above 1.2 of the
 * critical free memory, until the source is at or below 0.65 (and 1.5). Once a source is below its limit, only steps that do not turn the order
 * round. Submode `preventive`: with no host to relieve, the same for hosts at 1.5 of the pool's average, down to 1.25. Published:
 * vatesfr/xen-orchestra packages/xo-server-load-balancer 0.13.1, src/plan.js, src/performance-plan.js, src/index.js (critical 90 % and
 * 1,000 MiB, cool-down 30 minutes, two migrations at a time). Assumed: a run that is not finished holds back the next one. Left out:
 * affinity and prepositioning of vCPUs, and that an average skips readings of exactly 0.
 */
import type { Balancer, MigrationLimits, Step, View, VmView } from '#bench/traces/balancer.ts';
import type { Grid } from '#bench/traces/grid.ts';
import { cpuPercent, draftOf, moveIn } from './draft.ts';
import type { DraftHost } from './draft.ts';
import { History } from './history.ts';

export interface XenOrchestraSettings {
  readonly criticalPercent: number;
  readonly mode: 'conservative' | 'preventive';
  readonly coolDownMinutes: number;
  readonly concurrentMax: number;
}

const defaults: XenOrchestraSettings = { criticalPercent: 90, mode: 'conservative', coolDownMinutes: 30, concurrentMax: 2 };
/** Found with --search "xen orchestra" --seeds 5. */
const bestFound: XenOrchestraSettings = { criticalPercent: 100, mode: 'preventive', coolDownMinutes: 30, concurrentMax: 4 };

const newestShare = 0.75;
const historyMinutes = 30;
const highFactor = 0.85;
const lowFactor = 0.65;
const criticalFreeBytes = 1000 * 2 ** 20;
const highFreeBytes = criticalFreeBytes * 1.2;
const lowFreeBytes = criticalFreeBytes * 1.5;
const preventiveHigh = 1.5;
const preventiveLow = 1.25;
const preventivePercentMin = 25;

/** Of CPU, in percent. */
interface Line {
  readonly highPercent: number;
  readonly lowPercent: number;
}

export class XenOrchestra implements Balancer {
  readonly name = 'xen orchestra';
  readonly periodSeconds = 60;
  readonly limits: MigrationLimits;
  readonly #settings: XenOrchestraSettings;
  readonly #history = new History(historyMinutes);
  readonly #movedAtSeconds = new Map<string, number>();

  constructor(settings: XenOrchestraSettings) {
    this.#settings = settings;
    this.limits = { perHostMax: Infinity, perClusterMax: settings.concurrentMax };
  }

  plan(view: View): readonly Step[] {
    for (const { vmId, outcome, endedAtSeconds } of view.ended) if (outcome === 'moved') this.#movedAtSeconds.set(vmId, endedAtSeconds);
    for (const host of view.hosts) {
      this.#history.add(host.hostId, host.cpuUsedCores);
      for (const vm of host.vms) this.#history.add(vm.vmId, vm.cpuUsedCores);
    }
    if (view.underWay.length > 0) return [];
    const now = view.hosts.map(draftOf);
    const hosts = now.map((host) => ({ ...host, cpuUsedCores: this.#average(host.hostId, host.cpuUsedCores) }));
    const line = this.#line();
    const isOver = (host: DraftHost) => cpuPercent(host) >= line.highPercent || freeBytes(host) <= highFreeBytes;
    const over = hosts.filter((host, index) => isOver(host) && now[index] !== undefined && isOver(now[index]));
    if (over.length > 0) return this.#relieveAll(over, hosts, line, view.atSeconds);
    return this.#settings.mode === 'preventive' ? this.#prevent(now, hosts, view.atSeconds) : [];
  }

  #line(): Line {
    const { criticalPercent } = this.#settings;
    return { highPercent: criticalPercent * highFactor, lowPercent: criticalPercent * lowFactor };
  }

  #average(id: string, newest: number): number {
    return newestShare * newest + (1 - newestShare) * this.#history.mean(id);
  }

  #prevent(now: readonly DraftHost[], hosts: readonly DraftHost[], atSeconds: number): readonly Step[] {
    const isFar = (host: DraftHost, percent: number) =>
      cpuPercent(host) / percent >= preventiveHigh && cpuPercent(host) >= preventivePercentMin;
    const [percentNow, percent] = [poolPercent(now), poolPercent(hosts)];
    const far = hosts.filter((host, index) => isFar(host, percent) && now[index] !== undefined && isFar(now[index], percentNow));
    return this.#relieveAll(far, hosts, { highPercent: percent * preventiveHigh, lowPercent: percent * preventiveLow }, atSeconds);
  }

  #relieveAll(over: readonly DraftHost[], hosts: readonly DraftHost[], line: Line, atSeconds: number): readonly Step[] {
    return over.toSorted((a, b) => -byWorth(a, b, line)).flatMap((source) => this.#relieve(source, hosts, line, atSeconds));
  }

  #relieve(source: DraftHost, hosts: readonly DraftHost[], line: Line, atSeconds: number): readonly Step[] {
    const steps: Step[] = [];
    const used = (vm: VmView) => this.#average(vm.vmId, vm.cpuUsedCores);
    const percent = (vm: VmView) => (used(vm) / source.cpuCores) * 100;
    const order = source.vms.toSorted((a, b) =>
      isNear(percent(a), percent(b), 3) ? b.memoryBytes - a.memoryBytes : percent(b) - percent(a),
    );
    for (const vm of order) {
      if (cpuPercent(source) <= line.lowPercent && freeBytes(source) >= lowFreeBytes) break;
      const restsUntilSeconds = (this.#movedAtSeconds.get(vm.vmId) ?? Number.NEGATIVE_INFINITY) + this.#settings.coolDownMinutes * 60;
      const target = hosts.filter((host) => host !== source).toSorted((a, b) => byWorth(a, b, line))[0];
      if (atSeconds < restsUntilSeconds || target === undefined || !isWorthIt(source, target, vm, used(vm), line)) continue;
      moveIn(source, target, vm, used(vm));
      steps.push({ vmId: vm.vmId, fromHostId: source.hostId, toHostId: target.hostId });
    }
    return steps;
  }
}

function isWorthIt(source: DraftHost, target: DraftHost, vm: VmView, usedCores: number, line: Line): boolean {
  const before = cpuPercent(source);
  const afterwards = cpuPercent({ ...target, cpuUsedCores: target.cpuUsedCores + usedCores });
  if (afterwards >= line.lowPercent || freeBytes(target) - vm.memoryBytes <= highFreeBytes) return false;
  if (before >= line.highPercent) return true;
  const left = before - (usedCores / source.cpuCores) * 100;
  return left >= afterwards && freeBytes(source) + vm.memoryBytes <= freeBytes(target) - vm.memoryBytes;
}

/** The best target first: fewer limits reached, then less CPU, then more free memory. */
function byWorth(a: DraftHost, b: DraftHost, line: Line): number {
  const [aLimits, bLimits] = [limitsReached(a, line), limitsReached(b, line)];
  if (aLimits !== bLimits) return aLimits - bLimits;
  const [aPercent, bPercent] = [cpuPercent(a), cpuPercent(b)];
  return isNear(aPercent, bPercent, 0.001) ? freeBytes(b) - freeBytes(a) : aPercent - bPercent;
}

/** Of two hosts with one limit reached each, the one with CPU to spare is the better. */
function limitsReached(host: DraftHost, line: Line): number {
  const cpu = cpuPercent(host) >= line.highPercent;
  const memory = freeBytes(host) <= highFreeBytes;
  return (cpu ? 2 : 0) + (memory ? 1 : 0);
}

function isNear(a: number, b: number, share: number): boolean {
  return Math.abs(a - b) <= Math.min(a, b) * share || (a <= share && b <= share);
}

function poolPercent(hosts: readonly DraftHost[]): number {
  const used = hosts.reduce((sum, host) => sum + host.cpuUsedCores, 0);
  return (used / hosts.reduce((sum, host) => sum + host.cpuCores, 0)) * 100;
}

function freeBytes(host: DraftHost): number {
  return host.memoryBytes - host.memoryUsedBytes;
}

export const xenOrchestra: Grid<XenOrchestraSettings> = {
  name: 'xen orchestra',
  defaults,
  best: bestFound,
  choices: {
    criticalPercent: [75, 80, 85, 90, 95, 100],
    mode: ['conservative', 'preventive'],
    coolDownMinutes: [0, 30],
    concurrentMax: [2, 4],
  },
  create: (settings) => new XenOrchestra(settings),
};
