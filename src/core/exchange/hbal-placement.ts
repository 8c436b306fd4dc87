/** A cluster of hbal as a placement with hbal's own score, and back. */
import type { Placement, PlacementSpec } from '#core/placement/placement.ts';
import { type HbalCluster, type HbalInstance, type HbalUse, usesMemory } from './hbal-cluster.ts';
import { sharedTemplates } from './hbal-import.ts';

/** `baseUtil` of Ganeti's `Types.hs`: an instance that the utilisation file does not name counts as one whole unit of everything. */
const wholeUse = { cpu: 1, memory: 1, disk: 1, network: 1 };
/** `defVcpuRatio` of Ganeti's `Constants.hs`. */
const defaultVcpuRatio = 4;
/**
 * Weights of the spreads in `detailedCVInfoExt` of Ganeti's `Cluster/Metrics.hs`. Free memory and virtual CPUs count twice with 0.5: with
 * and without instances that are not there yet.
 */
const weights = { freeMemory: 1, vcpuRatio: 1, cpuLoad: 1, memoryLoad: 1, diskLoad: 1, networkLoad: 1 };
/** There too: an instance on an offline node counts 4 as one on it and 16 as one whose primary it is. */
const onOfflineNode = 20;
const columns = 6;
const limits = 2;

/**
 * What hbal 3.0 scores and forbids of it, for instances without a secondary node: spreads of free memory, virtual CPUs and the four loads,
 * and instances on offline nodes. What their files can say beyond that does not change here by moving (disk, spindles) or is not
 * known (exclusion and location tags).
 */
export function placementSpecOfHbal({ nodes, instances, policies, groups }: HbalCluster, uses: readonly HbalUse[]): PlacementSpec {
  const useOf = new Map(uses.map((use) => [use.name, use]));
  const hostOf = new Map(nodes.map(({ name }, index) => [name, index]));
  const groupName = new Map(groups.map(({ uuid, name }) => [uuid, name]));
  const ratioOf = (groupUuid: string) =>
    (policies?.find(({ owner }) => owner === groupName.get(groupUuid)) ?? policies?.find(({ owner }) => owner === ''))?.vcpuRatio ??
    defaultVcpuRatio;
  const online = nodes.map(({ role }) => (role === 'Y' ? 0 : 1));
  const memoryOf = (instance: HbalInstance) => (usesMemory(instance) ? instance.memoryMib : 0);
  const vcpusOf = ({ status, vcpus }: HbalInstance) => (status === 'ADMIN_offline' ? 0 : vcpus);
  const held = new Map<string, number>();
  for (const instance of instances) held.set(instance.primary, (held.get(instance.primary) ?? 0) + memoryOf(instance));
  return {
    hosts: nodes.length,
    vms: instances.length,
    columns,
    weights: Float64Array.from(Object.values(weights)),
    baseLoads: Float64Array.from(
      nodes.flatMap((node) => [
        -(node.freeMemoryMib + (held.get(node.name) ?? 0)) / node.memoryMib,
        (node.ownCpus ?? 0) / node.cpus,
        0,
        0,
        0,
        0,
      ]),
    ),
    scales: Float64Array.from(nodes.flatMap(({ memoryMib, cpus, cpuSpeed }) => [1 / memoryMib, 1 / (cpus * (cpuSpeed ?? 1)), 1, 1, 1, 1])),
    amounts: Float64Array.from(
      instances.flatMap((instance) => {
        const { cpu, memory, disk, network } = useOf.get(instance.name) ?? wholeUse;
        return [memoryOf(instance), vcpusOf(instance), cpu, memory, disk, network];
      }),
    ),
    limits,
    // hbal refuses a move that leaves no memory at all.
    rooms: Float64Array.from(
      nodes.flatMap((node) => [
        node.freeMemoryMib + (held.get(node.name) ?? 0) - 1,
        ratioOf(node.groupUuid) * node.cpus - (node.ownCpus ?? 0),
      ]),
    ),
    needs: Float64Array.from(instances.flatMap((instance) => [memoryOf(instance), vcpusOf(instance)])),
    homes: Int32Array.from(instances.map(({ primary }) => hostOf.get(primary) ?? 0)),
    movable: Uint8Array.from(instances.map((instance) => (isMovable(instance) ? 1 : 0))),
    open: Uint8Array.from(online),
    counted: Uint8Array.from(online),
    perVm: Float64Array.from(online.map((one) => (one === 1 ? 0 : onOfflineNode))),
  };
}

/** `movable` and `autoBalance` of hbal: disks that every node reaches, and nobody asked to leave it alone. */
function isMovable({ template, autoBalance, forthcoming }: HbalInstance): boolean {
  return autoBalance && forthcoming !== true && sharedTemplates.includes(template);
}

/** The cluster with its instances where the placement has them; free memory of nodes follows. */
export function hbalOfPlacement(cluster: HbalCluster, placement: Placement): HbalCluster {
  const freed = new Map(cluster.nodes.map(({ name }) => [name, 0]));
  const give = (node: string, mib: number) => freed.set(node, (freed.get(node) ?? 0) + mib);
  const instances = cluster.instances.map((instance, index) => {
    const primary = cluster.nodes[placement.hostOf[index] ?? -1]?.name ?? instance.primary;
    const memoryMib = usesMemory(instance) ? instance.memoryMib : 0;
    give(instance.primary, memoryMib);
    give(primary, -memoryMib);
    return { ...instance, primary };
  });
  const nodes = cluster.nodes.map((node) => ({ ...node, freeMemoryMib: node.freeMemoryMib + (freed.get(node.name) ?? 0) }));
  return { ...cluster, nodes, instances };
}
