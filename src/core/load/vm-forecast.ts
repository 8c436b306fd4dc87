/**
 * What a VM will use in the next half hour or so, learnt from what it has used. Pure and incremental: the state of a VM is plain data of a
 * fixed size, the same readings give the same forecast. Begins anew with each start of the controller.
 *
 *   readings -> mean of 5 minutes -> score the forecasts made before -> learn -> forecast the horizon
 *
 * The high figure is the quantile of what came after loads like the present one: a bursty VM jumps from low loads too, and falls back from
 * high ones. The quantile asked for is shifted until reality keeps to it (Gibbs, Candes 2021: adaptive conformal inference).
 */
import type { VmForecast } from '#core/model/snapshot.ts';
import { type Cores, cores } from '#core/model/units.ts';
import { type DayProfile, emptyProfile, usualShare, withReading } from './day-profile.ts';
import {
  blended,
  fadingMean,
  type GuessErrors,
  type Guesses,
  highPart,
  nextErrors,
  noErrors,
  seasonOf,
  seenMost,
} from './forecast-guesses.ts';
import {
  confidencePercentOf,
  emptyRecord,
  type ForecastRecord,
  type OpenForecast,
  withLosses,
  withReality,
  withScored,
} from './forecast-record.ts';
import { counted, emptyHistogram, quantileOf, rankOf, type ShareHistogram } from './share-histogram.ts';

export const forecastBucketMs = 300_000;

export interface VmForecastState {
  /** The bucket that goes on; buckets begin at other times for other VMs, so that not all are closed in one planning round. */
  readonly startMs: number;
  readonly sum: number;
  readonly readings: number;
  /** What the buckets before it have taught. */
  readonly model: VmModel;
}

export interface VmModel {
  /** Means of the buckets that are over; null before the first. */
  readonly means: { readonly last: number; readonly quick: number; readonly middle: number; readonly slow: number } | null;
  /** Of all buckets, the older the less: half of what is known is of the last two hours. */
  readonly usual: { readonly mean: number; readonly variance: number };
  readonly buckets: number;
  readonly seen: ShareHistogram;
  /** What came within the horizon after loads of each rank, as counts and as means. */
  readonly after: readonly ShareHistogram[];
  readonly afterMeans: readonly number[];
  /** How many horizons each of these means is of. */
  readonly afterSeen: readonly number[];
  /** Lowest and highest of this day and the one before; null before the first bucket. */
  readonly range: Range | null;
  readonly profile: DayProfile;
  /** How far reality goes above the habit, nine times in ten. */
  readonly rise: number;
  readonly errors: GuessErrors;
  readonly askedPart: number;
  readonly open: readonly OpenForecast[];
  readonly record: ForecastRecord;
  /** The newest forecast, in shares of the virtual CPUs; null before enough is known. */
  readonly newest: { readonly meanShare: number; readonly highShare: number } | null;
}

interface Range {
  readonly low: number;
  readonly high: number;
  readonly lowBefore: number;
  readonly highBefore: number;
}

/** Loads are told apart by where they lie among those seen: fifths. */
const ranks = 5;
/** Counts of a day, and of about as many visits to one fifth. */
const dayMost = 288;
const afterMost = 512;
/** What was seen in all helps out where little came after loads of this rank. */
const seenWeight = 20;
const bucketsMin = 6;
const forecastsOpenMax = 3;
const weights = { quick: 0.25, middle: 0.1, slow: 0.02 } as const;
const slowWeight = 3;
const askedStep = 0.02;
const askedRange = { least: 0.7, most: 0.98 } as const;
const riseStep = 0.3;
const riseErrorMin = 0.002;
const seasonJudgedMin = 18;
/** An emulator's own threads may use more than the virtual CPUs have: what a sample may say of a VM. */
const mostShare = 1.5;
const dayBuckets = 288;

export interface VmReading {
  readonly atMs: number;
  /** Mean since the reading before. */
  readonly usedCores: number;
  readonly vcpus: number;
}

/** The buckets of a VM begin this much after the full five minutes: FNV-1a of its id. */
export function bucketPhaseMs(vmId: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < vmId.length; index += 1) hash = Math.imul(hash ^ vmId.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % forecastBucketMs;
}

