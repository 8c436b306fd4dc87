/** The table of a campaign and what it proves. Pure. */
import { type Column, table } from '#cli/table.ts';
import { breakMs } from './oracle/judge.ts';
import { percentile } from './percentile.ts';
import { combinations, type FaultName, type FaultPhase, faults, phases, reasonAgainst } from './plan.ts';
import type { Place, RunRecord } from './record.ts';

export const limits = { noneMsMax: 30_000, recoveryP50Ms: 5_000, recoveryP99Ms: 30_000, timesMin: 3, runsMin: 180 } as const;

export interface Row {
  readonly fault: string;
  readonly phase: string;
  readonly runs: readonly RunRecord[];
}

export function rowsOf(records: readonly RunRecord[]): readonly Row[] {
  const rowOf = (fault: FaultName, phase: FaultPhase): Row => ({
    fault,
    phase,
    runs: records.filter((record) => record.fault === fault && record.phase === phase),
  });
  return faults.flatMap((fault) => phases.map((phase) => rowOf(fault, phase))).filter(({ runs }) => runs.length > 0);
}

const recoveries = (runs: readonly RunRecord[]): number[] => runs.flatMap(({ recoveryMs }) => (recoveryMs === null ? [] : [recoveryMs]));
const afterFaults = (runs: readonly RunRecord[]): number[] =>
  runs.flatMap(({ afterFaultMs }) => (afterFaultMs === null ? [] : [afterFaultMs]));
/** Where beats were heard all the time there was no break, however late a QEMU answered. */
const backs = (runs: readonly RunRecord[]): number[] =>
  runs.flatMap(({ vmBackMs, noneMs }) => (typeof vmBackMs === 'number' ? [noneMs <= breakMs ? 0 : vmBackMs] : []));
export const hasNone = ({ noneMs, vmKilled }: Pick<RunRecord, 'noneMs' | 'vmKilled'>): boolean => !vmKilled && noneMs > limits.noneMsMax;
export const hasTwo = ({ place, twoCopiesInARow }: Pick<RunRecord, 'place' | 'twoCopiesInARow'>): boolean =>
  place === 'two' || twoCopiesInARow > 1;

const seconds = (ms: number | null): string => (ms === null ? '-' : (ms / 1000).toFixed(1));
const count = (runs: readonly RunRecord[], holds: (run: RunRecord) => boolean): string => `${runs.filter(holds).length}`;
const ended = (place: Place) => (row: Row) => count(row.runs, (run) => run.place === place);

const columns: readonly Column<Row>[] = [
  { title: 'FAULT', value: ({ fault }) => fault },
  { title: 'PHASE', value: ({ phase }) => phase },
  { title: 'RUNS', value: ({ runs }) => `${runs.length}`, align: 'right' },
  { title: 'ON SOURCE', value: ended('source'), align: 'right' },
  { title: 'ON DEST.', value: ended('destination'), align: 'right' },
  { title: 'RESTARTED', value: ended('restarted'), align: 'right' },
  { title: 'TWO', value: ({ runs }) => count(runs, hasTwo), align: 'right' },
  { title: 'NONE > 30 s', value: ({ runs }) => count(runs, hasNone), align: 'right' },
  { title: 'P50 s', value: ({ runs }) => seconds(percentile(recoveries(runs), 50)), align: 'right' },
  { title: 'P99 s', value: ({ runs }) => seconds(percentile(recoveries(runs), 99)), align: 'right' },
  { title: 'MAX s', value: ({ runs }) => seconds(percentile(recoveries(runs), 100)), align: 'right' },
  { title: 'DISKS BAD', value: ({ runs }) => count(runs, ({ diskBad }) => diskBad), align: 'right' },
  { title: 'GUEST ERR.', value: ({ runs }) => `${runs.reduce((sum, { guestErrors }) => sum + guestErrors, 0)}`, align: 'right' },
  { title: 'OTHER', value: ({ runs }) => count(runs, ({ violations }) => violations.length > 0), align: 'right' },
];

export function printTable(records: readonly RunRecord[]): string {
  return table(columns, rowsOf(records), 'nothing was played');
}

/** The combinations that are not played, each with its reason. */
export function printSenseless(): string {
  const lines = faults.flatMap((fault) =>
    phases.flatMap((phase) => {
      const reason = reasonAgainst(fault, phase);
      return reason === undefined ? [] : [`  ${fault}, ${phase}: ${reason}`];
    }),
  );
  return ['Not played:', ...lines].join('\n');
}

export interface Verdict {
  readonly sentences: readonly string[];
  /** Nothing that must never be has been seen, and recovery is as fast as promised. */
  readonly holds: boolean;
  /** Everything that was to be played was, as often as asked for. */
  readonly isComplete: boolean;
}

function percentiles(valuesMs: readonly number[]): string {
  return `p50 ${seconds(percentile(valuesMs, 50))} s, p99 ${seconds(percentile(valuesMs, 99))} s`;
}

function isFast(valuesMs: readonly number[]): boolean {
  const [p50Ms, p99Ms] = [percentile(valuesMs, 50), percentile(valuesMs, 99)];
  return p50Ms !== null && p99Ms !== null && p50Ms <= limits.recoveryP50Ms && p99Ms <= limits.recoveryP99Ms;
}

/**
 * Two recoveries are judged. What a guest's user feels: the VM runs, counted from the strike, however long the fault itself goes on. And
 * what an operator waits for: the migration is closed too, which while a host is cut off or a daemon hangs nobody can do rightly, so
 * that it counts from the end of such a fault.
 */
export function judgeCampaign(records: readonly RunRecord[]): Verdict {
  const broken = records.filter(({ violations }) => violations.length > 0);
  const missing = combinations().filter(
    ({ fault, phase }) => records.filter((record) => record.fault === fault && record.phase === phase).length < limits.timesMin,
  );
  return {
    sentences: [
      `${records.length} runs; two copies: ${count(records, hasTwo)}; none for more than 30 s: ${count(records, hasNone)}; disks bad: ${count(records, ({ diskBad }) => diskBad)}; guests with errors: ${count(records, ({ guestErrors }) => guestErrors > 0)}.`,
      `The VM runs without a further break, from the strike: ${percentiles(backs(records))} (at most 5 and 30).`,
      `And its migration is closed, from the strike or the end of a fault that lasts: ${percentiles(afterFaults(records))} (at most 5 and 30); never: ${count(records, ({ recoveryMs }) => recoveryMs === null)}.`,
      `The same, always from the strike: ${percentiles(recoveries(records))}.`,
      `Strikes that took effect after their phase had ended: ${count(records, ({ isLate }) => isLate)}.`,
      ...broken.map(
        (run) =>
          `VIOLATION ${run.fault}, ${run.phase}, time ${run.time} (${run.migrationId ?? 'no migration'}): ${run.violations.join('; ')}`,
      ),
      ...(missing.length > 0
        ? [`${missing.length} of ${combinations().length} combinations were played fewer than ${limits.timesMin} times.`]
        : []),
    ],
    holds: broken.length === 0 && isFast(backs(records)) && isFast(afterFaults(records)),
    isComplete: missing.length === 0 && records.length >= limits.runsMin,
  };
}
