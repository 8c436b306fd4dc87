/**
 * Could the cluster lose a host? Two bounds. Sum: for each host, the free memory of the others covers its running VMs; without that it
 * cannot. First fit decreasing, for the host with most memory in running VMs: each finds room on one of the others; where that works
 * it can. It is sufficient, not necessary: another order might still find room where first fit does not.
 */
import type { HostId } from '#core/model/host.ts';
import type { Skip } from '#core/model/plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import { hasUsableFigures } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { baseWhere, occupiesMemory } from './where.ts';
import type { Where } from './where.ts';
import { memorySize } from './words.ts';

export interface Headroom {
  /** Why the move would leave the cluster less able to lose a host than it is now; null when it would not. */
  readonly fault: (vmId: VmId, toHostId: HostId, where: Where) => Pick<Skip, 'code' | 'reason'> | null;
  /** How much memory of VMs would find no room when the worst host is lost; 0 where all would. */
  readonly shortBytes: (where: Where) => number;
  /** The same with one VM on another host. */
  readonly shortBytesAfter: (vmId: VmId, toHostId: HostId, where: Where) => number;
}

/** One host: what it has free for others, and what its own running VMs take. */
interface Room {
  readonly hostId: HostId;
  readonly isTaker: boolean;
  readonly freeBytes: number;
  readonly runningBytes: number;
}

interface Load {
  readonly vmId: VmId;
  readonly memoryBytes: number;
  readonly isRunning: boolean;
}

interface State {
  readonly rooms: readonly Room[];
  readonly vmsOf: ReadonlyMap<HostId, readonly Load[]>;
  readonly shortBytes: number;
}

/** Less than this is rounding. */
const toleranceBytes = 1;

/** Null when the policy asks for none. */
export function headroomOf(snapshot: Snapshot): Headroom | null {
  if (snapshot.policy.headroom.hostFailures === 0) return null;
  const loads = loadsOf(snapshot);
  const base = baseRooms(snapshot, loads);
  const known = new WeakMap<Where, State>();
  const stateOf = (where: Where): State => {
    const state = known.get(where) ?? measure(base, loads, where);
    known.set(where, state);
    return state;
  };
  const byId = new Map(loads.map((load) => [load.vmId, load]));
  const shortAfter = (vmId: VmId, toHostId: HostId, where: Where): number => {
    const load = byId.get(vmId);
    const now = stateOf(where);
    const fromHostId = where(vmId);
    if (load === undefined || fromHostId === undefined || fromHostId === toHostId) return now.shortBytes;
    return shortBytes(moved(now.rooms, load, fromHostId, toHostId), (hostId) => {
      const here = (now.vmsOf.get(hostId) ?? []).filter((other) => other.vmId !== vmId);
      return hostId === toHostId ? [...here, load] : here;
    });
  };
  const told = (short: number) => (short <= toleranceBytes ? 0 : short);
  return {
    shortBytes: (where) => told(stateOf(where).shortBytes),
    shortBytesAfter: (vmId, toHostId, where) => told(shortAfter(vmId, toHostId, where)),
    fault: (vmId, toHostId, where) => {
      const after = shortAfter(vmId, toHostId, where);
      if (after <= toleranceBytes || after <= stateOf(where).shortBytes + toleranceBytes) return null;
      return {
        code: 'headroom',
        reason: `with it on ${toHostId} the cluster could not lose its largest host: ${memorySize(after)} of VMs would find no room`,
      };
    },
  };
}

function loadsOf({ vms }: Snapshot): readonly Load[] {
  const loads = new Map<VmId, Load>();
  for (const vm of vms) {
    if (!hasUsableFigures(vm) || !occupiesMemory(vm.state) || (vm.state === 'incoming' && loads.has(vm.vmId))) continue;
    loads.set(vm.vmId, { vmId: vm.vmId, memoryBytes: vm.memoryBytes, isRunning: vm.state === 'running' });
  }
  return [...loads.values()].toSorted((a, b) => b.memoryBytes - a.memoryBytes || compareText(a.vmId, b.vmId));
}

