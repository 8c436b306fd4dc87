/**
 * Plans for a hot cluster of 1,000 hosts and 10,000 VMs and prints the time as a ratio, in the same run, to
 * one plain pass that scores every VM of a hot host on every other host: the least that any planner has
 * to look at who judges each candidate once. Seeded.
 */
import { checkPlan } from '#core/checks/check-plan.ts';
import { clusterOf, withoutVm } from '#core/planner/cluster.ts';
import { exampleSnapshot } from '#core/planner/examples.ts';
import { isAbove, loadOf, startLimit } from '#core/planner/line.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { addTotals, partOf, partWith, scoreOf, totalsOf } from '#core/planner/score.ts';
import { median } from './median.ts';
import type { Snapshot } from '#core/model/snapshot.ts';

const repetitions = 5;

/** Numerical Recipes' 32-bit linear congruential generator: the same cluster in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Every fifth host is hot (95 % CPU on average), the others are at about 35 %. */
export function hotSnapshot(hosts: number, vmsPerHost: number): Snapshot {
  const random = seeded(7);
  const size = Array.from({ length: hosts }, (_, index) => {
    const meanCores = (index % 5 === 0 ? 15.2 : 5.6) / vmsPerHost;
    const vms = Array.from({ length: vmsPerHost }, (__, number) => ({
      id: `vm-${index}-${number}`,
      cores: meanCores * (0.5 + random()),
      gib: 2 + Math.floor(random() * 6),
    }));
    return { id: `host-${String(index).padStart(5, '0')}`, cores: 16, gib: 256, vms };
  });
  return exampleSnapshot(size, { policy: { movesPerPlanMax: hosts * vmsPerHost } });
}

/** Scores each VM of each host over its line on each other host, once. Returns how many were scored. */
function plainPass(snapshot: Snapshot): number {
  const { policy } = snapshot;
  const cluster = clusterOf(snapshot, new Map());
  const totals = totalsOf(cluster.hosts, policy);
  let scored = 0;
  let lowest = Infinity;
  for (const source of cluster.hosts.filter((host) => isAbove(loadOf(host), startLimit(policy)))) {
    for (const vm of source.vms) {
      const rest = addTotals(addTotals(totals, partOf(source, policy), -1), partOf(withoutVm(source, vm), policy));
      for (const target of cluster.hosts) {
        if (target === source) continue;
        const after = addTotals(addTotals(rest, partOf(target, policy), -1), partWith(target, vm, policy));
        lowest = Math.min(lowest, scoreOf(after));
        scored += 1;
      }
    }
  }
  if (!Number.isFinite(lowest)) throw new Error('the generated cluster has no host over its line');
  return scored;
}

/** The median of some runs, in ms: the machine may be busy with something else. */
function medianMs(work: () => unknown): number {
  const times = Array.from({ length: repetitions }, () => {
    const startedAtMs = performance.now();
    work();
    return performance.now() - startedAtMs;
  });
  return median(times);
}

export function comparePass(hosts: number, vmsPerHost: number): boolean {
  const snapshot = hotSnapshot(hosts, vmsPerHost);
  const plan = makePlan(snapshot);
  const scored = plainPass(snapshot);
  const planMs = medianMs(() => makePlan(snapshot));
  const passMs = medianMs(() => plainPass(snapshot));
  const violations = checkPlan(snapshot, plan).length;

  console.log(`cluster       ${hosts} hosts, ${snapshot.vms.length} VMs`);
  console.log(`verdict       ${plan.verdict}: ${plan.summary}`);
  console.log(`moves found   ${plan.moves.length}, linter violations ${violations}`);
  console.log(`planning      ${planMs.toFixed(0)} ms (median of ${repetitions})`);
  console.log(`plain pass    ${passMs.toFixed(0)} ms for ${scored} candidates scored once`);
  console.log(`ratio         ${(planMs / passMs).toFixed(2)} (planning / plain pass)`);
  return violations === 0;
}
