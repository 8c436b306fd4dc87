/**
 * Learns from what happened how far off the model is. The model is run again with the facts of each earlier transfer, and its bare
 * figures, never the corrected ones of that time, are compared with what was measured: so a correction cannot feed on itself, and
 * a better model is at once compared fairly.
 *
 * Two steps. First the bandwidth, which the rounds of a pre-copy depend on: what a migration gets of what was measured. Then, with
 * that, what is left of the error in total, downtime and bytes. Each is the median of the logarithms of the ratios, so that a few
 * outliers change nothing; newer transfers count more; and no factor leaves 1/4 to 4.
 */
import type { MeasuredBandwidth } from '#core/model/forecast.ts';
import type { TransferOptions } from '#core/model/method.ts';
import { limitStretch, stretchOf } from './downtime-limit.ts';
import { loadOf } from './forecast-activity.ts';
import { type Corrections, noCorrections } from './forecast-corrections.ts';
import { type Cost, costOf, fixedMs } from './forecast-model.ts';
import type { Pair, PastTransfer } from './past-transfer.ts';

export { type Corrections, noCorrections } from './forecast-corrections.ts';
export { type Pair, type PastTransfer, pastTransferOf, type PredictionErrors, predictionErrors } from './past-transfer.ts';

const factorMax = 4;
/** Older ones say nothing new. */
const transfersMax = 64;
/** After so many newer transfers one counts half. */
const halfLifeTransfers = 10;
/** Fewer of the pair itself say less than those of all pairs. */
const ofPairMin = 3;
/** About 90 % of past cases lie within the range. */
const coverage = 0.9;
/** The spread without history counts as so many transfers: a few that agree by chance do not make a narrow range. */
const spreadPrior = 2;
const spreadMin = 1.02;
/** Transfers shorter than this times what does not depend on the bandwidth say nothing about it. */
const bandwidthShareMin = 2;
/** A transfer that by the model left less than this share of its limit says nothing about the limit. */
const limitShareMin = 0.75;

/** What a forecast is for. Compression and several streams have histories of their own: what they gain is learned there. */
export interface ForecastSubject {
  readonly pair: Pair;
  readonly options: Pick<TransferOptions, 'method' | 'streams' | 'compression'>;
}

/** In any order. Total for all numbers. */
export function correctionsFrom(history: readonly PastTransfer[], subject: ForecastSubject): Corrections {
  const alike = history.filter((past) => past.asPlanned && isLike(past.options, subject.options));
  const ofPair = alike.filter((past) => isSamePair(past.pair, subject.pair));
  const scope = ofPair.length >= ofPairMin ? 'pair' : 'method';
  const chosen = (scope === 'pair' ? ofPair : alike).toSorted((a, b) => b.endedAtMs - a.endedAtMs).slice(0, transfersMax);
  if (chosen.length === 0) return noCorrections;
  const bandwidth = { stream: bandwidthFactor(chosen, 'stream'), migration: bandwidthFactor(chosen, 'migration') };
  const residuals = chosen.map((past) => ({ past, cost: costAgain(past, bandwidth[past.prediction.bandwidth.by]) }));
  // Where the model says that it could not have ended, its figures are those of something that did not happen.
  const fits = residuals.filter(({ cost }) => cost.converges);
  const total = factorOf(
    fits.map(({ past, cost }) => logRatio(past.totalMs, cost.totalMs)),
    noCorrections.totalSpread,
  );
  const downtime = factorOf(
    fits.map(({ past, cost }) => (past.downtimeMs === null ? null : logRatio(past.downtimeMs, cost.downtimeMs))),
    noCorrections.downtimeSpread,
  );
  const bytes = factorOf(
    fits.map(({ past, cost }) => logRatio(past.bytes, cost.bytes)),
    noCorrections.bytesSpread,
  );
  return {
    bandwidth,
    total: total.factor,
    downtime: downtime.factor,
    bytes: bytes.factor,
    totalSpread: total.spread,
    downtimeSpread: downtime.spread,
    bytesSpread: bytes.spread,
    limitStretch: scope === 'pair' ? stretchBy(fits) : noCorrections.limitStretch,
    from: chosen.length,
    scope,
  };
}

function isLike(one: ForecastSubject['options'], other: ForecastSubject['options']): boolean {
  return one.method === other.method && one.compression === other.compression && one.streams > 1 === other.streams > 1;
}

function isSamePair(one: Pair, other: Pair): boolean {
  const same = one.fromHostId === other.fromHostId && one.toHostId === other.toHostId;
  return same || (one.fromHostId === other.toHostId && one.toHostId === other.fromHostId);
}

