/** How long a planning round takes, from the snapshot to the checked plan, after new samples have come. */
import { checkPlan } from '#core/checks/check-plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { cores } from '#core/model/units.ts';
import { defaultPolicy } from '#core/model/policy.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { median } from './median.ts';
import { hotSnapshot } from './plain-pass.ts';

const hostCount = 1000;
const vmsPerHost = 10;
const repetitions = 31;
const millisecondsMax = 50;

/** All hosts at a third of their capacity, but for one, whose newest samples have it at 95 %. */
function calmButOne(snapshot: Snapshot, hot: number): Snapshot {
  const scaled = (index: number) => (index === hot ? 0.95 : 0.35) * 16;
  const shares = new Map(snapshot.hosts.map((host, index) => [host.hostId, scaled(index) / Math.max(0.1, host.cpuUsedCores)]));
  const shareOf = (hostId: string) => shares.get(hostId) ?? 1;
  return {
    ...snapshot,
    hosts: snapshot.hosts.map((host) => ({ ...host, roundsOverLine: 3, cpuUsedCores: cores(host.cpuUsedCores * shareOf(host.hostId)) })),
    vms: snapshot.vms.map((vm) => ({ ...vm, cpuUsedCores: cores(vm.cpuUsedCores * shareOf(vm.hostId)) })),
  };
}

/** Each time other samples, so that nothing can be kept from the plan before. */
function roundMs(snapshots: readonly Snapshot[]): number {
  const times = snapshots.map((snapshot) => {
    const startedAtMs = performance.now();
    const plan = makePlan(snapshot);
    const broken = checkPlan(snapshot, plan).length;
    const tookMs = performance.now() - startedAtMs;
    if (plan.moves.length === 0 || broken > 0) throw new Error(`${plan.moves.length} moves, ${broken} violations: ${plan.summary}`);
    return tookMs;
  });
  return median(times.slice(1));
}

/** Prints it; false when a limit is missed. */
export function measureReplan(): boolean {
  const { movesPerPlanMax } = defaultPolicy;
  const kept: boolean[] = [];
  for (const strategy of ['lines', 'balance'] as const) {
    const hot = hotSnapshot(hostCount, vmsPerHost);
    const policy = { ...hot.policy, movesPerPlanMax, strategy };
    const cases = {
      'one host has become hot': Array.from({ length: repetitions }, (_, seed) => ({ ...calmButOne(hot, seed), policy })),
      'every fifth host is hot': Array.from({ length: repetitions }, () => ({ ...hot, policy })),
    };
    for (const [name, snapshots] of Object.entries(cases)) {
      const tookMs = roundMs(snapshots);
      kept.push(tookMs <= millisecondsMax);
      console.log(
        `${`by ${strategy}`.padEnd(16)} ${hostCount} hosts, ${hostCount * vmsPerHost} VMs, ${name}: planned and checked anew in ${tookMs.toFixed(0)} ms (median of ${repetitions - 1}, at most ${millisecondsMax})`,
      );
    }
  }
  return kept.every(Boolean);
}
