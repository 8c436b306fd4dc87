/**
 * Whether a placement is one in which no host has more than it can carry, found out from the VMs alone, host by host: without a line of the
 * planner's, its linter's or the simulator's code. And why there can be none, where that is plain.
 */

export interface Machine {
  readonly hostId: string;
  readonly cores: number;
  readonly memoryBytes: number;
}

export interface Guest {
  readonly vmId: string;
  readonly hostId: string;
  /** What it wants. */
  readonly cores: number;
  readonly memoryBytes: number;
}

export interface Packing {
  readonly hosts: readonly Machine[];
  readonly vms: readonly Guest[];
}

export interface MadeMove {
  readonly vmId: string;
  readonly fromHostId: string;
  readonly toHostId: string;
}

/** Where each VM is. */
export type Places = ReadonlyMap<string, string>;

export interface HostUse {
  readonly hostId: string;
  readonly cpuPercent: number;
  readonly memoryPercent: number;
}

export interface Checked {
  /** Why it is no placement of these VMs on these hosts. */
  readonly faults: readonly string[];
  readonly over: readonly HostUse[];
  /** By the resource of which it has least left; null without hosts. */
  readonly fullest: HostUse | null;
}

/** What is printed as 100.0 % is not over it: no copy is worth so little. */
const tolerancePercent = 0.05;

/** Where the moves leave the VMs, or the first of them that cannot be made. */
export function placesAfter({ vms, hosts }: Packing, moves: readonly MadeMove[]): Places | string {
  const places = new Map(vms.map(({ vmId, hostId }) => [vmId, hostId]));
  const known = new Set(hosts.map(({ hostId }) => hostId));
  for (const { vmId, fromHostId, toHostId } of moves) {
    if (places.get(vmId) !== fromHostId) return `${vmId} is not on ${fromHostId}, where a move takes it from`;
    if (!known.has(toHostId)) return `${vmId} is moved to ${toHostId}, which is no host`;
    places.set(vmId, toHostId);
  }
  return places;
}

/** Adds up what the VMs of each host want. */
export function checkPlaces({ hosts, vms }: Packing, places: Places): Checked {
  const known = new Set(vms.map(({ vmId }) => vmId));
  const faults = [...places.keys()].filter((vmId) => !known.has(vmId)).map((vmId) => `${vmId} is no VM of the cluster`);
  const sums = new Map(hosts.map(({ hostId }) => [hostId, { cores: 0, memoryBytes: 0 }]));
  for (const { vmId, cores, memoryBytes } of vms) {
    const sum = sums.get(places.get(vmId) ?? '');
    if (sum === undefined) {
      faults.push(`${vmId} is on no host of the cluster`);
      continue;
    }
    sum.cores += cores;
    sum.memoryBytes += memoryBytes;
  }
  const uses = hosts.map((host): HostUse => {
    const { cores, memoryBytes } = sums.get(host.hostId) ?? { cores: Number.NaN, memoryBytes: Number.NaN };
    return { hostId: host.hostId, cpuPercent: (100 * cores) / host.cores, memoryPercent: (100 * memoryBytes) / host.memoryBytes };
  });
  // Written so that what is no number is over.
  const fits = ({ cpuPercent, memoryPercent }: HostUse) => cpuPercent <= 100 + tolerancePercent && memoryPercent <= 100 + tolerancePercent;
  const most = ({ cpuPercent, memoryPercent }: HostUse) => Math.max(cpuPercent, memoryPercent);
  return {
    faults,
    over: uses.filter((use) => !fits(use)),
    fullest: uses.toSorted((a, b) => most(b) - most(a))[0] ?? null,
  };
}

const resources = ['cores', 'memoryBytes'] as const;
const words = { cores: 'CPU', memoryBytes: 'memory' } as const;

/** A plain proof that no packing exists; null where there is none so plain. */
export function impossibility({ hosts, vms }: Packing): string | null {
  for (const resource of resources) {
    const total = hosts.reduce((sum, host) => sum + host[resource], 0);
    const wanted = vms.reduce((sum, vm) => sum + vm[resource], 0);
    if (wanted > total * (1 + tolerancePercent / 100))
      return `the VMs want ${((100 * wanted) / total).toFixed(1)} % of the ${words[resource]} of all hosts`;
    const largest = Math.max(0, ...hosts.map((host) => host[resource]));
    const giant = vms.find((vm) => vm[resource] > largest * (1 + tolerancePercent / 100));
    if (giant !== undefined) return `${giant.vmId} wants more ${words[resource]} than any host has`;
    const halves = vms.filter((vm) => vm[resource] > (largest / 2) * (1 + tolerancePercent / 100)).length;
    if (halves > hosts.length)
      return `${halves} VMs want more than half of the ${words[resource]} of the largest host each, and there are ${hosts.length} hosts`;
  }
  return null;
}

/** A packing that is easy to find: the largest VMs first, each to the host that is least full with it. Null where that finds none. */
export function easyPlaces({ hosts, vms }: Packing): Places | null {
  const rooms = hosts.map((host) => ({ host, cores: 0, memoryBytes: 0 }));
  const largest = { cores: Math.max(...hosts.map(({ cores }) => cores)), memoryBytes: Math.max(...hosts.map((host) => host.memoryBytes)) };
  const size = (vm: Guest) => Math.max(vm.cores / largest.cores, vm.memoryBytes / largest.memoryBytes);
  const places = new Map<string, string>();
  for (const vm of vms.toSorted((a, b) => size(b) - size(a))) {
    let best: { readonly room: (typeof rooms)[number]; readonly fullness: number } | null = null;
    for (const room of rooms) {
      const cpu = (room.cores + vm.cores) / room.host.cores;
      const fullness = Math.max(cpu, (room.memoryBytes + vm.memoryBytes) / room.host.memoryBytes);
      if (fullness <= 1 && (best === null || fullness < best.fullness)) best = { room, fullness };
    }
    if (best === null) return null;
    best.room.cores += vm.cores;
    best.room.memoryBytes += vm.memoryBytes;
    places.set(vm.vmId, best.room.host.hostId);
  }
  return places;
}
