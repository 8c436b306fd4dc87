/**
 * VMs that belong together, brought to one host, where no single move of them mends anything: of three of which one has gone ahead, the
 * second would leave one behind and meet one. So a group that a plan has moved in part is completed, whatever has happened on its way.
 */
import type { VmId } from '#core/model/vm.ts';
import { fits, loadWith } from './candidate.ts';
import { findHost } from './cluster.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { sumOf } from './group.ts';
import { fillLimit, stopLimit } from './line.ts';
import type { Limit } from './line.ts';
import type { Progress } from './progress.ts';
import type { Ends, Misplaced, RepairInput } from './repair.ts';
import type { AffinityGroup } from './rules.ts';
import { whereWith } from './where.ts';
import type { Where } from './where.ts';

export interface Gathering {
  readonly rules: readonly string[];
  /** Those that have to come, as they are to be moved. */
  readonly vms: readonly { readonly vm: ClusterVm; readonly source: ClusterHost }[];
  readonly target: ClusterHost;
}

/** So many groups are looked at, by the order of their VMs. */
const groupsMax = 12;

/** With the fewest moves, then to the host that is least full with them. Null where no group can be brought together whole now. */
export function bestGathering(input: RepairInput, state: Progress, open: readonly Misplaced[], ends: Ends): Gathering | null {
  const groups = [...new Set(open.flatMap(({ vm }) => input.book.groupOf(vm.vmId) ?? []))].slice(0, groupsMax);
  const where = whereWith(input.book.where, state.moved);
  const torn = groups.filter((group) => mayBeGathered(group, where, input.movesMax));
  const { policy } = state.cluster;
  return (
    bestWithin({ input, state, where, ends, limit: stopLimit(policy) }, torn) ??
    bestWithin({ input, state, where, ends, limit: fillLimit(policy) }, torn)
  );
}

/** In parts, of which the smaller ones are few enough to be moved. */
function mayBeGathered({ vmIds }: AffinityGroup, where: Where, movesMax: number): boolean {
  const sizes = [
    ...Map.groupBy(
      vmIds.flatMap((vmId) => where(vmId) ?? []),
      (hostId) => hostId,
    ).values(),
  ].map(({ length }) => length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return sizes.length > 1 && total - Math.max(...sizes) <= movesMax;
}

interface Search {
  readonly input: RepairInput;
  readonly state: Progress;
  readonly where: Where;
  readonly ends: Ends;
  readonly limit: Limit;
}

function bestWithin(search: Search, groups: readonly AffinityGroup[]): Gathering | null {
  const { state, ends, limit, input, where } = search;
  let best: { readonly gathering: Gathering; readonly fullness: number } | null = null;
  for (const group of groups) {
    for (const target of state.cluster.hosts.filter(({ hostId }) => ends.targets.has(hostId))) {
      const vms = comers(search, group, target);
      const [first] = vms ?? [];
      if (vms === null || first === undefined || (best !== null && vms.length > best.gathering.vms.length)) continue;
      const all = vms.map(({ vm }) => vm);
      const sum = sumOf(first.vm, all);
      if (!fits(target, sum, limit)) continue;
      const { cpuPercent, memoryPercent } = loadWith(target, sum);
      const fullness = Math.max(cpuPercent, memoryPercent);
      if (best !== null && vms.length === best.gathering.vms.length && fullness >= best.fullness) continue;
      if (input.book.groupFault(all, target.hostId, where) === null) best = { gathering: { rules: group.rules, vms, target }, fullness };
    }
  }
  return best?.gathering ?? null;
}

/** Those of the group that are not there yet; null where one of them may not come now, and where a single move would do. */
function comers({ input, state, where, ends }: Search, { vmIds }: AffinityGroup, target: ClusterHost): Gathering['vms'] | null {
  const coming = vmIds.filter((vmId) => where(vmId) !== undefined && where(vmId) !== target.hostId);
  if (coming.length < 2 || coming.length > input.movesMax) return null;
  const vms = coming.flatMap((vmId) => comer(state, where, vmId) ?? []);
  const mayCome = vms.every(
    ({ vm, source }) => ends.sources.has(source.hostId) && input.stayOf(vm.vmId) === null && !state.moved.has(vm.vmId),
  );
  if (vms.length < coming.length || !mayCome) return null;
  return vms.toSorted((a, b) => b.vm.cpuUsedCores - a.vm.cpuUsedCores || compareText(a.vm.vmId, b.vm.vmId));
}

function comer(state: Progress, where: Where, vmId: VmId): Gathering['vms'][number] | null {
  const hostId = where(vmId);
  const source = hostId === undefined ? undefined : findHost(state.cluster, hostId);
  const vm = source?.vms.find((one) => one.vmId === vmId);
  return source === undefined || vm === undefined ? null : { vm, source };
}
