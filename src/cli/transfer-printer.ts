/** How a VM's memory is moved, and what that is expected to cost, as it is printed. */
import type { MigrationResource } from '#wire/api.ts';
import { formatBytes, formatDuration, formatPercent, formatRate, formatTime, printable } from './format.ts';
import { type Column, fields, table } from './table.ts';

export type TransferPlan = NonNullable<MigrationResource['plan']>;
export type Prediction = NonNullable<TransferPlan['prediction']>;
export type Decision = MigrationResource['decisions'][number];
type Options = TransferPlan['options'];
type Pilot = TransferPlan['pilot'];
type Rung = Pilot['ladder'][number];
type Wish = MigrationResource['request']['wish'];
type Range = Prediction['totalMs'];

/** `pre-copy, 4 streams, xbzrle, at most 100 MiB/s, downtime limit 300 ms` */
export function optionsText(options: Options): string {
  const { autoConverge, streams, compression, bandwidthBytesPerSecond } = options;
  return [
    options.method,
    ...(autoConverge === null ? [] : [`slowed down from ${autoConverge.initialPercent} % in steps of ${autoConverge.incrementPercent} %`]),
    ...(streams === 1 ? [] : [`${streams} streams`]),
    ...(compression === 'none' ? [] : [compression]),
    ...(bandwidthBytesPerSecond === 0 ? [] : [`at most ${formatRate(bandwidthBytesPerSecond)}`]),
    `downtime limit ${formatDuration(options.downtimeMsMax)}`,
  ].join(', ');
}

/** What the autopilot may try, in its order: `balanced: raise the downtime limit to 1.0 s; begin again with xbzrle; give up`. */
export function pilotText(pilot: Pilot): string {
  const rungs = pilot.ladder.filter((rung) => rung.kind !== 'post-copy' || pilot.allowPostCopy).map((rung) => rungText(rung, pilot));
  return `${pilot.preset}: ${[...rungs, 'give up, the VM stays'].join('; ')}`;
}

function rungText(rung: Rung, pilot: Pilot): string {
  if (rung.kind === 'streams') return `begin again with ${rung.streams} streams`;
  if (rung.kind === 'compress') return `begin again with ${rung.compression}`;
  if (rung.kind === 'auto-converge') return `slow the VM down from ${rung.initialPercent} %`;
  if (rung.kind === 'raise-downtime') return `raise the downtime limit to ${formatDuration(pilot.downtimeMsBudget)}`;
  if (rung.kind === 'stop-and-copy') return `stop the VM for ${formatDuration(pilot.stopMsMax)} at most`;
  return rung.kind;
}

/** What somebody asked for beside VM and host; null when all was left to the policy. */
export function wishText(wish: Wish): string | null {
  const { method, preset, autoConverge, streams, compression, bandwidthBytesPerSecond, downtimeMsMax } = wish;
  const parts = [
    ...(method === 'auto' ? [] : [method]),
    ...(preset === undefined ? [] : [`preset ${preset}`]),
    ...(autoConverge === undefined ? [] : [autoConverge ? 'auto-converge' : 'no auto-converge']),
    ...(streams === undefined ? [] : [streams === 1 ? '1 stream' : `${streams} streams`]),
    ...(compression === undefined ? [] : [`compression ${compression}`]),
    ...(bandwidthBytesPerSecond === undefined ? [] : [capText(bandwidthBytesPerSecond)]),
    ...(downtimeMsMax === undefined ? [] : [`downtime limit ${formatDuration(downtimeMsMax)}`]),
  ];
  return parts.length === 0 ? null : parts.join(', ');
}

function capText(bytesPerSecond: number): string {
  return bytesPerSecond === 0 ? 'no bandwidth cap' : `at most ${formatRate(bytesPerSecond)}`;
}

/** One line: what it is expected to cost. */
export function predictionLine({ totalMs, downtimeMs, bytes, rounds }: Prediction): string {
  return `predicted: ${rangeText(totalMs, formatDuration)} in all, downtime ${rangeText(downtimeMs, formatDuration)}, ${formatBytes(bytes.expected)} in ${roundsText(rounds)}`;
}