function costAgain(past: PastTransfer, factor: number): Cost {
  const { memoryBytes, activity, bandwidth } = past.prediction;
  return costOf(past.options, loadOf(memoryBytes, activity), bandwidth.bytesPerSecond * factor);
}

function bandwidthFactor(chosen: readonly PastTransfer[], by: MeasuredBandwidth['by']): number {
  const logs = chosen.map((past) => (past.prediction.bandwidth.by === by ? bandwidthLog(past) : null));
  return factorOf(logs, 1).factor;
}

/** Bytes per second that were got, against those of the model, both without what does not depend on the bandwidth. Null: it does not tell. */
function bandwidthLog(past: PastTransfer): number | null {
  const cap = past.options.bandwidthBytesPerSecond;
  if (cap > 0 && cap < past.prediction.bandwidth.bytesPerSecond) return null;
  const fixed = fixedMs[past.options.method];
  const cost = costAgain(past, 1);
  if (past.totalMs < fixed * bandwidthShareMin || cost.totalMs <= fixed) return null;
  return logRatio(past.bytes / (past.totalMs - fixed), cost.bytes / (cost.totalMs - fixed));
}

/** What 90 % of those stayed below that used their limit up. A few, and those of other pairs, say less than what was measured. */
function stretchBy(fits: readonly { readonly past: PastTransfer; readonly cost: Cost }[]): number {
  const used = fits.map(({ past, cost }) => {
    const { limitMs, downtimeMs } = past;
    // A VM that is stopped, or started without its memory, stands still for other reasons than the limit.
    if (past.options.method !== 'pre-copy' || limitMs === null || downtimeMs === null) return null;
    if (cost.downtimeMs < fixedMs['pre-copy'] + limitMs * limitShareMin) return null;
    const stretch = stretchOf(downtimeMs, limitMs);
    return stretch === null ? null : Math.log(Math.min(factorMax, stretch));
  });
  const weighed = weighedByAge(used);
  if (weighed.length < ofPairMin) return limitStretch;
  return Math.exp(withPrior(weighed, quantile(weighed, coverage), Math.log(limitStretch)));
}

/** Null when it says nothing: no figure, or one that cannot be. */
function logRatio(happened: number, said: number): number | null {
  const ratio = happened / said;
  return ratio > 0 && Number.isFinite(ratio) ? Math.log(ratio) : null;
}

/** Newest first; null where one does not tell. `spreadBefore`: that of no history at all. */
function factorOf(logs: readonly (number | null)[], spreadBefore: number): { readonly factor: number; readonly spread: number } {
  const weighed = weighedByAge(logs);
  if (weighed.length === 0) return { factor: 1, spread: spreadBefore };
  const limit = Math.log(factorMax);
  const centre = Math.min(limit, Math.max(-limit, quantile(weighed, 0.5)));
  const distances = weighed.map(({ value, weight }) => ({ value: Math.min(limit, Math.abs(value - centre)), weight }));
  const spread = withPrior(weighed, quantile(distances, coverage), Math.log(spreadBefore));
  return { factor: Math.exp(centre), spread: Math.max(spreadMin, Math.exp(spread)) };
}

function weighedByAge(logs: readonly (number | null)[]): readonly Weighed[] {
  return logs.flatMap((log, age) => (log === null ? [] : [{ value: log, weight: 2 ** (-age / halfLifeTransfers) }]));
}

/** What was found, and what holds without history, by how much each says. */
function withPrior(weighed: readonly Weighed[], found: number, before: number): number {
  // Transfers that would say as much if each counted in full (Kish's effective sample size).
  const weights = weighed.map(({ weight }) => weight);
  const effective = sum(weights) ** 2 / sum(weights.map((weight) => weight ** 2));
  return (effective * found + spreadPrior * before) / (effective + spreadPrior);
}

interface Weighed {
  readonly value: number;
  readonly weight: number;
}

/** The least value that `share` of the weight does not lie above; the middle of two where the share falls between them. */
function quantile(values: readonly Weighed[], share: number): number {
  const sorted = values.toSorted((a, b) => a.value - b.value);
  const wanted = sum(sorted.map(({ weight }) => weight)) * share;
  let below = 0;
  for (const [index, { value, weight }] of sorted.entries()) {
    below += weight;
    const next = sorted[index + 1];
    if (next !== undefined && Math.abs(below - wanted) <= 1e-9 * wanted) return (value + next.value) / 2;
    if (below > wanted) return value;
  }
  return sorted.at(-1)?.value ?? 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