/** Takes in one reading. `previous` is null for a VM that was never seen; one without virtual CPUs, or a figure that is none, changes nothing. */
export function nextVmForecast(
  previous: VmForecastState | null,
  reading: VmReading,
  horizonMs: number,
  phaseMs = 0,
): VmForecastState | null {
  const { atMs, usedCores, vcpus } = reading;
  if (!(vcpus > 0 && usedCores >= 0 && Number.isFinite(usedCores) && Number.isFinite(atMs))) return previous;
  const share = Math.min(mostShare, usedCores / vcpus);
  const startMs = Math.floor((atMs - phaseMs) / forecastBucketMs) * forecastBucketMs + phaseMs;
  if (previous === null) return { startMs, sum: share, readings: 1, model: emptyModel };
  const { sum, readings, model } = previous;
  if (startMs <= previous.startMs) return { startMs: previous.startMs, sum: sum + share, readings: readings + 1, model };
  const endedAtMs = previous.startMs + forecastBucketMs;
  const next = afterBucket(model, { share: sum / readings, endedAtMs }, horizonMs);
  // What happened in a gap is not known: neither a hit nor a miss.
  return { startMs, sum: share, readings: 1, model: startMs === endedAtMs ? next : { ...next, open: [] } };
}

/** The newest forecast of a VM with this many virtual CPUs; null before half an hour of readings. */
export function vmForecastOf({ model: { newest, record, usual } }: VmForecastState, vcpus: number, horizonMs: number): VmForecast | null {
  if (newest === null) return null;
  const inCores = (share: number): Cores => cores(share * vcpus);
  return {
    meanCores: inCores(newest.meanShare),
    highCores: inCores(newest.highShare),
    horizonMs,
    usual: { meanCores: inCores(usual.mean), spreadCores: inCores(Math.sqrt(usual.variance)) },
    confidencePercent: confidencePercentOf(record),
  };
}

/** Whether this time of day is known to it from earlier days. */
export function hasHabit({ startMs, model }: VmForecastState): boolean {
  return usualShare(model.profile, startMs) !== null;
}

const emptyModel: VmModel = {
  means: null,
  usual: { mean: 0, variance: 0 },
  buckets: 0,
  seen: emptyHistogram,
  after: Array.from({ length: ranks }, () => emptyHistogram),
  afterMeans: Array.from({ length: ranks }, () => 0),
  afterSeen: Array.from({ length: ranks }, () => 0),
  range: null,
  profile: emptyProfile,
  rise: 0,
  errors: noErrors,
  askedPart: highPart,
  open: [],
  record: emptyRecord,
  newest: null,
};

interface Bucket {
  /** Mean. */
  readonly share: number;
  readonly endedAtMs: number;
}

function afterBucket(model: VmModel, bucket: Bucket, horizonMs: number): VmModel {
  const horizonBuckets = Math.max(1, Math.round(horizonMs / forecastBucketMs));
  const known = learnt(scored(model, bucket.share, horizonBuckets), bucket);
  if (known.buckets < bucketsMin) return known;
  const made = forecastFrom(known, bucket, horizonMs);
  const newest = { meanShare: made.meanShare, highShare: made.highShare };
  const isDue = known.buckets % Math.ceil(horizonBuckets / forecastsOpenMax) === 0;
  return { ...known, newest, open: isDue ? [...known.open, made] : known.open };
}

/** What the forecasts made before have come to, and what came after the loads they were made at. */
function scored(model: VmModel, share: number, horizonBuckets: number): VmModel {
  if (model.open.length === 0) return model;
  const after = model.after.slice();
  let { record, rise, askedPart, errors } = model;
  const afterMeans = model.afterMeans.slice();
  const afterSeen = model.afterSeen.slice();
  const open: OpenForecast[] = [];
  for (const one of model.open) {
    after[one.rank] = counted(after[one.rank] ?? emptyHistogram, share, afterMost);
    record = withLosses(record, one, share);
    if (one.seasonHighShare !== null) rise = nextRise(rise, share > one.seasonHighShare, errors.season);
    const now = withReality(one, share);
    if (now.buckets < horizonBuckets) {
      open.push(now);
      continue;
    }
    const mean = now.sum / now.buckets;
    const seen = afterSeen[one.rank] ?? 0;
    errors = nextErrors(errors, now.guesses, mean, record);
    record = withScored(record, now);
    afterMeans[one.rank] = fadingMean(afterMeans[one.rank] ?? 0, mean, seen);
    afterSeen[one.rank] = Math.min(seenMost, seen + 1);
    const missed = 1 - now.hits / now.buckets;
    askedPart = Math.min(askedRange.most, Math.max(askedRange.least, askedPart + askedStep * (missed - (1 - highPart))));
  }
  return { ...model, after, afterMeans, afterSeen, record, rise, errors, askedPart, open };
}

