/**
 * The strategy `pack`: empties hosts, so that they can be switched off. A host is emptied entirely or not begun, the cheapest first, by the
 * memory that has to be copied; its VMs go to the hosts that would cost most to empty, and never to one that is empty. Nothing is packed
 * while anything else is going on, so that relief and packing never work on the same cluster at the same time.
 */
import type { HostId } from '#core/model/host.ts';
import type { Move, Skip } from '#core/model/plan.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Bounds } from './bounds.ts';
import { findHost, withVm } from './cluster.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { compareText } from './cool-down.ts';
import { describePacked } from './describe.ts';
import { headroomOf } from './headroom.ts';
import { isInUse, type PackRoom, packRoomOf } from './pack-room.ts';
import { type Progress, takeMove } from './progress.ts';
import type { Returns } from './returns.ts';
import type { RuleBook } from './rules.ts';
import { skipHost, skipVm } from './stay.ts';
import type { Stay } from './stay.ts';
import { occupiesMemory, whereWith } from './where.ts';
import { count, memorySize, percent } from './words.ts';

export interface PackInput {
  readonly snapshot: Snapshot;
  readonly state: Progress;
  /** With the bounds of the balancer. */
  readonly book: RuleBook;
  readonly bounds: Pick<Bounds, 'take'>;
  readonly returns: Returns;
  readonly movesMax: number;
  /** Hosts that may give or take one more VM. */
  readonly sourceIds: ReadonlySet<HostId>;
  readonly targetIds: ReadonlySet<HostId>;
  /** Why a VM may not be moved now; null when it may. */
  readonly stayOf: (vm: SnapshotVm) => Stay | null;
}

/** A host that the plan empties, or begins to: then it has more VMs than a plan may have moves. */
export interface Emptied {
  readonly hostId: HostId;
  readonly vms: number;
  readonly bytes: number;
}

export interface Packing {
  readonly state: Progress;
  readonly moves: readonly Move[];
  readonly skipped: readonly Skip[];
  readonly emptied: readonly Emptied[];
}

/** So many of the hosts that cannot be emptied are named, the cheapest ones. */
const namedMax = 10;

/** What keeps packing waiting, to be said after "nothing is packed while"; null when the cluster is at rest. */
export function packingWaits(snapshot: Snapshot, frozen: ReadonlyMap<HostId, unknown>, over: readonly SnapshotHost[]): string | null {
  const [first] = over;
  if (first !== undefined) return `${first.hostId} is over its line`;
  const flights = snapshot.inFlight.length;
  if (flights > 0) return `${count(flights, 'migration')} ${flights === 1 ? 'is' : 'are'} under way`;
  // A host that was emptied and switched off is not known either, and keeps nothing waiting.
  const unknown = snapshot.vms
    .filter(({ hostId, state }) => frozen.has(hostId) && occupiesMemory(state))
    .map(({ hostId }) => hostId)
    .toSorted(compareText)[0];
  return unknown === undefined ? null : `the load of ${unknown} is not known`;
}

