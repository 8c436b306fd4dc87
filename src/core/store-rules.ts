/** Rules that every store keeps, the real one and those in memory. */
import { outcomeOf } from './migration/step.ts';
import type { LedgerEntry } from './model/ledger.ts';
import type { Migration } from './model/migration.ts';
import type { PlanCourse, StartedMove } from './model/plan-course.ts';
import { PlimsollError } from './model/result.ts';
import type { Sample } from './model/sample.ts';
import { percentOf } from './model/units.ts';
import type { CertificateRecord, HistoryPoint, MigrationQuery } from './store.ts';

/** What a store says to a controller that it does not belong to any more. `what`: as in `write a migration`. */
export function replaced(what: string): PlimsollError {
  return new PlimsollError(
    'controller-replaced',
    `Could not ${what}: another controller has taken this database over. One at a time may run: end the other one to start this one again.`,
  );
}

export function isReplaced(error: unknown): error is PlimsollError {
  return error instanceof PlimsollError && error.code === 'controller-replaced';
}

/** Hosts get a new certificate each day: those that ended longer ago than this tell nobody anything. */
export const endedCertificatesKeptMs = 30 * 86_400_000;

/** With a host's new certificate, its long ended ones go. */
export function isLongEnded(kept: CertificateRecord, saved: CertificateRecord): boolean {
  return kept.hostId === saved.hostId && kept.notAfterMs < saved.notBeforeMs - endedCertificatesKeptMs;
}

/** By what a migration is found; null while it is under way. */
export function keptOutcomeOf(migration: Migration): LedgerEntry['outcome'] | null {
  return migration.endedAtMs === null ? null : outcomeOf(migration);
}

/** Newest first; of those asked for at the same time the one saved first comes last. `kept`: in the order of first saving. */
export function wantedMigrations(kept: Iterable<Migration>, query: MigrationQuery): readonly Migration[] {
  return [...kept]
    .filter((migration) => isWanted(migration, query))
    .toReversed()
    .toSorted((a, b) => b.request.askedAtMs - a.request.askedAtMs)
    .slice(0, query.limit);
}

function isWanted(migration: Migration, { open, vmId, hostId, outcome, sinceMs, untilMs }: MigrationQuery): boolean {
  const { request, endedAtMs } = migration;
  return (
    (open === undefined || (endedAtMs === null) === open) &&
    (vmId === undefined || request.vmId === vmId) &&
    (hostId === undefined || request.fromHostId === hostId || request.toHostId === hostId) &&
    (outcome === undefined || keptOutcomeOf(migration) === outcome) &&
    (sinceMs === undefined || request.askedAtMs >= sinceMs) &&
    (untilMs === undefined || request.askedAtMs < untilMs)
  );
}

/** A first sample has no CPU reading yet and is no point of history. */
export function historyPointOf({ hostId, takenAtMs, host }: Sample): HistoryPoint | null {
  if (host.cpuUsedCores === null) return null;
  return {
    hostId,
    atMs: takenAtMs,
    cpuPercent: percentOf(host.cpuUsedCores, host.capacity.cpuCores),
    memoryPercent: percentOf(host.memoryUsedBytes, host.capacity.memoryBytes),
  };
}

/** Of these plans, by their ids. */
export function coursesOf(kept: Iterable<PlanCourse>, planIds: readonly string[]): readonly PlanCourse[] {
  const wanted = new Set(planIds);
  return [...kept].filter(({ planId }) => wanted.has(planId)).toSorted((a, b) => (a.planId < b.planId ? -1 : 1));
}

/** The oldest rejection first; of several at the same time, by the plan's id. */
export function rejectedCourses(kept: Iterable<PlanCourse>, sinceMs: number): readonly PlanCourse[] {
  const atMs = ({ rejection }: PlanCourse) => rejection?.atMs ?? Number.NEGATIVE_INFINITY;
  return [...kept].filter((course) => atMs(course) >= sinceMs).toSorted((a, b) => atMs(a) - atMs(b) || (a.planId < b.planId ? -1 : 1));
}

/** `kept`: in the order of first saving. */
export function startedMovesOf(kept: Iterable<Migration>, planIds: readonly string[]): readonly StartedMove[] {
  const wanted = new Set(planIds);
  return [...kept].flatMap(({ request: { planId, vmId, migrationId } }) =>
    planId !== null && wanted.has(planId) ? [{ planId, vmId, migrationId }] : [],
  );
}