/**
 * A step towards the quantile (Robbins, Monro 1951), its length a part of the habit's usual error: nine parts up when reality was above
 * the high figure, one part down when it was not, so that it comes to rest where one in ten is above.
 */
function nextRise(rise: number, isAbove: boolean, usualError: number): number {
  const step = riseStep * Math.max(riseErrorMin, usualError);
  return Math.max(0, isAbove ? rise + highPart * step : rise - (1 - highPart) * step);
}

function learnt(model: VmModel, { share, endedAtMs }: Bucket): VmModel {
  const before = model.means ?? { last: share, quick: share, middle: share, slow: share };
  const means = {
    last: share,
    quick: before.quick + weights.quick * (share - before.quick),
    middle: before.middle + weights.middle * (share - before.middle),
    slow: before.slow + weights.slow * (share - before.slow),
  };
  const profile = withReading(model.profile, endedAtMs - forecastBucketMs / 2, share);
  const mean = fadingMean(model.usual.mean, share, model.buckets);
  const usual = { mean, variance: fadingMean(model.usual.variance, (share - model.usual.mean) * (share - mean), model.buckets) };
  const buckets = model.buckets + 1;
  return {
    ...model,
    means,
    usual,
    profile,
    buckets,
    range: nextRange(model.range, share, buckets),
    seen: counted(model.seen, share, dayMost),
  };
}

/** Days are counted from the first bucket. */
function nextRange(range: Range | null, share: number, buckets: number): Range {
  if (range === null) return { low: share, high: share, lowBefore: share, highBefore: share };
  const { low, high, lowBefore, highBefore } = range;
  if (buckets % dayBuckets === 0) return { low: share, high: share, lowBefore: low, highBefore: high };
  return { low: Math.min(low, share), high: Math.max(high, share), lowBefore, highBefore };
}

function forecastFrom(model: VmModel, { share, endedAtMs }: Bucket, horizonMs: number): OpenForecast {
  const means = model.means ?? { last: share, quick: share, middle: share, slow: share };
  const rank = Math.min(ranks - 1, Math.floor(rankOf(model.seen, share) * ranks));
  const came = model.afterSeen[rank] ?? 0;
  const season = seasonOf(model.profile, { atMs: endedAtMs, share: means.quick }, horizonMs);
  const after = ((model.afterMeans[rank] ?? 0) * came + slowWeight * means.slow) / (came + slowWeight);
  const guesses: Guesses = { ...means, after, season: season === null ? null : season.mean };
  const meanShare = blended(guesses, model.errors, model.record);
  const usual = quantileOf(model.askedPart, model.after[rank] ?? emptyHistogram, model.seen, seenWeight) ?? share;
  const usualHighShare = withinRange(usual, model.range);
  const seasonHighShare = season === null ? null : Math.min(mostShare, season.highest + model.rise);
  const chosen = seasonHighShare !== null && seasonIsBetter(model.record) ? seasonHighShare : usualHighShare;
  const highShare = Math.max(chosen, meanShare);
  return { rank, meanShare, highShare, guesses, usualHighShare, seasonHighShare, sum: 0, hits: 0, buckets: 0 };
}

/** Bins are wider than a load that never changes. */
function withinRange(share: number, range: Range | null): number {
  if (range === null) return share;
  return Math.min(Math.max(share, Math.min(range.low, range.lowBefore)), Math.max(range.high, range.highBefore));
}

function seasonIsBetter({ usualLoss, seasonLoss, seasonJudged }: ForecastRecord): boolean {
  return seasonJudged >= seasonJudgedMin && seasonLoss < usualLoss;
}
