/** Migrations of the past: for people, and as a file for a spreadsheet. */
import type { MigrationResource, PredictionErrorsResource } from '#wire/api.ts';
import { outcomeOf } from '#wire/migration-words.ts';
import { csv, type CsvColumn } from './csv.ts';
import { formatBytes, formatDuration, formatPercent, formatTime, unknown } from './format.ts';
import { happened } from './measures-printer.ts';
import { methodOf } from './migration-printer.ts';
import { type Column, table } from './table.ts';
import { errorPercent, formatErrorPercent } from './transfer-printer.ts';

const columns: readonly Column<MigrationResource>[] = [
  { title: 'ASKED', value: ({ request }) => formatTime(request.askedAtMs) },
  { title: 'MIGRATION', value: ({ request }) => request.migrationId },
  { title: 'VM', value: ({ request }) => request.vmName },
  { title: 'FROM', value: ({ request }) => request.fromHostId },
  { title: 'TO', value: ({ request }) => request.toHostId },
  { title: 'METHOD', value: methodOf, rank: 4 },
  { title: 'OUTCOME', value: outcomeText },
  { title: 'TOTAL', align: 'right', value: (migration) => formatDuration(happened(migration).totalMs) },
  { title: 'OFF BY', align: 'right', value: (migration) => formatErrorPercent(errorsOf(migration).totalPercent), rank: 6 },
  { title: 'DOWNTIME', align: 'right', value: (migration) => formatDuration(happened(migration).downtimeMs) },
  { title: 'OFF BY', align: 'right', value: (migration) => formatErrorPercent(errorsOf(migration).downtimePercent), rank: 5 },
  { title: 'OUTSIDE', align: 'right', value: ({ measures }) => formatDuration(measures?.outside?.downtimeMs ?? null), rank: 3 },
  { title: 'SENT', align: 'right', value: (migration) => formatBytes(happened(migration).bytes), rank: 7 },
  { title: 'ROUNDS', align: 'right', value: (migration) => happened(migration).rounds?.toString() ?? unknown, rank: 8 },
];

/** Ended migrations, how they ended, and how far predictions were off. */
export function printHistory(
  migrations: readonly MigrationResource[],
  errors: PredictionErrorsResource,
  limit: number,
  width?: number,
): string {
  const oldest = migrations.at(-1);
  return [
    table(columns, migrations, 'No migration that ended is like that.', width),
    '',
    ...(oldest === undefined ? [] : [countsLine(migrations)]),
    ...(oldest !== undefined && migrations.length >= limit
      ? [`There may be older ones: plimsoll history --until '${formatTime(oldest.request.askedAtMs)}'`]
      : []),
    errorsLine(errors),
  ].join('\n');
}

function countsLine(migrations: readonly MigrationResource[]): string {
  const count = (outcome: ReturnType<typeof outcomeOf>): number =>
    migrations.filter((migration) => outcomeOf(migration) === outcome).length;
  const unclear = count('unclear');
  const moved = count('moved');
  return `${migrations.length} ${migrations.length === 1 ? 'migration' : 'migrations'}: ${moved} moved (${formatPercent((moved / migrations.length) * 100)}), ${count('stayed')} stayed${unclear === 0 ? '' : `, ${unclear} UNCLEAR: look at them`}.`;
}

function errorsLine({ migrations, totalPercent, downtimePercent }: PredictionErrorsResource): string {
  if (migrations === 0) return 'No prediction could be compared with what happened yet.';
  const compared = migrations === 1 ? 'the only migration with a prediction' : `the newest ${migrations} migrations with a prediction`;
  return `Predictions were off by ${formatPercent(totalPercent)} in total time and ${formatPercent(downtimePercent)} in downtime (median over ${compared}).`;
}

function outcomeText(migration: MigrationResource): string {
  const outcome = outcomeOf(migration);
  const name = outcome === 'unclear' ? 'UNCLEAR' : outcome;
  return migration.failure === null ? name : `${name} (${migration.failure.code})`;
}

interface Errors {
  readonly totalPercent: number | null;
  readonly downtimePercent: number | null;
}

