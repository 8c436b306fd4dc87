/** How much CPU a host will lack: what its VMs want now, and what they are expected to want. */
import type { BalancePolicy, Policy } from '#core/model/policy.ts';
import type { SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';

/** Sums over a host, in cores. What no VM accounts for goes on as it is. */
export interface Outlook {
  readonly capacityCores: number;
  readonly wantedCores: number;
  readonly meanCores: number;
  readonly variance: number;
  /** As their VMs usually use. */
  readonly usualCores: number;
  readonly usualVariance: number;
}

const known = new WeakMap<ClusterHost, Outlook>();

/** Hosts are never changed, so each is summed up once. */
export function outlookOf(host: ClusterHost): Outlook {
  const outlook = known.get(host) ?? summedUp(host);
  known.set(host, outlook);
  return outlook;
}

function summedUp(host: ClusterHost): Outlook {
  let [used, wanted, mean, variance, usual, usualVariance] = [0, 0, 0, 0, 0, 0];
  for (const vm of host.vms) {
    used += vm.cpuUsedCores;
    wanted += vm.cpuWantedCores;
    mean += vm.meanCores;
    variance += vm.spreadCores ** 2;
    usual += vm.usualCores;
    usualVariance += vm.usualSpreadCores ** 2;
  }
  const other = Math.max(0, host.cpuUsedCores - used);
  return {
    capacityCores: host.capacity.cpuCores,
    wantedCores: wanted + other,
    meanCores: mean + other,
    variance,
    usualCores: usual + other,
    usualVariance,
  };
}

/** With the VM, or without it. */
export function outlookWith(outlook: Outlook, vm: ClusterVm, sign: 1 | -1): Outlook {
  return {
    capacityCores: outlook.capacityCores,
    wantedCores: outlook.wantedCores + sign * vm.cpuWantedCores,
    meanCores: outlook.meanCores + sign * vm.meanCores,
    variance: Math.max(0, outlook.variance + sign * vm.spreadCores ** 2),
    usualCores: outlook.usualCores + sign * vm.usualCores,
    usualVariance: Math.max(0, outlook.usualVariance + sign * vm.usualSpreadCores ** 2),
  };
}

/**
 * Core-seconds that are wanted above `linePercent` of the host: what is short now, for as long as a shortage lasts, and what is expected to be
 * short over the horizon of the forecasts, and after it as they usually are, their sums taken as normally distributed:
 * E[(X - c)+] = s f(z) - (c - m) (1 - F(z)), z = (c - m) / s.
 */
export function shortageCoreSeconds(
  outlook: Outlook,
  linePercent: number,
  { shortageMs, usualMs = 0 }: Pick<BalancePolicy, 'shortageMs' | 'usualMs'>,
  horizonMs: number,
): number {
  const limit = (outlook.capacityCores * linePercent) / 100;
  const now = Math.max(0, outlook.wantedCores - limit);
  const soon = expectedExcess(outlook.meanCores, Math.sqrt(outlook.variance), limit);
  const later = usualMs === 0 ? 0 : expectedExcess(outlook.usualCores, Math.sqrt(outlook.usualVariance), limit);
  return (now * shortageMs + soon * horizonMs + later * usualMs) / 1000;
}

function expectedExcess(mean: number, deviation: number, limit: number): number {
  if (deviation < 1e-9) return Math.max(0, mean - limit);
  const z = (limit - mean) / deviation;
  return Math.max(0, deviation * density(z) - (limit - mean) * (1 - distribution(z)));
}

function density(z: number): number {
  return Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
}

/** Abramowitz and Stegun 26.2.17, to 7.5e-8. */
function distribution(z: number): number {
  const t = 1 / (1 + 0.231_641_9 * Math.abs(z));
  const tail = density(z) * t * (0.319_381_53 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
  return z > 0 ? 1 - tail : tail;
}

/** What a VM uses and has to wait for; threads that serve it wait too, but it can use no more than its virtual CPUs. */
export function wantedCores({ vcpus, cpuUsedCores, cpuDelayCores }: Pick<SnapshotVm, 'vcpus' | 'cpuUsedCores' | 'cpuDelayCores'>): number {
  return Math.max(cpuUsedCores, Math.min(vcpus, cpuUsedCores + cpuDelayCores));
}

/** Whether a host's VMs want more than its start line: worth a plan before the next round is due. */
export function wantsMoreThanLine(host: SnapshotHost, vms: readonly SnapshotVm[], policy: Policy): boolean {
  const delayCores = vms.reduce((sum, vm) => sum + (vm.state === 'running' ? wantedCores(vm) - vm.cpuUsedCores : 0), 0);
  return host.cpuUsedCores + delayCores > (host.capacity.cpuCores * policy.cpuLine.startPercent) / 100;
}
