/** One fault in one phase of one migration, and what the oracle saw of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type GuestBeats, type LabGuest, waitFor } from '#lab/api.ts';
import { knownOn } from '#test/e2e/cluster.ts';
import type { MigrationResource } from '#wire/api.ts';
import { leaseHolders } from './locks.ts';
import { controllerLog, MigrationMoments, MomentMissed } from './moments.ts';
import { judgeSamples, newestCopies, type Sight } from './oracle/judge.ts';
import type { GuestSight } from './oracle/oracle.ts';
import type { FaultCase } from './plan.ts';
import { type Range, restartGuest } from './range.ts';
import type { Place, RunRecord } from './record.ts';
import { aim } from './strikes/all.ts';
import type { Scene, Strike } from './strikes/scene.ts';
import { violationsOf } from './violations.ts';

const closeMsMax = 180_000;
const settleMsMax = 30_000;

export interface Journey {
  readonly guest: string;
  readonly from: string;
  readonly to: string;
}

interface Struck {
  readonly atMs: number;
  readonly tookMs: number;
  /** The phase was over when it took effect. */
  readonly isLate: boolean;
  readonly hit: string;
}

/** What ended, and when that was seen. */
interface Closed {
  readonly migration: MigrationResource | null;
  readonly atMs: number | null;
}

export async function play(range: Range, one: FaultCase, journey: Journey): Promise<RunRecord> {
  const { cluster, oracle } = range;
  const guest = cluster.lab.guest(journey.guest);
  const sight = oracle.guest(journey.guest);
  const before = await begin(range, journey, guest);
  let migrationId: string | undefined;
  const scene: Scene = {
    cluster,
    guest: journey.guest,
    source: cluster.lab.host(journey.from),
    destination: cluster.lab.host(journey.to),
    sight,
    migrationId: () => {
      if (migrationId === undefined) throw new Error('no migration was begun');
      return migrationId;
    },
  };
  const strike = await aim(one.fault, scene);
  try {
    const moments = new MigrationMoments(
      await controllerLog(cluster.lab),
      sight,
      { source: journey.from, destination: journey.to },
      needsQemu(one),
    );
    sight.clear();
    const { request } = await cluster.client.migrate({ vm: journey.guest, toHostId: journey.to, wish: { method: 'pre-copy' } });
    migrationId = request.migrationId;
    const struck = await moments.at(one.phase, async (): Promise<Struck> => {
      const atMs = Date.now();
      const hit = await strike.strike();
      return { atMs, tookMs: Date.now() - atMs, isLate: await moments.isPast(one.phase), hit };
    });
    const closed = await seeItThrough(range, migrationId, strike, struck, sight);
    return await judge(range, one, { journey, before, struck, closed, strike, guest, sight, migrationId });
  } catch (error) {
    await strike.end();
    if (error instanceof MomentMissed && migrationId !== undefined) await untilClosed(range, migrationId, closeMsMax);
    throw error;
  }
}

function needsQemu({ fault }: FaultCase): boolean {
  return fault.endsWith('destination qemu');
}

async function begin({ cluster }: Range, { guest: name, from }: Journey, guest: LabGuest): Promise<GuestBeats> {
  await knownOn(cluster, name, from);
  await cluster.lab.client.reset(name);
  const before = await guest.beats();
  if (before === undefined) throw new Error(`${name} never beat`);
  return before;
}

/** Waits for the end of the migration and of the fault, and then for the VM to be in order. */
async function seeItThrough(range: Range, migrationId: string, strike: Strike, struck: Struck, sight: GuestSight): Promise<Closed> {
  const over = new AbortController();
  const fault = sleep(Math.max(0, strike.lastsMs - (Date.now() - struck.atMs)), undefined, { signal: over.signal })
    .catch(() => undefined)
    .then(() => strike.end());
  const closed = await untilClosed(range, migrationId, closeMsMax);
  if (strike.endsWithMigration) over.abort();
  await fault;
  const inOrder = () => {
    const states = Object.values(newestCopies(sight.samples));
    return states.filter((state) => state === 'running').length === 1 && states.filter((state) => state !== 'absent').length === 1;
  };
  const gone = () => Object.values(newestCopies(sight.samples)).every((state) => state === 'absent');
  await waitFor(() => inOrder() || gone(), { what: 'the VM to be in order', timeoutMs: settleMsMax, intervalMs: 50 }).catch(
    () => undefined,
  );
  return closed;
}

async function untilClosed({ cluster }: Range, migrationId: string, timeoutMs: number): Promise<Closed> {
  let migration: MigrationResource | null = null;
  const isClosed = async () => {
    migration = await cluster.client.migration(migrationId).catch(() => null);
    return migration !== null && migration.endedAtMs !== null;
  };
  const wait = { what: 'the end of the migration', timeoutMs, intervalMs: 50 };
  const isOver = await waitFor(isClosed, wait).catch(() => false);
  return { migration, atMs: isOver ? Date.now() : null };
}