function errorsOf(migration: MigrationResource): Errors {
  const prediction = migration.plan?.prediction ?? null;
  if (prediction === null || migration.phase !== 'done') return { totalPercent: null, downtimePercent: null };
  const { totalMs, downtimeMs } = happened(migration);
  return {
    totalPercent: errorPercent(prediction.totalMs.expected, totalMs),
    downtimePercent: errorPercent(prediction.downtimeMs.expected, downtimeMs),
  };
}

const csvColumns: readonly CsvColumn<MigrationResource>[] = [
  { title: 'migration_id', value: ({ request }) => request.migrationId },
  { title: 'vm_id', value: ({ request }) => request.vmId },
  { title: 'vm', value: ({ request }) => request.vmName },
  { title: 'from_host', value: ({ request }) => request.fromHostId },
  { title: 'to_host', value: ({ request }) => request.toHostId },
  { title: 'asked_at', value: ({ request }) => isoTime(request.askedAtMs) },
  { title: 'ended_at', value: ({ endedAtMs }) => isoTime(endedAtMs) },
  { title: 'cause', value: ({ request }) => request.cause },
  { title: 'asked_by', value: ({ request }) => request.askedBy },
  { title: 'approved_by', value: ({ request }) => request.approvedBy },
  { title: 'plan_id', value: ({ request }) => request.planId },
  { title: 'channel', value: ({ request }) => request.channelKind },
  { title: 'outcome', value: outcomeOf },
  { title: 'failure_code', value: ({ failure }) => failure?.code ?? null },
  { title: 'failure', value: ({ failure }) => failure?.message ?? null },
  { title: 'method', value: (migration) => (methodOf(migration) === unknown ? null : methodOf(migration)) },
  { title: 'attempts', value: ({ measures }) => measures?.attempts ?? null },
  { title: 'streams', value: ({ plan }) => plan?.options.streams ?? null },
  { title: 'compression', value: ({ plan }) => plan?.options.compression ?? null },
  { title: 'total_ms', value: (migration) => happened(migration).totalMs },
  { title: 'downtime_ms', value: (migration) => happened(migration).downtimeMs },
  { title: 'downtime_outside_ms', value: ({ measures }) => measures?.outside?.downtimeMs ?? null },
  { title: 'brownout_ms', value: ({ measures }) => measures?.outside?.brownoutMs ?? null },
  { title: 'memory_sent_bytes', value: (migration) => rounded(happened(migration).bytes) },
  { title: 'rounds', value: (migration) => happened(migration).rounds },
  { title: 'ipsec_bytes', value: ({ measures }) => measures?.espBytes ?? null },
  { title: 'ipsec_packets', value: ({ measures }) => measures?.espPackets ?? null },
  { title: 'source_hypervisor_cpu_s', value: ({ measures }) => measures?.source?.hypervisorCpuSeconds ?? null },
  { title: 'source_ipsec_cpu_s', value: ({ measures }) => measures?.source?.ipsecCpuSeconds ?? null },
  { title: 'source_agent_cpu_s', value: ({ measures }) => measures?.source?.agentCpuSeconds ?? null },
  { title: 'destination_hypervisor_cpu_s', value: ({ measures }) => measures?.destination?.hypervisorCpuSeconds ?? null },
  { title: 'destination_ipsec_cpu_s', value: ({ measures }) => measures?.destination?.ipsecCpuSeconds ?? null },
  { title: 'destination_agent_cpu_s', value: ({ measures }) => measures?.destination?.agentCpuSeconds ?? null },
  { title: 'predicted_total_ms', value: ({ plan }) => rounded(plan?.prediction?.totalMs.expected) },
  { title: 'predicted_downtime_ms', value: ({ plan }) => rounded(plan?.prediction?.downtimeMs.expected) },
  { title: 'predicted_bytes', value: ({ plan }) => rounded(plan?.prediction?.bytes.expected) },
  { title: 'predicted_rounds', value: ({ plan }) => plan?.prediction?.rounds ?? null },
  { title: 'arrival_troubles', value: ({ measures }) => measures?.arrival?.troubles.join('; ') ?? null },
];

/** The same with every figure, in the units that the titles name. */
export function historyCsv(migrations: readonly MigrationResource[]): string {
  return csv(csvColumns, migrations);
}

function isoTime(atMs: number | null): string | null {
  return atMs === null ? null : formatTime(atMs).replace(' ', 'T');
}

function rounded(value: number | null | undefined): number | null {
  return value === null || value === undefined ? null : Math.round(value);
}
