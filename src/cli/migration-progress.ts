import type { MigrationResource } from '#wire/api.ts';
import { formatBytes, formatDuration, formatPercent, formatRate, printable } from './format.ts';

type Progress = NonNullable<MigrationResource['progress']>;

/** Ended and closed: its receipt can be read. */
export function isOver(migration: MigrationResource): boolean {
  return migration.endedAtMs !== null;
}

/** Ended, with its channel still up and its receipt not yet written. */
export function isBeingClosed(migration: MigrationResource): boolean {
  return !isOver(migration) && (migration.phase === 'done' || migration.phase === 'failed');
}

/** `copying`, `copying (VM stopped)`, `failed (no-memory), being closed` */
export function phaseOf(migration: MigrationResource): string {
  const phase = migration.failure === null ? migration.phase : `${migration.phase} (${migration.failure.code})`;
  return isBeingClosed(migration) ? `${phase}, being closed` : `${phase}${stageNote(migration)}`;
}

export function stageNote({ phase, progress }: MigrationResource): string {
  if (phase !== 'copying' || progress === null || progress.stage === 'copying') return '';
  if (progress.stage === 'stopped') return ' (VM stopped)';
  return progress.stage === 'post-copy' ? ' (post-copy)' : ' (post-copy broken, VM halted)';
}

export function abortNote(migration: MigrationResource): string {
  return migration.abortAsked && !isOver(migration) && !isBeingClosed(migration) ? ', abort asked' : '';
}

export function elapsedMs(migration: MigrationResource, nowMs: number): number {
  return (migration.endedAtMs ?? nowMs) - migration.request.askedAtMs;
}

/** Share of the VM's memory that need not be copied any more; dirty memory makes it fall again. */
export function donePercent(migration: MigrationResource): number | null {
  if (migration.phase === 'done') return 100;
  const { progress } = migration;
  if (progress === null || progress.memoryTotalBytes <= 0) return null;
  return Math.max(0, (1 - progress.memoryRemainingBytes / progress.memoryTotalBytes) * 100);
}

/** Null in the first round too: QEMU says 0 until it has looked for the first time, and knows of no downtime but the limit. */
export function dirtyBytesPerSecond({ dirtyPagesPerSecond, pageSizeBytes, iteration }: Progress): number | null {
  if (dirtyPagesPerSecond === 0 && iteration !== null && iteration <= 1) return null;
  return dirtyPagesPerSecond === null || pageSizeBytes === null ? null : dirtyPagesPerSecond * pageSizeBytes;
}

/** Something of the line. Where there is little room, first all of it is said shorter, then what has the highest rank is left out. */
interface Part {
  readonly rank: number;
  readonly text: string;
  readonly short?: string;
}

/**
 * One line of progress that fits into `columns`: where, phase, share done, what remains, rate against dirty rate, throttle, predicted end
 * and downtime, time since it was asked for.
 */
export function progressLine(migration: MigrationResource, nowMs: number, columns = Number.POSITIVE_INFINITY): string {
  const { request } = migration;
  const name = printable(request.vmName);
  const parts: readonly Part[] = [
    { rank: 0, text: `${name}: ${request.fromHostId} -> ${request.toHostId}`, short: name },
    { rank: 0, text: `${phaseOf(migration)}${abortNote(migration)}` },
    ...(migration.phase === 'copying' && migration.progress !== null ? copyingParts(migration, migration.progress, nowMs) : []),
    { rank: 6, text: formatDuration(elapsedMs(migration, nowMs)) },
  ];
  return lengthOf(parts) <= columns
    ? joined(parts)
    : fitting(
        parts.map(({ rank, text, short }) => ({ rank, text: short ?? text })),
        columns,
      );
}

function copyingParts(migration: MigrationResource, progress: Progress, nowMs: number): readonly Part[] {
  const dirty = dirtyBytesPerSecond(progress);
  const predictedMs = migration.plan?.prediction?.downtimeMs.expected ?? null;
  const downtimeMs = dirty === null ? (predictedMs ?? progress.expectedDowntimeMs) : (progress.expectedDowntimeMs ?? predictedMs);
  const end = endText(migration, nowMs);
  const last: readonly Part[] = [
    ...(end === null ? [] : [{ rank: 2, text: end }]),
    ...(downtimeMs === null || progress.stage !== 'copying' ? [] : [downtimePart(downtimeMs)]),
  ];
  // The hypervisor has not begun to count.
  if (progress.memoryTotalBytes <= 0) return last;
  return [
    { rank: 5, text: formatPercent(donePercent(migration)) },
    {
      rank: 1,
      text: `${formatBytes(progress.memoryRemainingBytes)} remaining`,
      short: `${formatBytes(progress.memoryRemainingBytes)} left`,
    },
    { rank: 3, text: `${formatRate(progress.bandwidthBytesPerSecond)}${dirty === null ? '' : `, dirtied ${formatRate(dirty)}`}` },
    ...(isThrottled(progress) ? [{ rank: 4, text: `slowed by ${formatPercent(progress.throttlePercent)}` }] : []),
    ...last,
  ];
}

function downtimePart(downtimeMs: number): Part {
  const about = `~${formatDuration(downtimeMs)}`;
  return { rank: 4, text: `downtime ${about}`, short: `down ${about}` };
}

export function isThrottled({ throttlePercent }: Progress): boolean {
  return throttlePercent !== null && throttlePercent > 0;
}

/**
 * When the copy is expected to end: by its prediction, else by what remains and how fast that shrinks. Null where neither says.
 * Without a prediction memory that is written again and again makes this too short, so it is only a hint.
 */
export function endText(migration: MigrationResource, nowMs: number): string | null {
  const { plan, progress, phase, phaseSinceMs } = migration;
  if (phase !== 'copying') return null;
  const predicted = plan?.prediction?.totalMs ?? null;
  if (predicted !== null) {
    const lateMs = nowMs - phaseSinceMs - predicted.expected;
    if (lateMs < 0) return `ends in ~${formatDuration(-lateMs)}`;
    return nowMs - phaseSinceMs <= predicted.high ? 'should end now' : `${formatDuration(lateMs)} later than predicted`;
  }
  const rate = progress?.bandwidthBytesPerSecond ?? null;
  if (progress === null || rate === null) return null;
  const shrinks = rate - (progress.stage === 'copying' ? (dirtyBytesPerSecond(progress) ?? 0) : 0);
  return shrinks > 0 ? `ends in ~${formatDuration((progress.memoryRemainingBytes / shrinks) * 1000)}` : 'does not shrink';
}

const gap = '  ';

function joined(parts: readonly Part[]): string {
  return parts.map(({ text }) => text).join(gap);
}

function lengthOf(parts: readonly Part[]): number {
  return joined(parts).length;
}

function fitting(parts: readonly Part[], columns: number): string {
  const highest = Math.max(...parts.map(({ rank }) => rank));
  if (lengthOf(parts) <= columns || highest === 0) return joined(parts);
  const last = parts.findLastIndex(({ rank }) => rank === highest);
  return fitting(
    parts.filter((_, index) => index !== last),
    columns,
  );
}
