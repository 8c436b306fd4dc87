import type { MigrationResource } from '#wire/api.ts';
import { formatAge, formatBytes, formatDuration, formatPercent, formatRate, formatTime, printable, unknown } from './format.ts';
import { happened, printArrival, printMeasures, printPrediction } from './measures-printer.ts';
import {
  abortNote,
  dirtyBytesPerSecond,
  donePercent,
  elapsedMs,
  endText,
  isBeingClosed,
  isOver,
  isThrottled,
  phaseOf,
  stageNote,
} from './migration-progress.ts';
import { channelFields } from './protection-printer.ts';
import { type Column, fields, table } from './table.ts';
import { predictionBasis, printDecisions, printPlanOf, wishText } from './transfer-printer.ts';

export { isOver, progressLine } from './migration-progress.ts';

/** All given migrations, one line each. */
export function printMigrations(migrations: readonly MigrationResource[], nowMs: number, width?: number): string {
  const columns: readonly Column<MigrationResource>[] = [
    { title: 'MIGRATION', value: (migration) => migration.request.migrationId },
    { title: 'VM', value: (migration) => migration.request.vmName },
    { title: 'FROM', value: (migration) => migration.request.fromHostId },
    { title: 'TO', value: (migration) => migration.request.toHostId },
    { title: 'METHOD', value: methodOf, rank: 2 },
    { title: 'PHASE', value: phaseOf },
    { title: 'DONE', align: 'right', value: (migration) => formatPercent(donePercent(migration)), rank: 1 },
    { title: 'TOOK', align: 'right', value: (migration) => formatDuration(elapsedMs(migration, nowMs)) },
    { title: 'DOWNTIME', align: 'right', value: (migration) => formatDuration(happened(migration).downtimeMs) },
    { title: 'ASKED BY', value: (migration) => migration.request.askedBy, rank: 4 },
    { title: 'ASKED', value: (migration) => formatAge(migration.request.askedAtMs, nowMs), rank: 3 },
  ];
  return table(columns, migrations, 'No migrations.', width);
}

/** How it was moved, is being moved, or is to be moved; not known of one that ended before that was chosen. */
export function methodOf({ measures, plan, request, endedAtMs }: MigrationResource): string {
  const method = measures?.method ?? plan?.options.method ?? request.wish.method;
  return method === 'auto' && endedAtMs !== null ? unknown : method;
}

/** One migration: who asked, how far it is, how it was moved and protected, what that cost and how it ended. */
export function printMigration(migration: MigrationResource, nowMs: number): string {
  const { request } = migration;
  const wish = wishText(request.wish);
  const head = fields([
    ['migration', request.migrationId],
    ['VM', `${request.vmName} (${request.vmId})`],
    ['from', request.fromHostId],
    ['to', request.toHostId],
    ['asked', `${formatTime(request.askedAtMs)} by ${request.askedBy}${request.planId === null ? '' : `, plan ${request.planId}`}`],
    ...(wish === null ? [] : [['asked for', wish] as const]),
    ...(request.approvedBy === null ? [] : [['approved', `by ${request.approvedBy}`] as const]),
    ['phase', phaseText(migration, nowMs)],
    ['took', formatDuration(elapsedMs(migration, nowMs))],
    ...progressFields(migration, nowMs),
    ...outcomeFields(migration),
    ...channelFields(migration),
    ...resolutionFields(migration),
    ...(migration.failure === null ? [] : [['failure', `${migration.failure.code}: ${migration.failure.message}`] as const]),
    ...(isOver(migration) ? [['receipt', `plimsoll receipt show ${request.migrationId}`] as const] : []),
  ]);
  return [head, ...sectionsOf(migration)].join('\n\n');
}

