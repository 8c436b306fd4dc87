import type { PlanResource } from '#wire/api.ts';
import { formatAge, formatBytes, formatDuration, formatPercent, formatScore, printable } from './format.ts';
import { type Column, table } from './table.ts';

type MoveResource = PlanResource['moves'][number];
type LoadChangeResource = MoveResource['source'];
type SkipResource = PlanResource['skipped'][number];

const skipColumns: readonly Column<SkipResource>[] = [
  { title: 'HOST', value: (skip) => skip.hostId },
  { title: 'VM', value: (skip) => skip.vmName ?? skip.vmId ?? '(whole host)' },
  { title: 'BECAUSE', value: (skip) => skip.code },
  { title: 'REASON', value: (skip) => skip.reason },
];

/** A plan as numbered steps with score before and after, the reason for each, and what was left alone. */
export function printPlan(plan: PlanResource, nowMs: number): string {
  return [
    ...heading(plan, nowMs),
    ...plan.moves.flatMap((move, index) => moveLines(move, index, roundsOf(plan))),
    ...skippedLines(plan),
    ...applyLines(plan, nowMs),
  ].join('\n');
}

function heading(plan: PlanResource, nowMs: number): readonly string[] {
  const rounds = roundsOf(plan);
  const count = `${plan.moves.length} ${plan.moves.length === 1 ? 'move' : 'moves'}${rounds > 1 ? ` in ${rounds} rounds` : ''}`;
  const score = `score ${formatScore(plan.scoreBefore)} -> ${formatScore(plan.scoreAfter)}`;
  const expiry = isExpired(plan, nowMs) ? 'expired' : `expires in ${formatDuration(plan.expiresAtMs - nowMs)}`;
  return [
    `Plan ${plan.planId}: ${plan.verdict}, ${count}, ${score}`,
    `  ${printable(plan.summary)}`,
    `  made ${formatAge(plan.createdAtMs, nowMs)}, ${expiry}${plan.parentPlanId === null ? '' : `, after plan ${plan.parentPlanId}`}`,
  ];
}

/** 0 for a plan of before there were rounds. */
function roundsOf({ moves }: PlanResource): number {
  return moves.reduce((most, { round = 0 }) => Math.max(most, round), 0);
}

function moveLines(move: MoveResource, index: number, rounds: number): readonly string[] {
  const round = rounds > 1 ? `round ${move.round}, ` : '';
  const score = `score ${formatScore(move.scoreBefore)} -> ${formatScore(move.scoreAfter)}`;
  return [
    '',
    `${String(index + 1).padStart(3)}. ${printable(move.vmName)}: ${move.fromHostId} -> ${move.toHostId}   ${round}${score}`,
    `     ${printable(move.reason)}`,
    `     ${loadLine(move.source)}`,
    `     ${loadLine(move.destination)}`,
    ...(move.cost === undefined ? [] : [`     ${costLine(move.cost)}`]),
  ];
}

function costLine(cost: NonNullable<MoveResource['cost']>): string {
  const { bytes, bytesBy, durationMs, downtimeMs, slaClass, priceCoreSeconds, savedCoreSeconds } = cost;
  const parts = [
    `sends about ${formatBytes(bytes)}${bytesBy === 'memory' ? ' (all its memory once)' : ''}`,
    durationMs === null ? 'no channel was measured yet' : `takes about ${formatDuration(durationMs)}`,
    ...(downtimeMs === null ? [] : [`stops it for about ${formatDuration(downtimeMs)}`]),
    ...(savedCoreSeconds === null
      ? []
      : [`saves ${formatCoreSeconds(savedCoreSeconds)}, price ${formatCoreSeconds(priceCoreSeconds ?? 0)}`]),
    `class ${slaClass}`,
  ];
  return `cost: ${parts.join('; ')}`;
}

function formatCoreSeconds(value: number): string {
  return `${Math.round(value)} core-seconds`;
}

function loadLine(change: LoadChangeResource): string {
  const cpu = `CPU ${formatPercent(change.cpuBeforePercent)} -> ${formatPercent(change.cpuAfterPercent)}`;
  const memory = `memory ${formatPercent(change.memoryBeforePercent)} -> ${formatPercent(change.memoryAfterPercent)}`;
  return `${change.hostId}: ${cpu}, ${memory}`;
}

function skippedLines(plan: PlanResource): readonly string[] {
  if (plan.skipped.length === 0) return [];
  const rows = table(skipColumns, plan.skipped, '')
    .split('\n')
    .map((line) => `  ${line}`);
  return ['', 'Skipped:', ...rows];
}

function applyLines(plan: PlanResource, nowMs: number): readonly string[] {
  if (plan.moves.length === 0) return [];
  if (isExpired(plan, nowMs)) return ['', "This plan has expired: 'plimsoll plan new' makes a fresh one."];
  return ['', `Apply it with: plimsoll plan apply ${plan.planId}`];
}

function isExpired(plan: PlanResource, nowMs: number): boolean {
  return plan.expiresAtMs <= nowMs;
}
