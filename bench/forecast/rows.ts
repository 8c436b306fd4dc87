/** Ways to forecast, and how far off each is. Shares of a VM's virtual CPUs; the horizon in readings of five minutes. */
import { highPart, pinballLoss } from '#core/load/forecast-guesses.ts';
import { forecastBucketMs, nextVmForecast, vmForecastOf, type VmForecastState } from '#core/load/vm-forecast.ts';

export interface Guess {
  readonly mean: number;
  readonly high: number;
  /** Null for what does not tell. */
  readonly confidencePercent: number | null;
}

/** Takes in one reading and forecasts what comes after it; null before it can. */
export type Forecaster = (share: number, index: number) => Guess | null;

export interface Row {
  readonly name: string;
  readonly newForecaster: (horizonReadings: number) => Forecaster;
}

export interface Score {
  readings: number;
  forecasts: number;
  pinball: number;
  hits: number;
  meanError: number;
}

export const newScore = (): Score => ({ readings: 0, forecasts: 0, pinball: 0, hits: 0, meanError: 0 });

const ewmaWeight = 0.3;
const dayReadings = 288;

export const product = 'plimsoll';
export const rows: readonly Row[] = [
  { name: 'naive (stays as it is)', newForecaster: () => (share) => ({ mean: share, high: share, confidencePercent: null }) },
  { name: `EWMA (weight ${ewmaWeight})`, newForecaster: ewma },
  { name: '90 % of the last day', newForecaster: lastDay },
  { name: product, newForecaster: ours },
];

function ewma(): Forecaster {
  let mean: number | null = null;
  return (share) => {
    mean = mean === null ? share : mean + ewmaWeight * (share - mean);
    return { mean, high: mean, confidencePercent: null };
  };
}

/** What needs a day of readings for each VM: its own quantile, and its mean. */
function lastDay(): Forecaster {
  const seen: number[] = [];
  return (share) => {
    seen.push(share);
    if (seen.length > dayReadings) seen.shift();
    const sorted = seen.toSorted((a, b) => a - b);
    const mean = seen.reduce((sum, one) => sum + one, 0) / seen.length;
    return { mean, high: sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * highPart))] ?? share, confidencePercent: null };
  };
}

function ours(horizonReadings: number): Forecaster {
  const horizonMs = horizonReadings * forecastBucketMs;
  let state: VmForecastState | null = null;
  return (share, index) => {
    // The reading after it closes the bucket: what is asked for here is what is known then.
    state = nextVmForecast(state, { atMs: index * forecastBucketMs, usedCores: share, vcpus: 1 }, horizonMs);
    const closed = nextVmForecast(state, { atMs: (index + 1) * forecastBucketMs, usedCores: 0, vcpus: 1 }, horizonMs);
    const forecast = closed && vmForecastOf(closed, 1, horizonMs);
    return forecast && { mean: forecast.meanCores, high: forecast.highCores, confidencePercent: forecast.confidencePercent };
  };
}

export function count(score: Score, guess: Guess, future: readonly number[]): void {
  for (const share of future) {
    score.pinball += pinballLoss(share, guess.high);
    score.hits += share <= guess.high + 1e-9 ? 1 : 0;
    score.readings += 1;
  }
  score.meanError += Math.abs(guess.mean - future.reduce((sum, share) => sum + share, 0) / future.length);
  score.forecasts += 1;
}
