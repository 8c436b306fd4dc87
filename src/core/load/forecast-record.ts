/** Forecasts that wait for their horizon to pass, how they came out, and how far the next one may be relied on. Plain data. */
import { fadingMean, type Guesses, pinballLoss, seenMost } from './forecast-guesses.ts';

/** One forecast and what has come of it so far. Shares of the virtual CPUs. */
export interface OpenForecast {
  /** Which loads it was made after: where what comes is counted. */
  readonly rank: number;
  readonly meanShare: number;
  readonly highShare: number;
  readonly guesses: Guesses;
  /** The two high figures that `highShare` was chosen from; the second is null before a habit is known. */
  readonly usualHighShare: number;
  readonly seasonHighShare: number | null;
  readonly sum: number;
  readonly hits: number;
  readonly buckets: number;
}

/** What the forecasts of a VM were worth, the last few hours counting most. Counts end at `seenMost`. */
export interface ForecastRecord {
  /** Horizons that have passed, and those of them that the season was known in. */
  readonly scored: number;
  readonly seasonScored: number;
  /** Part of the readings that were not above the high figure. */
  readonly hits: number;
  /** Mean error of the mean figure, and of "it stays as it is", in shares. */
  readonly error: number;
  readonly naiveError: number;
  /** Pinball losses of the two ways to the high figure, and how many readings they were judged by. */
  readonly usualLoss: number;
  readonly usualJudged: number;
  readonly seasonLoss: number;
  readonly seasonJudged: number;
}

export const emptyRecord: ForecastRecord = {
  scored: 0,
  seasonScored: 0,
  hits: 0,
  error: 0,
  naiveError: 0,
  usualLoss: 0,
  usualJudged: 0,
  seasonLoss: 0,
  seasonJudged: 0,
};

/** Counters of CPU time are read some milliseconds early or late: a reading this little above the high figure is not above it. */
const hitShare = 0.001;

/** With one more mean of a bucket within its horizon. */
export function withReality(forecast: OpenForecast, share: number): OpenForecast {
  const isHit = share <= forecast.highShare + hitShare;
  return { ...forecast, sum: forecast.sum + share, hits: forecast.hits + (isHit ? 1 : 0), buckets: forecast.buckets + 1 };
}

/** The high figures are judged by each bucket. */
export function withLosses(record: ForecastRecord, { usualHighShare, seasonHighShare }: OpenForecast, share: number): ForecastRecord {
  const { usualJudged, seasonJudged } = record;
  const usualLoss = fadingMean(record.usualLoss, pinballLoss(share, usualHighShare), usualJudged);
  const judged = { ...record, usualLoss, usualJudged: Math.min(seenMost, usualJudged + 1) };
  if (seasonHighShare === null) return judged;
  const seasonLoss = fadingMean(record.seasonLoss, pinballLoss(share, seasonHighShare), seasonJudged);
  return { ...judged, seasonLoss, seasonJudged: Math.min(seenMost, seasonJudged + 1) };
}

/** Its horizon has passed. */
export function withScored(record: ForecastRecord, forecast: OpenForecast): ForecastRecord {
  const { scored, seasonScored } = record;
  const { guesses, meanShare, sum, hits, buckets } = forecast;
  const share = sum / buckets;
  return {
    ...record,
    scored: Math.min(seenMost, scored + 1),
    seasonScored: guesses.season === null ? seasonScored : Math.min(seenMost, seasonScored + 1),
    hits: fadingMean(record.hits, hits / buckets, scored),
    error: fadingMean(record.error, Math.abs(meanShare - share), scored),
    naiveError: fadingMean(record.naiveError, Math.abs((guesses.last ?? 0) - share), scored),
  };
}

/** With fewer horizons passed, what was right may have been luck. */
const scoredForFull = 12;
/** Promised are 90 %: from 88 % on the promise counts as kept, at 60 % it is worth nothing. */
const hitsForFull = 0.88;
const hitsForNone = 0.6;
/** An error this much smaller than the naive one is worth full confidence; none smaller is worth none. */
const gainForFull = 0.2;
/** Below this share of a virtual CPU there is nothing to be gained: a load that stays as it is was forecast well by either. */
const errorOfNoWeight = 0.01;

/**
 * How far the forecast may be relied on, 0 to 100 %: enough of them scored, times the high figure kept, times better than naive. Nothing
 * of it is assumed; a VM whose forecast does no better than "it stays as it is" has 0 %, and is better planned by what it uses now.
 */
export function confidencePercentOf({ scored, hits, error, naiveError }: ForecastRecord): number {
  if (scored === 0) return 0;
  const evidence = Math.min(1, scored / scoredForFull);
  const kept = between(hits, hitsForNone, hitsForFull);
  const gain = error <= errorOfNoWeight ? 1 : between(1 - error / naiveError, 0, gainForFull);
  return Math.round(100 * evidence * kept * gain);
}

/** 0 at `none` and below, 1 at `full` and above. NaN, from a naive error of 0, is 0. */
function between(value: number, none: number, full: number): number {
  const part = (value - none) / (full - none);
  return part > 0 ? Math.min(1, part) : 0;
}