/** Each host is emptied whole; the first one may need more moves than a plan may have: the next plans go on with it. */
export function pack(input: PackInput): Packing {
  let { state } = input;
  const moves: Move[] = [];
  const skipped: Skip[] = [];
  const emptied: Emptied[] = [];
  const room = packRoomOf(input.snapshot);
  const held = Map.groupBy(
    input.snapshot.vms.filter((vm) => occupiesMemory(vm.state)),
    ({ hostId }) => hostId,
  );
  const taking = new Set<HostId>();
  const gone = new Set(recentGivers(input.snapshot));
  for (const source of cheapestFirst(input, state, new Set(gone))) {
    const left = input.movesMax - moves.length;
    if (left <= 0 || (moves.length > 0 && source.vms.length > left)) break;
    if (taking.has(source.hostId)) continue;
    const attempt = emptyingOf(input, state, source, { room, gone, held });
    if (!attempt.ok) {
      if (skipped.length < namedMax) skipped.push(attempt.skip);
      continue;
    }
    const cost = { hostId: source.hostId, vms: source.vms.length, bytes: source.memoryPromisedBytes };
    for (const { vm, targetId } of attempt.steps.slice(0, left)) {
      const [from, target] = [findHost(state.cluster, source.hostId), findHost(state.cluster, targetId)];
      if (from === undefined || target === undefined) break;
      // What the steps before it have spent may not leave enough for this one: the next plans go on.
      if (input.book.placementFault(vm, targetId, whereWith(input.book.where, state.moved)) !== null) break;
      const high = room.highPercent(target, vm);
      const reasonOf = ({ destination }: Pick<Move, 'destination'>) => describePacked(vm, cost, destination, high);
      const step = takeMove(state, from, { vm, target }, reasonOf);
      moves.push({ ...step.move, cost: input.bounds.take(vm, source.hostId, targetId, null).cost });
      state = step.state;
      taking.add(targetId);
    }
    emptied.push(cost);
    gone.add(source.hostId);
  }
  return { state, moves, skipped: moves.length > 0 ? [] : skipped, emptied };
}

/**
 * Hosts that a VM has left less than `returnMsMin` ago. They are not filled: one of them may have been relieved, and one may have been begun
 * to be emptied.
 */
function recentGivers({ ledger, policy, takenAtMs }: Snapshot): readonly HostId[] {
  return ledger
    .filter(({ outcome, endedAtMs }) => outcome !== 'stayed' && takenAtMs - endedAtMs < policy.returnMsMin)
    .map(({ fromHostId }) => fromHostId);
}

/** Hosts in use that may give, by the memory that has to be copied to empty them; first those that may have been begun: none is left half done. */
function cheapestFirst({ sourceIds }: PackInput, { cluster }: Progress, begun: ReadonlySet<HostId>): readonly ClusterHost[] {
  const isLater = ({ hostId }: ClusterHost) => Number(!begun.has(hostId));
  return cluster.hosts
    .filter((host) => isInUse(host) && sourceIds.has(host.hostId))
    .toSorted(
      (a, b) =>
        isLater(a) - isLater(b) ||
        a.memoryPromisedBytes - b.memoryPromisedBytes ||
        a.vms.length - b.vms.length ||
        compareText(a.hostId, b.hostId),
    );
}

interface PackStep {
  readonly vm: ClusterVm;
  readonly targetId: HostId;
}

type Attempt = { readonly ok: true; readonly steps: readonly PackStep[] } | { readonly ok: false; readonly skip: Skip };

interface Surroundings {
  readonly room: PackRoom;
  /** What takes memory on each host. */
  readonly held: ReadonlyMap<HostId, readonly SnapshotVm[]>;
  /** Hosts that are not filled: the plan has emptied them, or they have given a VM away not long ago. */
  readonly gone: ReadonlySet<HostId>;
}

/** A place for each VM of the host, the largest first; or the first one that has none, and why. */
function emptyingOf(input: PackInput, state: Progress, source: ClusterHost, { room, gone, held }: Surroundings): Attempt {
  const { hostId } = source;
  for (const vm of (held.get(hostId) ?? []).toSorted((a, b) => compareText(a.vmId, b.vmId))) {
    const stay = input.stayOf(vm);
    if (stay !== null) return { ok: false, skip: skipVm(hostId, vm, stay) };
  }
  const targets = state.cluster.hosts.filter(
    (host) => host !== source && isInUse(host) && input.targetIds.has(host.hostId) && !gone.has(host.hostId),
  );
  const filled = new Map(targets.map((target) => [target.hostId, target]));
  const moved = new Map(state.moved);
  const steps: PackStep[] = [];
  for (const vm of source.vms.toSorted((a, b) => b.memoryBytes - a.memoryBytes || compareText(a.vmId, b.vmId))) {
    const target = fullestFor(input, room, filled, vm, moved);
    if (target === null) return { ok: false, skip: skipVm(hostId, vm, whyNoTarget(input, room, filled, vm, moved)) };
    filled.set(target.hostId, withVm(target, vm));
    moved.set(vm.vmId, target.hostId);
    steps.push({ vm, targetId: target.hostId });
  }
  const lacking = lackingWithout(input, hostId, moved);
  if (lacking === null) return { ok: true, steps };
  return { ok: false, skip: skipHost(hostId, lacking) };
}