function sectionsOf(migration: MigrationResource): readonly string[] {
  const { plan, decisions, measures, request } = migration;
  const prediction = plan?.prediction ?? null;
  const arrival = measures?.arrival ?? null;
  const decided = printDecisions(decisions, plan);
  return [
    ...(plan === null ? [] : [`Plan:\n${printPlanOf(plan)}`]),
    ...(prediction === null ? [] : [predictionSection(migration, prediction)]),
    ...(decided === null ? [] : [`Decisions:\n${decided}`]),
    ...(measures === null ? [] : [`Measured:\n${printMeasures(measures, request)}`]),
    ...(arrival === null ? [] : [`After its arrival on ${request.toHostId}:\n${printArrival(arrival)}`]),
  ];
}

/** Only a migration that moved its VM can be compared with what was predicted. */
function predictionSection(
  migration: MigrationResource,
  prediction: NonNullable<NonNullable<MigrationResource['plan']>['prediction']>,
): string {
  const moved = migration.phase === 'done';
  return [
    moved ? 'Prediction and outcome (OFF BY: in percent of what happened; + too much was predicted):' : 'Prediction:',
    printPrediction(prediction, moved ? happened(migration) : null),
    `  ${predictionBasis(prediction)}`,
  ].join('\n');
}

/** How a migration ended, in one line. */
export function outcomeLine(migration: MigrationResource, nowMs: number): string {
  const { request, failure } = migration;
  const took = formatDuration(elapsedMs(migration, nowMs));
  if (migration.phase === 'done') {
    return `${printable(request.vmName)} runs on ${request.toHostId} after ${took}, downtime ${downtimeText(migration)}. Its receipt: plimsoll receipt show ${request.migrationId}`;
  }
  return `The migration of ${printable(request.vmName)} to ${request.toHostId} failed after ${took}: ${failure?.code ?? 'internal'}: ${printable(failure?.message ?? 'no reason was recorded')}`;
}

function downtimeText(migration: MigrationResource): string {
  const outside = migration.measures?.outside ?? null;
  const word = formatDuration(happened(migration).downtimeMs);
  return outside === null ? word : `${word} (${formatDuration(outside.downtimeMs)} from outside)`;
}

/** The phase, and what is known of those before it. */
function phaseText(migration: MigrationResource, nowMs: number): string {
  const { request, proof, phase, phaseSinceMs } = migration;
  const proven = proof === null ? '' : `; channel proven ${formatDuration(proof.provenAtMs - request.askedAtMs)} after it was asked for`;
  if (migration.endedAtMs !== null) return `${phase} at ${formatTime(migration.endedAtMs)}${proven}`;
  const note = isBeingClosed(migration) ? ', being closed' : stageNote(migration);
  return `${phase}${note} for ${formatDuration(nowMs - phaseSinceMs)}${abortNote(migration)}${proven}`;
}

type Field = readonly [name: string, value: string];

function progressFields(migration: MigrationResource, nowMs: number): readonly Field[] {
  const { progress } = migration;
  if (progress === null || isOver(migration) || isBeingClosed(migration)) return [];
  const end = endText(migration, nowMs);
  return [
    [
      'copied',
      `${formatPercent(donePercent(migration))}, ${formatBytes(progress.memoryRemainingBytes)} of ${formatBytes(progress.memoryTotalBytes)} remaining`,
    ],
    ['rate', `${formatRate(progress.bandwidthBytesPerSecond)}, dirtied ${formatRate(dirtyBytesPerSecond(progress))}`],
    ...(isThrottled(progress) ? [['slowed', `the VM, by ${formatPercent(progress.throttlePercent)} of its CPU time`] as const] : []),
    ['iteration', progress.iteration === null ? unknown : String(progress.iteration)],
    ['expected downtime', formatDuration(progress.expectedDowntimeMs)],
    ...(end === null ? [] : [['forecast', end] as const]),
  ];
}

/** The hypervisor's own word, until there are measures. */
function outcomeFields({ outcome, measures }: MigrationResource): readonly Field[] {
  if (outcome === null || measures !== null) return [];
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
