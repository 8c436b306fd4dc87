/**
 * The strategy `threshold`: the rule of the literature as it was published (A. Tamrakar, "Security in Live Migration of Virtual Machine with
 * Automated Load Balancing", section VI). At each interval the hosts are sorted by what they have free; one whose load is beyond the
 * threshold gives a VM to the least loaded one that has enough room for it, until it is below the threshold again.
 *
 * What the paper leaves open: the threshold is the start line. Which VM goes: the one that uses most of what its host is short of, because
 * then fewest have to. Enough room: the target stays below the fill limit, as for the other strategies. And whatever binds those binds this
 * one: rules, cool-downs, ways that are closed, and that the score becomes lower.
 */
import { type Candidate, fits, gainOf, relieves, scoreAfterMove, type Search } from './candidate.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { fillLimit, loadOf } from './line.ts';
import { scoreOf } from './score.ts';

type Resource = 'cpuPercent' | 'memoryPercent';

/** The move that the rule makes next; null when no VM of the host finds room. */
export function byThreshold(search: Search): Candidate | null {
  const resource = scarcest(search);
  const now = scoreOf(search.totals);
  const targets = leastLoadedFirst(search, resource);
  for (const vm of busiestFirst(search, resource)) {
    for (const target of targets) {
      if (!fits(target, vm, fillLimit(search.policy))) continue;
      const scoreAfter = scoreAfterMove(search, vm, target);
      if (scoreAfter >= now || search.placement.fault(vm, target.hostId) !== null) continue;
      return { vm, target, scoreAfter, gainPercent: gainOf(search, vm, target), saving: null };
    }
  }
  return null;
}

/** Whether the VM would find room, were it not for the score. For the reason why it stays. */
export function hasRoomByThreshold({ policy, targets }: Search, vm: ClusterVm): boolean {
  return targets.all.some((target) => fits(target, vm, fillLimit(policy)));
}

/** What the host is furthest over its line in. */
function scarcest({ source, goal }: Search): Resource {
  const { cpuPercent, memoryPercent } = loadOf(source);
  return memoryPercent - goal.memoryPercent > cpuPercent - goal.cpuPercent ? 'memoryPercent' : 'cpuPercent';
}

function leastLoadedFirst({ targets }: Search, resource: Resource): readonly ClusterHost[] {
  const other: Resource = resource === 'cpuPercent' ? 'memoryPercent' : 'cpuPercent';
  return targets.all
    .map((target) => ({ target, load: loadOf(target) }))
    .toSorted(
      (a, b) => a.load[resource] - b.load[resource] || a.load[other] - b.load[other] || compareText(a.target.hostId, b.target.hostId),
    )
    .map(({ target }) => target);
}

function busiestFirst({ source, vms, goal }: Search, resource: Resource): readonly ClusterVm[] {
  const use = (vm: ClusterVm) => (resource === 'cpuPercent' ? vm.cpuUsedCores : vm.memoryReliefBytes);
  return vms
    .filter((vm) => relieves(source, vm, goal))
    .toSorted((a, b) => use(b) - use(a) || a.memoryBytes - b.memoryBytes || compareText(a.vmId, b.vmId));
}
