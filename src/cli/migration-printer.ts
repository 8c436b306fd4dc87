import type { MigrateCheck, MigrationResource } from '#wire/api.ts';
import { formatAge, formatBytes, formatDuration, formatPercent, formatRate, formatTime, printable, unknown } from './format.ts';
import { channelFields } from './protection-printer.ts';
import { type Column, fields, table } from './table.ts';

/** All given migrations, one line each. */
export function printMigrations(migrations: readonly MigrationResource[], nowMs: number): string {
  const columns: readonly Column<MigrationResource>[] = [
    { title: 'MIGRATION', value: (migration) => migration.request.migrationId },
    { title: 'VM', value: (migration) => migration.request.vmName },
    { title: 'FROM', value: (migration) => migration.request.fromHostId },
    { title: 'TO', value: (migration) => migration.request.toHostId },
    { title: 'PHASE', value: phaseOf },
    { title: 'DONE', align: 'right', value: (migration) => formatPercent(donePercent(migration)) },
    { title: 'TOOK', align: 'right', value: (migration) => formatDuration(elapsedMs(migration, nowMs)) },
    { title: 'DOWNTIME', align: 'right', value: (migration) => formatDuration(migration.outcome?.downtimeMs ?? null) },
    { title: 'ASKED BY', value: (migration) => migration.request.askedBy },
    { title: 'ASKED', value: (migration) => formatAge(migration.request.askedAtMs, nowMs) },
  ];
  return table(columns, migrations, 'No migrations.');
}

/** One migration: who asked, how far it is, how it was protected and how it ended. */
export function printMigration(migration: MigrationResource, nowMs: number): string {
  const { request } = migration;
  return fields([
    ['migration', request.migrationId],
    ['VM', `${request.vmName} (${request.vmId})`],
    ['from', request.fromHostId],
    ['to', request.toHostId],
    ['asked', `${formatTime(request.askedAtMs)} by ${request.askedBy}${request.planId === null ? '' : `, plan ${request.planId}`}`],
    ...(request.approvedBy === null ? [] : [['approved', `by ${request.approvedBy}`] as const]),
    ['phase', phaseText(migration, nowMs)],
    ['took', formatDuration(elapsedMs(migration, nowMs))],
    ...progressFields(migration),
    ...outcomeFields(migration),
    ...channelFields(migration),
    ...resolutionFields(migration),
    ...(migration.failure === null ? [] : [['failure', `${migration.failure.code}: ${migration.failure.message}`] as const]),
  ]);
}

/** One line of progress: phase, share done, what remains, rate, time since it was asked for. */
export function progressLine(migration: MigrationResource, nowMs: number): string {
  const { request, progress } = migration;
  const where = `${printable(request.vmName)}: ${request.fromHostId} -> ${request.toHostId}`;
  const copied =
    progress === null
      ? []
      : [
          formatPercent(donePercent(migration)),
          `${formatBytes(progress.memoryRemainingBytes)} remaining`,
          formatRate(progress.bandwidthBytesPerSecond),
        ];
  return [where, `${phaseOf(migration)}${abortNote(migration)}`, ...copied, formatDuration(elapsedMs(migration, nowMs))].join('  ');
}

/** How a migration ended, in one line. */
export function outcomeLine(migration: MigrationResource, nowMs: number): string {
  const { request, outcome, failure } = migration;
  const took = formatDuration(elapsedMs(migration, nowMs));
  if (migration.phase === 'done') {
    return `${printable(request.vmName)} runs on ${request.toHostId} after ${took}, downtime ${formatDuration(outcome?.downtimeMs ?? null)}. Its receipt: plimsoll receipt show ${request.migrationId}`;
  }
  return `The migration of ${printable(request.vmName)} to ${request.toHostId} failed after ${took}: ${failure?.code ?? 'internal'}: ${printable(failure?.message ?? 'no reason was recorded')}`;
}

