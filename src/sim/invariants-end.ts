/** What must hold when all faults have been mended and T_rec has passed: the cluster is whole, all is closed, and nothing is left behind. */
import type { LedgerEntry } from '#core/model/ledger.ts';
import { type Breach, breach } from './breach.ts';
import type { HomeChange } from './copy-watch.ts';
import type { Guest } from './guest.ts';
import type { SimHost } from './host.ts';
import type { Watched } from './invariants.ts';
import type { World } from './world.ts';

/** More than any interval between samples, and any agent's wait before it dials again. */
const silentMsMax = 60_000;

export interface Rested extends Watched {
  readonly homeChanges: readonly HomeChange[];
  readonly watchesLeft: readonly { readonly hostId: string; readonly watchId: string }[];
  /** When a host last sent a sample, by the simulation's own time; null: never. */
  readonly sampledAtMs: (hostId: string) => number | null;
  /** Names of VMs that are started again when they have died. */
  readonly restartable: ReadonlySet<string>;
}

export function breachesAtRest(rested: Rested): readonly Breach[] {
  const { world } = rested;
  return [
    ...world.guests.flatMap((guest) => whole(rested, guest)),
    ...world.hosts.flatMap((host) => heardOf(rested, host)),
    ...closed(rested),
    ...world.hosts.flatMap((host) => leftOn(world, host)),
    ...[...world.jobs, ...world.broken]
      .filter(({ guest }) => !isLeftToPerson(rested, guest))
      .map((job) => breach('left-behind', `the hypervisors still move ${job.guest.name}`)),
    ...rested.watchesLeft.map(({ hostId, watchId }) => breach('left-behind', `${hostId} still watches for ${watchId}`)),
    ...ledgerTruth(rested),
  ];
}

/** Exactly one copy that runs, with nothing at work on it. A VM that died runs again if its operator has marked it. */
function whole(rested: Rested, guest: Guest): readonly Breach[] {
  const { world, restartable } = rested;
  if (isLeftToPerson(rested, guest)) return [];
  const copies = world.copiesOf(guest.vmId).filter(({ copy }) => copy.state !== 'shut-off' && copy.state !== 'crashed');
  const running = copies.filter(({ copy }) => copy.state === 'running');
  const isForgiven = world.casualties.has(guest.vmId) && !restartable.has(guest.name);
  if (running.length !== 1 && !isForgiven) {
    const where = world.copiesOf(guest.vmId).map(({ host, copy }) => `${copy.state} on ${host.hostId}`);
    return [breach('not-whole', `${guest.name} has ${running.length} running copies: ${where.join(', ') || 'it is nowhere'}`)];
  }
  return copies.flatMap(({ host, copy }) => {
    if (copy.state !== 'running') return [breach('left-behind', `${host.hostId} has a copy of ${guest.name} that is ${copy.state}`)];
    if (copy.jobActive || copy.postCopy !== null || copy.throttlePercent > 0)
      return [breach('left-behind', `${guest.name} runs on ${host.hostId}, and something is still at work on it`)];
    return [];
  });
}

/**
 * What is left of it nobody touches, and its migration says so: half of its memory is lost with a QEMU that was killed in mid-post-copy; or
 * it has ended where it arrived and its source holds an older copy, of a VM that nobody has marked to be started again.
 */
function isLeftToPerson({ world, store, restartable }: Rested, { vmId, name }: Guest): boolean {
  const newest = store
    .allMigrations()
    .filter(({ request }) => request.vmId === vmId)
    .at(-1);
  const code = newest?.failure?.code;
  const isCalledFor = code === 'memory-lost' || (code === 'zero-copies' && !restartable.has(name));
  return isCalledFor && world.casualties.has(vmId);
}

/** Every host is in the cluster again. */
function heardOf({ world, sampledAtMs }: Rested, { hostId }: SimHost): readonly Breach[] {
  const atMs = sampledAtMs(hostId);
  if (atMs !== null && world.time.elapsedMs - atMs <= silentMsMax) return [];
  return [breach('not-whole', `${hostId} has sent no sample ${atMs === null ? 'at all' : `for ${world.time.elapsedMs - atMs} ms`}`)];
}

function closed({ store }: Rested): readonly Breach[] {
  return store
    .allMigrations()
    .filter(({ endedAtMs }) => endedAtMs === null)
    .map(({ request, phase }) => breach('not-closed', `the migration of ${request.vmName} is still ${phase}`));
}

/** A host that is off has no daemons; what its disk keeps counts all the same. */
function leftOn(world: World, host: SimHost): readonly Breach[] {
  const { hostId, filter, images, charon } = host;
  const exempt = filter.state(world.time.nowMs).exemptPeers;
  const tuned = [...world.sizes.tunings(hostId)];
  return [
    ...exempt.map((peer) => breach('left-behind', `the guard of ${hostId} lets plain text to ${peer} pass`)),
    ...[...images.kept].map(([, { guest }]) => breach('left-behind', `${hostId} keeps an image of ${guest.name}`)),
    ...[...images.begun].map((vmId) => breach('left-behind', `${hostId} has begun to restore ${vmId}`)),
    ...charon.sas.map((sa) => breach('left-behind', `${hostId} has an SA with ${sa.peerHostId}`)),
    ...tuned.map(() => breach('left-behind', `${hostId} has network settings of a migration`)),
  ];
}

/**
 * The ledger says what happened: each VM went from host to host as its entries say. What a person has to look at (`unclear`) may have
 * moved or not. A VM that was started anew, or restored from an image, did not go: those entries have no change of home that was seen.
 */
function ledgerTruth({ world, store, homeChanges }: Rested): readonly Breach[] {
  const images = new Set(
    store
      .allMigrations()
      .filter(({ request, plan }) => request.channelKind === 'sealed-image' || plan?.options.method === 'save-restore')
      .map(({ request }) => request.migrationId),
  );
  return world.guests.flatMap((guest) => {
    const entries = store.allLedger().filter(({ vmId, migrationId }) => vmId === guest.vmId && !images.has(migrationId));
    const said = entries.filter(({ outcome }) => outcome === 'moved');
    const seen = homeChanges.filter(({ vmId }) => vmId === guest.vmId);
    const unsaid = without(seen, said).filter(
      (change) => !entries.some((entry) => entry.outcome === 'unclear' && isSameWay(change, entry)),
    );
    return [
      ...unsaid.map((change) => breach('ledger-untrue', `${guest.name} went from ${wayOf(change)}, the ledger does not say so`)),
      ...without(said, seen).map((entry) => breach('ledger-untrue', `the ledger has ${guest.name} go from ${wayOf(entry)}, it did not`)),
    ];
  });
}

type Way = Pick<LedgerEntry, 'fromHostId' | 'toHostId'>;

/** Those of `ways` that have no partner in `others`; each of these is the partner of one. */
function without<One extends Way>(ways: readonly One[], others: readonly Way[]): readonly One[] {
  const left = [...others];
  return ways.filter((way) => {
    const partner = left.findIndex((other) => isSameWay(way, other));
    if (partner < 0) return true;
    left.splice(partner, 1);
    return false;
  });
}

function isSameWay(one: Way, other: Way): boolean {
  return one.fromHostId === other.fromHostId && one.toHostId === other.toHostId;
}

function wayOf({ fromHostId, toHostId }: Way): string {
  return `${fromHostId} to ${toHostId}`;
}
