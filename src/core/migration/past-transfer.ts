/** What a finished migration teaches the next forecast. */
import type { Prediction } from '#core/model/forecast.ts';
import type { HostId } from '#core/model/host.ts';
import type { Method, TransferOptions } from '#core/model/method.ts';
import type { Migration } from '#core/model/migration.ts';
import { stopsVm } from './prediction.ts';

/** Two hosts; a channel between them serves both directions. */
export interface Pair {
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
}

export interface PastTransfer {
  readonly pair: Pair;
  readonly endedAtMs: number;
  /** As the transfer was planned. */
  readonly options: TransferOptions;
  /** As it was said before, whatever had been learned until then. */
  readonly prediction: Prediction;
  /** What happened. Null: nobody could tell. */
  readonly totalMs: number;
  readonly downtimeMs: number | null;
  readonly bytes: number;
  /** The downtime limit that the hypervisor had to the end; null when the autopilot may have changed it. */
  readonly limitMs: number | null;
  /** False when the autopilot began again or took another method, or the hosts lost each other: what was predicted is not what was done. */
  readonly asPlanned: boolean;
}

/** Null unless the VM was moved, its cost is known, and had been predicted. */
export function pastTransferOf(migration: Migration): PastTransfer | null {
  const { request, phase, plan, decisions, measures, outcome, endedAtMs } = migration;
  const prediction = plan?.prediction ?? null;
  const totalMs = measures?.totalMs ?? outcome?.totalMs ?? null;
  const bytes = measures?.memorySentBytes ?? outcome?.memorySentBytes ?? null;
  if (phase !== 'done' || plan === null || prediction === null || totalMs === null || bytes === null) return null;
  return {
    pair: { fromHostId: request.fromHostId, toHostId: request.toHostId },
    endedAtMs: endedAtMs ?? migration.phaseSinceMs,
    options: plan.options,
    prediction,
    totalMs,
    downtimeMs: downtimeOf(migration, plan.options, totalMs),
    bytes,
    limitMs: decisions.some(({ by }) => by === 'autopilot') ? null : plan.options.downtimeMsMax,
    asPlanned:
      !decisions.some(({ by }) => by === 'recovery') &&
      (measures === null || (measures.attempts === 1 && measures.method === plan.options.method)),
  };
}

/**
 * The hypervisor's figure; of a VM that was stopped before the hypervisor began (it then counts the end only), what a client saw, or
 * all of the time. With post-copy only what a client saw: the hypervisor counts the source's stop alone (19 ms, where a client waited
 * for 335 ms and up to 2.9 s), and whether a hybrid came to it is not told.
 */
function downtimeOf(migration: Migration, options: TransferOptions, totalMs: number): number | null {
  const seen = migration.measures?.outside?.downtimeMs ?? null;
  if (stopsVm(options)) return seen ?? totalMs;
  if (canPostCopy(options.method) || canPostCopy(migration.measures?.method ?? options.method)) return seen;
  return migration.measures?.hypervisorDowntimeMs ?? migration.outcome?.downtimeMs ?? seen;
}

function canPostCopy(method: Method): boolean {
  return method === 'post-copy' || method === 'hybrid';
}

/** How far off predictions were. Null where there is nothing to compare. */
export interface PredictionErrors {
  readonly migrations: number;
  /** Median of |said - happened| / happened, in percent. */
  readonly totalPercent: number | null;
  readonly downtimePercent: number | null;
}

/** Of all that was predicted and done, also where the autopilot had to change the plan: the operator had been told that figure. */
export function predictionErrors(history: readonly PastTransfer[]): PredictionErrors {
  const off = (said: number, happened: number): number => (Math.abs(said - happened) / Math.max(1, happened)) * 100;
  const totals = history.map((past) => off(past.prediction.totalMs.expected, past.totalMs));
  const downtimes = history.flatMap((past) =>
    past.downtimeMs === null ? [] : [off(past.prediction.downtimeMs.expected, past.downtimeMs)],
  );
  return { migrations: history.length, totalPercent: median(totals), downtimePercent: median(downtimes) };
}

function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  return upper === undefined || lower === undefined ? null : (lower + upper) / 2;
}