/** The answer of a dry run. */
export function printCheck(check: MigrateCheck): string {
  return [
    `${printable(check.vmName)}: ${check.fromHostId} -> ${check.toHostId}`,
    `  ${printable(check.reason)}`,
    check.refusal === null
      ? '  Nothing speaks against it. Nothing was moved.'
      : `  It would be refused: ${check.refusal.code}: ${printable(check.refusal.message)}`,
  ].join('\n');
}

/** Ended and closed: its receipt can be read. */
export function isOver(migration: MigrationResource): boolean {
  return migration.endedAtMs !== null;
}

/** Ended, with its channel still up and its receipt not yet written. */
function isBeingClosed(migration: MigrationResource): boolean {
  return !isOver(migration) && (migration.phase === 'done' || migration.phase === 'failed');
}

function phaseOf(migration: MigrationResource): string {
  const phase = migration.failure === null ? migration.phase : `${migration.phase} (${migration.failure.code})`;
  return isBeingClosed(migration) ? `${phase}, being closed` : phase;
}

function phaseText(migration: MigrationResource, nowMs: number): string {
  if (migration.endedAtMs !== null) return `${migration.phase} at ${formatTime(migration.endedAtMs)}`;
  const closing = isBeingClosed(migration) ? ', being closed' : '';
  return `${migration.phase}${closing} for ${formatDuration(nowMs - migration.phaseSinceMs)}${abortNote(migration)}`;
}

function abortNote(migration: MigrationResource): string {
  return migration.abortAsked && !isOver(migration) && !isBeingClosed(migration) ? ', abort asked' : '';
}

function elapsedMs(migration: MigrationResource, nowMs: number): number {
  return (migration.endedAtMs ?? nowMs) - migration.request.askedAtMs;
}

/** Share of the VM's memory that need not be copied any more; dirty memory makes it fall again. */
function donePercent(migration: MigrationResource): number | null {
  if (migration.phase === 'done') return 100;
  const { progress } = migration;
  if (progress === null || progress.memoryTotalBytes <= 0) return null;
  return Math.max(0, (1 - progress.memoryRemainingBytes / progress.memoryTotalBytes) * 100);
}

type Field = readonly [name: string, value: string];

function progressFields(migration: MigrationResource): readonly Field[] {
  const { progress } = migration;
  if (progress === null || isOver(migration) || isBeingClosed(migration)) return [];
  const dirtyBytesPerSecond =
    progress.dirtyPagesPerSecond === null || progress.pageSizeBytes === null ? null : progress.dirtyPagesPerSecond * progress.pageSizeBytes;
  return [
    [
      'copied',
      `${formatPercent(donePercent(migration))}, ${formatBytes(progress.memoryRemainingBytes)} of ${formatBytes(progress.memoryTotalBytes)} remaining`,
    ],
    ['rate', `${formatRate(progress.bandwidthBytesPerSecond)}, dirtied ${formatRate(dirtyBytesPerSecond)}`],
    ['iteration', progress.iteration === null ? unknown : String(progress.iteration)],
    ['expected downtime', formatDuration(progress.expectedDowntimeMs)],
  ];
}

function outcomeFields(migration: MigrationResource): readonly Field[] {
  const { outcome } = migration;
  if (outcome === null) return [];
  return [
    ['downtime', formatDuration(outcome.downtimeMs)],
    ['memory sent', `${formatBytes(outcome.memorySentBytes)} in ${formatDuration(outcome.totalMs)}`],
    ['iterations', outcome.iterations === null ? unknown : String(outcome.iterations)],
  ];
}

/** While both hosts are asked where the VM is. */
function resolutionFields({ resolution }: MigrationResource): readonly Field[] {
  if (resolution === null) return [];
  return [
    ['asking both hosts', `${resolution.verdict} since ${formatTime(resolution.sinceMs)}, confirmed ${resolution.confirmations} times`],
  ];
}
