/** What a migration did cost, beside what was predicted, and how the VM was found afterwards. */
import type { MigrationResource } from '#wire/api.ts';
import { stopsVm } from '#wire/migration-words.ts';
import { formatBytes, formatDuration, printable, unknown } from './format.ts';
import { type Column, fields, table } from './table.ts';
import { errorPercent, formatBytesRounded, formatErrorPercent, indented, type Prediction } from './transfer-printer.ts';

export type Measures = NonNullable<MigrationResource['measures']>;
type Arrival = NonNullable<Measures['arrival']>;
type HostCost = NonNullable<Measures['source']>;

/**
 * What happened, from the best source there is. Of a VM that is stopped before the hypervisor begins, the hypervisor counts the end of the
 * downtime only: there it is what was seen from outside, or all of the time.
 */
export function happened({ plan, measures, outcome }: MigrationResource): Happened {
  const totalMs = measures?.totalMs ?? outcome?.totalMs ?? null;
  const seenMs = measures?.outside?.downtimeMs ?? null;
  const stopped = plan !== null && stopsVm(plan.options);
  return {
    totalMs,
    downtimeMs: stopped ? (seenMs ?? totalMs) : (measures?.hypervisorDowntimeMs ?? outcome?.downtimeMs ?? seenMs),
    bytes: measures?.memorySentBytes ?? outcome?.memorySentBytes ?? null,
    rounds: measures?.rounds ?? outcome?.iterations ?? null,
  };
}

export interface Happened {
  readonly totalMs: number | null;
  readonly downtimeMs: number | null;
  readonly bytes: number | null;
  readonly rounds: number | null;
}

interface ComparisonRow {
  readonly what: string;
  readonly expected: string;
  readonly range: string;
  readonly got: string;
  readonly error: string;
}

const comparisonColumns: readonly Column<ComparisonRow>[] = [
  { title: '', value: (row) => row.what },
  { title: 'PREDICTED', align: 'right', value: (row) => row.expected },
  { title: 'RANGE', align: 'right', value: (row) => row.range },
  { title: 'HAPPENED', align: 'right', value: (row) => row.got },
  { title: 'OFF BY', align: 'right', value: (row) => row.error },
];

/** A prediction, and beside it what happened as far as it is known. */
export function printPrediction(prediction: Prediction, got: Happened | null): string {
  const row = (what: string, range: Prediction['bytes'], value: number | null, format: (value: number) => string): ComparisonRow => ({
    what,
    expected: format(range.expected),
    range: `${format(range.low)} to ${format(range.high)}`,
    got: value === null ? unknown : format(value),
    error: formatErrorPercent(errorPercent(range.expected, value)),
  });
  const rows = [
    row('total time', prediction.totalMs, got?.totalMs ?? null, formatDuration),
    row('downtime', prediction.downtimeMs, got?.downtimeMs ?? null, formatDuration),
    row('memory sent', prediction.bytes, got?.bytes ?? null, formatBytesRounded),
    { what: 'rounds', expected: String(prediction.rounds), range: '', got: got?.rounds?.toString() ?? unknown, error: '' },
  ];
  return indented(table(got === null ? comparisonColumns.slice(0, 3) : comparisonColumns, rows, ''));
}

/** Downtime from both sides, brownout, bytes, packets, CPU time of both hosts. */
export function printMeasures(measures: Measures, { fromHostId, toHostId }: MigrationResource['request']): string {
  const attempts = measures.attempts > 1 ? `, begun ${measures.attempts} times` : '';
  return indented(
    fields([
      ['method', `${measures.method}${attempts}`],
      ['total time', formatDuration(measures.totalMs)],
      ['downtime', `${formatDuration(measures.hypervisorDowntimeMs)} (the hypervisor's word)`],
      ...outsideFields(measures.outside),
      ['memory sent', `${formatBytes(measures.memorySentBytes)}${measures.rounds === null ? '' : ` in ${measures.rounds} rounds`}`],
      ['in IPsec', espText(measures)],
      [`CPU on ${fromHostId}`, costText(measures.source)],
      [`CPU on ${toHostId}`, costText(measures.destination)],
    ]),
  );
}

function outsideFields(outside: Measures['outside']): readonly (readonly [string, string])[] {
  if (outside === null) return [['from outside', 'not seen: no host could ask the VM for answers']];
  const { downtimeMs, witnessHostId, address, intervalMs, sent, answered } = outside;
  return [
    [
      'from outside',
      `${formatDuration(downtimeMs)} (${witnessHostId} asked ${address} every ${formatDuration(intervalMs)}: ${answered} of ${sent} answered)`,
    ],
    [
      'brownout',
      `${formatDuration(outside.brownoutMs)}; answers took ${formatDelay(outside.delayMsP50)} (median), ${formatDelay(outside.delayMsP99)} (99 of 100)`,
    ],
  ];
}

/** Round trips in a cluster take less than a millisecond. */
function formatDelay(delayMs: number): string {
  return delayMs < 10 ? `${delayMs.toFixed(2)} ms` : formatDuration(delayMs);
}

function espText({ espBytes, espPackets }: Measures): string {
  if (espBytes === null) return 'not counted';
  return `${formatBytes(espBytes)}${espPackets === null ? '' : ` in ${espPackets} packets`}`;
}

function costText(cost: HostCost | null): string {
  if (cost === null) return 'not known';
  const { hypervisorCpuSeconds, ipsecCpuSeconds, agentCpuSeconds } = cost;
  return `hypervisor ${formatSeconds(hypervisorCpuSeconds)}, IPsec ${formatSeconds(ipsecCpuSeconds)}, agent ${formatSeconds(agentCpuSeconds)}`;
}

function formatSeconds(seconds: number | null): string {
  return seconds === null ? unknown : `${seconds.toFixed(2)} s`;
}

/** Each thing that was looked at on the destination, and what is not as it should be. */
export function printArrival(arrival: Arrival): string {
  const pairs = [
    ['definition kept, same devices', arrival.definitionRight],
    ['source clean', arrival.sourceClean],
    ['announced to the network', arrival.announced],
    ['answers', arrival.answers],
    ['disks locked once', arrival.lockedOnce],
  ] as const;
  return indented(
    [
      fields(pairs.map(([name, found]) => [name, foundText(found)] as const)),
      ...arrival.troubles.map((trouble) => `! ${printable(trouble)}`),
    ].join('\n'),
  );
}

function foundText(found: boolean | null): string {
  if (found === null) return 'could not be looked at';
  return found ? 'yes' : 'NO';
}