type Filled = ReadonlyMap<HostId, ClusterHost>;

/** Of the hosts that may take it the one that would cost most to empty, so that it is the last to be. Rules are asked last: they cost most. */
function fullestFor(input: PackInput, room: PackRoom, filled: Filled, vm: ClusterVm, moved: ReadonlyMap<VmId, HostId>): ClusterHost | null {
  const where = whereWith(input.book.where, moved);
  let best: ClusterHost | null = null;
  for (const target of filled.values()) {
    // They come sorted by id, so the first of equals is the one to keep.
    if (best !== null && target.memoryPromisedBytes <= best.memoryPromisedBytes) continue;
    if (!room.hasNow(target, vm) || room.highPercent(target, vm) > room.highPercentMax) continue;
    const { hostId } = target;
    if (input.returns.fault(vm, hostId) === null && input.book.placementFault(vm, hostId, where) === null) best = target;
  }
  return best;
}

/** Said of the target that comes closest: first that rules close it, then what is expected, then room. */
function whyNoTarget(input: PackInput, room: PackRoom, filled: Filled, vm: ClusterVm, moved: ReadonlyMap<VmId, HostId>): Stay {
  const targets = [...filled.values()];
  if (targets.length === 0) return { code: 'no-target-fresh', reason: `no other host in use could take ${vm.name}` };
  const withRoom = targets.filter((target) => room.hasNow(target, vm));
  const where = whereWith(input.book.where, moved);
  for (const target of withRoom.filter((one) => room.highPercent(one, vm) <= room.highPercentMax)) {
    const fault = input.returns.fault(vm, target.hostId) ?? input.book.placementFault(vm, target.hostId, where);
    if (fault !== null) return fault;
  }
  const [calmest] = withRoom.toSorted((a, b) => room.highPercent(a, vm) - room.highPercent(b, vm) || compareText(a.hostId, b.hostId));
  if (calmest === undefined) {
    const lacks = targets.some((target) => room.hasMemory(target, vm)) ? 'cpu' : 'memory';
    const what = lacks === 'cpu' ? 'CPU' : 'memory';
    return { code: `no-target-${lacks}`, reason: `no other host in use has ${what} for ${vm.name} below its stop line` };
  }
  const unwatched = [vm, ...calmest.vms].find(({ vmId }) => room.isUnwatched(vmId));
  const because = unwatched === undefined ? '' : ` (${unwatched.name} has no forecast yet and may want all of its virtual CPUs)`;
  const high = percent(room.highPercent(calmest, vm));
  return {
    code: 'no-target-cpu',
    reason: `with ${vm.name} ${calmest.hostId} is expected to want up to ${high} CPU${because}, ${percent(room.highPercentMax)} is the most`,
  };
}

/** The hosts that stay in use must be able to lose one by themselves: those that are empty may be switched off. Null when they can. */
function lackingWithout({ snapshot, book }: PackInput, hostId: HostId, moved: ReadonlyMap<VmId, HostId>): Stay | null {
  const where = whereWith(book.where, moved);
  const used = new Set(snapshot.vms.filter(({ state }) => occupiesMemory(state)).map(({ vmId }) => where(vmId)));
  const hosts = snapshot.hosts.map((host) => (used.has(host.hostId) ? host : { ...host, cordoned: true }));
  const short = headroomOf({ ...snapshot, hosts })?.shortBytes(where) ?? 0;
  if (short === 0) return null;
  const reason = `without ${hostId} the hosts in use could not lose their largest one: ${memorySize(short)} of VMs would find no room`;
  return { code: 'headroom', reason };
}