export function roundsText(rounds: number): string {
  return rounds === 1 ? '1 round' : `${rounds} rounds`;
}

/** `8.1 s (7.0 s to 10.2 s)` */
export function rangeText({ low, expected, high }: Range, format: (value: number) => string): string {
  return `${format(expected)} (${format(low)} to ${format(high)})`;
}

export function formatBytesRounded(bytes: number): string {
  return formatBytes(Math.round(bytes));
}

/** What a prediction was made from. */
export function predictionBasis({ activity, bandwidth, correctedBy, converges }: Prediction): string {
  const { usedBytes } = activity;
  const sentences = [
    `The VM ${usedBytes === null ? 'writes' : `uses ${formatBytesRounded(usedBytes)} and writes`} ${formatRate(activity.dirtyBytesPerSecond)}, to ${formatBytesRounded(activity.workingSetBytes)} again and again (measured for ${formatDuration(activity.measuredForMs)}, ${formatTime(activity.measuredAtMs)}).`,
    `The channel carries ${formatRate(bandwidth.bytesPerSecond)} (${bandwidth.by === 'stream' ? 'measured by a stream' : 'as the last migration'}, ${formatTime(bandwidth.measuredAtMs)}).`,
    correctedBy === 0
      ? 'No earlier migration corrects this.'
      : `Corrected by ${correctedBy} earlier ${correctedBy === 1 ? 'migration' : 'migrations'}.`,
    ...(converges ? [] : ['Pre-copy alone would not come to an end within the downtime limit.']),
  ];
  return sentences.join(' ');
}

/**
 * Decisions in their order, each with its reason; indented by two. A reason that the plan has given is not said again; null when the plan
 * has said it all.
 */
export function printDecisions(decisions: readonly Decision[], plan: TransferPlan | null): string | null {
  if (decisions.every(({ reason }) => reason === plan?.reason)) return null;
  const columns: readonly Column<Decision>[] = [
    { title: 'WHEN', value: ({ by, elapsedMs }) => (by === 'choice' ? 'before' : `+${formatDuration(elapsedMs)}`) },
    { title: 'DECISION', value: ({ action, reason }) => (reason === plan?.reason ? action : `${action}: ${reason}`) },
  ];
  return indented(table(columns, decisions, ''));
}

/** One line while it happens. */
export function decisionLine({ elapsedMs, action, reason }: Decision): string {
  return `  +${formatDuration(elapsedMs)} autopilot: ${printable(action)}: ${printable(reason)}`;
}

/** Options and reason in one line; reasons often begin with the options, or with the method. */
export function planLine({ options, reason }: TransferPlan): string {
  const how = optionsText(options);
  const head = reason.slice(0, Math.max(0, reason.indexOf(': ')));
  const isNamed = head === options.method || (head.startsWith(`${options.method}, `) && head.includes('downtime limit'));
  return `${how}: ${printable(isNamed ? reason.slice(head.length + 2) : reason)}`;
}

/** Method, options, and the ladder. */
export function printPlanOf(plan: TransferPlan): string {
  return [
    `  ${printable(plan.reason)}`,
    indented(
      fields([
        ['how', optionsText(plan.options)],
        ...(mayTakeRungs(plan) ? [['if that does not end', pilotText(plan.pilot)] as const] : []),
      ]),
    ),
  ].join('\n');
}

/** The ladder is for copies that may not come to an end. */
function mayTakeRungs({ options }: TransferPlan): boolean {
  return options.method === 'pre-copy' || options.method === 'hybrid';
}

export function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '  ');
}

/** How far a prediction was off, in percent of what happened: above 0, too much was predicted. Null where nothing happened to compare with. */
export function errorPercent(expected: number, happened: number | null): number | null {
  return happened === null || happened <= 0 ? null : ((expected - happened) / happened) * 100;
}

/** `+12 %`, `-3.1 %` */
export function formatErrorPercent(percent: number | null): string {
  return percent === null || percent < 0 ? formatPercentOrMinus(percent) : `+${formatPercent(percent)}`;
}

function formatPercentOrMinus(percent: number | null): string {
  return percent === null ? formatPercent(null) : `-${formatPercent(-percent)}`;
}
