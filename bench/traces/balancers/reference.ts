/**
 * No product and no peer: what reacting alone can do. It sees each VM's demand once a second, waits for nothing, and acts only on hosts that
 * are asked for more than they have: of the VMs whose leaving ends that, the one that is copied soonest goes to the host with most room. It
 * forgets nothing and foresees nothing. Time over 100 % that is left with it is that of its copies: less needs foresight, or moves made before.
 */
import type { Balancer, HostView, Step, View, VmView } from '#bench/traces/balancer.ts';

/** A VM does not go back to a host that it has left within the hour: no balancer's returns are counted for nothing. */
const returnSeconds = 3600;
const longestCopySeconds = 120;
const fillShare = 0.9;
const clearedShare = 0.98;

interface Node {
  readonly host: HostView;
  /** With what comes and without what goes. */
  demandCores: number;
  /** Takes part in a migration. */
  isBusy: boolean;
}

export class Reference implements Balancer {
  readonly name = 'reference';
  readonly periodSeconds = 1;
  readonly limits = { perHostMax: 1, perClusterMax: Number.POSITIVE_INFINITY };
  readonly #leftAtSeconds = new Map<string, number>();

  plan(view: View): readonly Step[] {
    for (const { vmId, fromHostId, endedAtSeconds } of view.ended) this.#leftAtSeconds.set(`${vmId} ${fromHostId}`, endedAtSeconds);
    const nodes = nodesOf(view);
    const hot = nodes.filter(({ host, demandCores }) => demandCores > host.cpuCores);
    return hot.toSorted((a, b) => b.demandCores - a.demandCores).flatMap((node) => this.#relieve(node, nodes, view.atSeconds) ?? []);
  }

  #relieve(node: Node, nodes: readonly Node[], atSeconds: number): Step | null {
    if (node.isBusy) return null;
    const clears = (vm: VmView) => node.demandCores - wantedCores(vm) <= clearedShare * node.host.cpuCores;
    const coresPerByte = (vm: VmView) => wantedCores(vm) / vm.memoryBytes;
    const ending = node.host.vms.filter(clears).toSorted((a, b) => a.memoryBytes - b.memoryBytes);
    const others = node.host.vms.filter((vm) => !clears(vm)).toSorted((a, b) => coresPerByte(b) - coresPerByte(a));
    for (const vm of [...ending, ...others]) {
      const target = this.#targetOf(vm, node, nodes, atSeconds);
      if (target === null) continue;
      [node.isBusy, target.isBusy] = [true, true];
      target.demandCores += wantedCores(vm);
      return { vmId: vm.vmId, fromHostId: node.host.hostId, toHostId: target.host.hostId };
    }
    return null;
  }

  #targetOf(vm: VmView, source: Node, nodes: readonly Node[], atSeconds: number): Node | null {
    const hasRoom = ({ host, demandCores }: Node) =>
      demandCores + wantedCores(vm) <= fillShare * host.cpuCores && host.memoryUsedBytes + vm.memoryBytes <= host.memoryBytes;
    const rests = ({ host }: Node) =>
      atSeconds - (this.#leftAtSeconds.get(`${vm.vmId} ${host.hostId}`) ?? -Infinity) < returnSeconds + longestCopySeconds;
    const able = nodes.filter((node) => node !== source && !node.isBusy && hasRoom(node) && !rests(node));
    return able.toSorted((a, b) => a.demandCores - b.demandCores)[0] ?? null;
  }
}

/** Used and waited for, by hosts that share in proportion: exactly what it is asked for. */
function wantedCores({ cpuUsedCores, cpuDelayCores }: VmView): number {
  return cpuUsedCores + cpuDelayCores;
}

function nodesOf({ hosts, underWay }: View): readonly Node[] {
  const sumOf = ({ vms }: HostView) => vms.reduce((sum, vm) => sum + wantedCores(vm), 0);
  const nodes = new Map(hosts.map((host) => [host.hostId, { host, demandCores: sumOf(host), isBusy: false }]));
  for (const { vmId, fromHostId, toHostId } of underWay) {
    const [source, target] = [nodes.get(fromHostId), nodes.get(toHostId)];
    const vm = source?.host.vms.find((one) => one.vmId === vmId);
    if (source === undefined || target === undefined || vm === undefined) continue;
    source.demandCores -= wantedCores(vm);
    target.demandCores += wantedCores(vm);
    [source.isBusy, target.isBusy] = [true, true];
  }
  return [...nodes.values()];
}
