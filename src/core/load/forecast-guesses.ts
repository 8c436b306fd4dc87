/** Several simple guesses of what a VM will use, and what is made of them: the ones that were right lately count most. */
import { type DayProfile, usualShare } from './day-profile.ts';

/**
 * `last`: stays as it is, the naive forecast. `quick`, `middle`, `slow`: means that fade. `after`: what came after loads like this one.
 * `season`: what this time of day usually is.
 */
export const guessNames = ['last', 'quick', 'middle', 'slow', 'after', 'season'] as const;
export type GuessName = (typeof guessNames)[number];

/** Shares of the virtual CPUs; null where there is nothing to guess by. */
export type Guesses = Readonly<Record<GuessName, number | null>>;

/** What is counted of how often something was seen; more would change nothing. */
export const seenMost = 1000;
const newestPart = 0.03;

/** A mean that fades, after one more value: plain for the first 33 (`seen` before this one), then the newest counts for 3 %. */
export function fadingMean(mean: number, value: number, seen: number): number {
  return mean + (value - mean) * Math.max(1 / (seen + 1), newestPart);
}

/** Mean error of each guess, in shares. */
export type GuessErrors = Readonly<Record<GuessName, number>>;
export const noErrors: GuessErrors = { last: 0, quick: 0, middle: 0, slow: 0, after: 0, season: 0 };

/** How many horizons each guess was judged by; all were there from the beginning but the season. */
export interface Judged {
  readonly scored: number;
  readonly seasonScored: number;
}

export function nextErrors(errors: GuessErrors, guesses: Guesses, share: number, { scored, seasonScored }: Judged): GuessErrors {
  const error = (name: GuessName): number => {
    const guess = guesses[name];
    return guess === null ? errors[name] : fadingMean(errors[name], Math.abs(guess - share), name === 'season' ? seasonScored : scored);
  };
  return {
    last: error('last'),
    quick: error('quick'),
    middle: error('middle'),
    slow: error('slow'),
    after: error('after'),
    season: error('season'),
  };
}

/** A guess that comes late has to be scored a few times before it counts. */
const seasonScoredMin = 3;
/** How much the better guesses are preferred: one with twice the error counts 1/256. */
const sharpness = 8;
/** Errors below this share are the same. */
const grain = 1e-6;

/**
 * The guesses' mean, each weighed by (smallest error / its own error)^8: weighted forecasters (Cesa-Bianchi, Lugosi: Prediction, Learning,
 * and Games, chapter 2) with a weight that needs no scale. Lies between the smallest and the largest of them.
 */
export function blended(guesses: Guesses, errors: GuessErrors, { seasonScored }: Judged): number {
  const counts = (name: GuessName) => name !== 'season' || seasonScored >= seasonScoredMin;
  let best = Infinity;
  for (const name of guessNames) if (guesses[name] !== null && counts(name)) best = Math.min(best, errors[name]);
  let [sum, weights] = [0, 0];
  for (const name of guessNames) {
    const guess = guesses[name];
    if (guess === null || !counts(name)) continue;
    const weight = ((best + grain) / (errors[name] + grain)) ** sharpness;
    sum += weight * guess;
    weights += weight;
  }
  return sum / weights;
}

/** Points of the horizon that a profile is looked at. */
const seasonPoints = [1 / 6, 1 / 2, 5 / 6];
/** Half of what it is above or below its habit now is expected to go on. */
const habitGoesOn = 0.5;

/** What the profile says of the horizon, mean and highest; null before it has learnt these hours. */
export function seasonOf(
  profile: DayProfile,
  now: { readonly atMs: number; readonly share: number },
  horizonMs: number,
): { readonly mean: number; readonly highest: number } | null {
  const usualNow = usualShare(profile, now.atMs);
  if (usualNow === null) return null;
  const off = (now.share - usualNow) * habitGoesOn;
  let [sum, highest] = [0, 0];
  for (const point of seasonPoints) {
    const usual = usualShare(profile, now.atMs + horizonMs * point);
    if (usual === null) return null;
    const share = Math.max(0, usual + off);
    sum += share;
    highest = Math.max(highest, share);
  }
  return { mean: sum / seasonPoints.length, highest };
}

/** The quantile that the high figure is: reality is to stay below it nine times in ten. */
export const highPart = 0.9;

/** Pinball loss of a quantile forecast (Koenker, Bassett 1978): what too low costs is nine times what too high costs. */
export function pinballLoss(share: number, high: number): number {
  return share >= high ? highPart * (share - high) : (1 - highPart) * (high - share);
}