interface Seen {
  readonly journey: Journey;
  readonly before: GuestBeats;
  readonly struck: Struck;
  readonly closed: Closed;
  readonly strike: Strike;
  readonly guest: LabGuest;
  readonly sight: GuestSight;
  readonly migrationId: string;
}

async function judge(range: Range, one: FaultCase, seen: Seen): Promise<RunRecord> {
  const { journey, before, struck, closed, guest, sight } = seen;
  const endMs = Date.now();
  const heard = await guest.beats();
  const seenOf: Sight = judgeSamples(sight.samples, { duplicates: heard?.duplicates ?? 0, largestGapMs: heard?.largestGapMs ?? 0 }, endMs);
  const vmKilled = isVmKilled(one, journey, sight);
  const holders = await leaseHolders(range.cluster.lab, journey.guest);
  const isRestarted = seenOf.runsOn.length === 0 && vmKilled && (await restartGuest(range, journey.guest, [journey.from, journey.to]));
  const beats = await goesOn(guest);
  const disk = await guest.diskLog();
  const place = isRestarted ? 'restarted' : placeOf(seenOf, journey);
  const recoveredMs = recoveredAtMs(seenOf, closed, vmKilled);
  const judged = {
    ...one,
    atMs: struck.atMs,
    ...journey,
    migrationId: seen.migrationId,
    said: saidOf(closed),
    place,
    isLate: struck.isLate,
    vmKilled,
    noneMs: Math.round(seenOf.noneMs),
    twoCopiesInARow: seenOf.twoCopiesInARow,
    recoveryMs: recoveredMs === null ? null : Math.max(0, recoveredMs - struck.atMs),
    vmBackMs: vmKilled || seenOf.runningSinceMs === null ? null : Math.max(0, seenOf.runningSinceMs - struck.atMs),
    afterFaultMs: recoveredMs === null ? null : Math.max(0, recoveredMs - struck.atMs - seen.strike.lastsMs),
    diskBad: disk.firstBadRecord !== undefined,
    guestErrors: beats === undefined ? 0 : errorsSince(before, beats),
    notes: [`${struck.hit}, in ${struck.tookMs} ms`, ...(closed.migration?.failure ? [closed.migration.failure.message] : [])],
  };
  const facts = {
    sight: seenOf,
    duplicates: heard?.duplicates ?? 0,
    beats: beats !== undefined,
    holders,
    isNewBoot: beats?.bootId !== before.bootId,
  };
  return { ...judged, violations: violationsOf(judged, facts) };
}

/** The process whose memory was the VM is gone: the source's until the destination has resumed, the destination's from then on. */
function isVmKilled({ fault }: FaultCase, { to }: Journey, sight: GuestSight): boolean {
  if (fault === 'kill source qemu') return true;
  const resumed = sight.events.some(({ host, name }) => host === to && name === 'RESUME');
  return resumed && (fault === 'kill destination qemu' || fault === 'memory full');
}

function placeOf({ runsOn, twoCopies }: Sight, { from }: Journey): Place {
  if (twoCopies) return 'two';
  if (runsOn.length === 0) return 'nowhere';
  return runsOn[0] === from ? 'source' : 'destination';
}

/** A VM whose process was killed is not waited for: the migration's end is what the driver can do about it. */
function recoveredAtMs({ runningSinceMs }: Sight, { atMs }: Closed, vmKilled: boolean): number | null {
  if (atMs === null) return null;
  if (runningSinceMs === null) return vmKilled ? atMs : null;
  return Math.max(atMs, runningSinceMs);
}

function saidOf({ migration, atMs }: Closed): string {
  if (migration === null) return 'no answer';
  const word = migration.failure === null ? migration.phase : `${migration.phase} (${migration.failure.code})`;
  return atMs === null ? `${word}, still open` : word;
}

/** The guest's beats some moments later; undefined when there are none. */
async function goesOn(guest: LabGuest): Promise<GuestBeats | undefined> {
  const from = (await guest.beats())?.received ?? 0;
  const more = async () => ((await guest.beats())?.received ?? 0) > from + 5;
  const isAlive = await waitFor(more, { what: `${guest.name} to beat on`, timeoutMs: 10_000 }).catch(() => false);
  return isAlive ? guest.beats() : undefined;
}

function errorsSince(before: GuestBeats, after: GuestBeats): number {
  const sum = ({ memoryErrors, diskErrors, kernelTroubles }: GuestBeats): number => memoryErrors + diskErrors + kernelTroubles;
  return after.bootId === before.bootId ? sum(after) - sum(before) : sum(after);
}