/** The rooms as the hosts report them, nothing of it moved. A host that is not up, or cordoned, takes nobody in; its VMs still count. */
function baseRooms(snapshot: Snapshot, loads: readonly Load[]): ReadonlyMap<HostId, Omit<Room, 'runningBytes'>> {
  const where = reportedWhere(snapshot);
  const promised = new Map<HostId, number>();
  for (const { vmId, memoryBytes } of loads) {
    const hostId = where(vmId);
    if (hostId !== undefined) promised.set(hostId, (promised.get(hostId) ?? 0) + memoryBytes);
  }
  // By promised memory alone, so that a VM that moves takes and frees exactly its own; what is in use beyond it stays in use.
  return new Map(
    snapshot.hosts.map((host) => {
      const promisedBytes = promised.get(host.hostId) ?? 0;
      const otherBytes = Math.max(0, host.memoryUsedBytes - promisedBytes);
      const isFresh = host.status === 'up' && snapshot.takenAtMs - host.sampledAtMs <= snapshot.policy.sampleAgeMsMax;
      const freeBytes = host.capacity.memoryBytes - otherBytes;
      return [
        host.hostId,
        { hostId: host.hostId, isTaker: isFresh && !host.cordoned && host.unfit === null && Number.isFinite(freeBytes), freeBytes },
      ];
    }),
  );
}

/** As reported, flights not applied: the memory in use is of this placement. */
function reportedWhere(snapshot: Snapshot): Where {
  return baseWhere({ ...snapshot, inFlight: [] });
}

function measure(base: ReadonlyMap<HostId, Omit<Room, 'runningBytes'>>, loads: readonly Load[], where: Where): State {
  const vmsOf = Map.groupBy(loads, ({ vmId }) => where(vmId) ?? '');
  const rooms = [...base.values()].map((room) => {
    const here = vmsOf.get(room.hostId) ?? [];
    const heldBytes = here.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
    return { ...room, freeBytes: room.freeBytes - heldBytes, runningBytes: sumOfRunning(here) };
  });
  const sorted = rooms.toSorted((a, b) => compareText(a.hostId, b.hostId));
  return { rooms: sorted, vmsOf, shortBytes: shortBytes(sorted, (hostId) => vmsOf.get(hostId) ?? []) };
}

function sumOfRunning(loads: readonly Load[]): number {
  return loads.reduce((sum, load) => (load.isRunning ? sum + load.memoryBytes : sum), 0);
}

function moved(rooms: readonly Room[], load: Load, fromHostId: HostId, toHostId: HostId): readonly Room[] {
  const runningBytes = load.isRunning ? load.memoryBytes : 0;
  return rooms.map((room) => {
    const sign = room.hostId === toHostId ? 1 : room.hostId === fromHostId ? -1 : 0;
    if (sign === 0) return room;
    return {
      ...room,
      freeBytes: room.freeBytes - sign * load.memoryBytes,
      runningBytes: room.runningBytes + sign * runningBytes,
    };
  });
}

/** How much memory of running VMs would find no room, in bytes: the worse of both bounds. */
function shortBytes(rooms: readonly Room[], vmsOf: (hostId: HostId) => readonly Load[]): number {
  const free = (room: Room) => (room.isTaker ? Math.max(0, room.freeBytes) : 0);
  const totalFreeBytes = rooms.reduce((sum, room) => sum + free(room), 0);
  let short = 0;
  let largest: Room | null = null;
  for (const room of rooms) {
    short = Math.max(short, room.runningBytes - (totalFreeBytes - free(room)));
    if (largest === null || room.runningBytes > largest.runningBytes) largest = room;
  }
  return largest === null ? short : Math.max(short, unplacedBytes(rooms, largest, vmsOf(largest.hostId)));
}

function unplacedBytes(rooms: readonly Room[], lost: Room, vms: readonly Load[]): number {
  const left = rooms
    .filter((room) => room.isTaker && room !== lost)
    .map((room) => room.freeBytes)
    .toSorted((a, b) => b - a);
  let unplaced = 0;
  for (const { memoryBytes, isRunning } of vms.toSorted((a, b) => b.memoryBytes - a.memoryBytes)) {
    if (!isRunning) continue;
    const found = left.findIndex((bytes) => bytes >= memoryBytes);
    if (found < 0) unplaced += memoryBytes;
    else left[found] = (left[found] ?? 0) - memoryBytes;
  }
  return unplaced;
}
