/**
 * Traces with the statistics of those of PlanetLab: a mean of 9 to 12 %, most VMs nearly idle and a few busy all day, bursts to
 * 99 %, a shallow day and night. Unlike PlanetLab's, whose readings hardly depend on the one before (pooled correlation 0.1 to 0.2),
 * these keep some of their deviation for an hour, as loads of businesses do: there is something that a balancer can still catch.
 */
import type { Random } from '#core/ports.ts';
import { Streams } from '#sim/random.ts';
import { readingsPerDay } from './trace.ts';
import type { Trace, TraceSet } from './trace.ts';

/** Log-normal mean of a VM over the day. */
const medianPercent = 5.5;
const spreadOfMeans = 1;
/** What a reading keeps of the deviation of the one before, and how far deviations go, relative to the VM's mean. */
const persistence = 0.85;
const deviation = 0.35;
const noise = 0.25;
/** Busiest in the middle of the day, give or take some hours. */
const dayShare = 0.2;
const busiestReading = readingsPerDay * 0.58;
const busiestSpread = readingsPerDay * 0.1;
const burstsPerDay = 1.2;
const burstReadingsMean = 5;
const percentMax = 99;

export const synthetic: TraceSet = {
  name: 'synthetic',
  *traces(seed) {
    const streams = new Streams(seed);
    for (let index = 0; ; index += 1) yield syntheticTrace(streams.stream(`trace-${index}`));
  },
};

export function syntheticTrace(random: Random): Trace {
  const mean = medianPercent * Math.exp(spreadOfMeans * normal(random));
  const busiest = busiestReading + busiestSpread * normal(random);
  const bursts = burstsOf(random);
  const readings = new Uint8Array(readingsPerDay);
  let drift = normal(random);
  for (let index = 0; index < readingsPerDay; index += 1) {
    drift = persistence * drift + Math.sqrt(1 - persistence ** 2) * normal(random);
    const day = 1 + dayShare * Math.cos(((index - busiest) / readingsPerDay) * 2 * Math.PI);
    const usual = mean * day * Math.max(0, 1 + deviation * drift + noise * normal(random));
    readings[index] = Math.round(Math.min(percentMax, Math.max(usual, bursts[index] ?? 0)));
  }
  return readings;
}

/** The least that a burst asks for at each reading, 0 outside of bursts. */
function burstsOf(random: Random): readonly number[] {
  const floors = Array.from({ length: readingsPerDay }, () => 0);
  const gap = () => exponential(random, readingsPerDay / burstsPerDay);
  for (let start = gap(); start < readingsPerDay; start += gap()) {
    const percent = percentMax * random.fraction() ** 0.7;
    const end = Math.min(readingsPerDay, start + exponential(random, burstReadingsMean));
    for (let index = Math.floor(start); index < end; index += 1) floors[index] = Math.max(floors[index] ?? 0, percent);
  }
  return floors;
}

function exponential(random: Random, mean: number): number {
  return -Math.log(1 - random.fraction()) * mean;
}

/** Box and Muller. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.fraction())) * Math.cos(2 * Math.PI * random.fraction());
}
