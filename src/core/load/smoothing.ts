/** An exponentially smoothed figure and the time of its newest reading. Plain data. */
export interface Smoothed {
  readonly value: number;
  readonly atMs: number;
}

/**
 * Takes in one reading. After `halfLifeMs` an old reading has half its weight, however many readings came
 * in between: value += (reading - value) x (1 - 2^(-elapsed / halfLife)), the exponential moving average
 * for irregular intervals. The first reading is taken as it is. A reading that is not newer changes nothing,
 * nor does one that is not a number; a half-life of 0 switches smoothing off.
 */
export function smooth(previous: Smoothed | null, reading: number, atMs: number, halfLifeMs: number): Smoothed | null {
  if (!Number.isFinite(reading)) return previous;
  if (previous === null) return { value: reading, atMs };
  const elapsedMs = atMs - previous.atMs;
  if (!(elapsedMs > 0)) return previous;
  const weight = halfLifeMs > 0 ? 1 - 2 ** (-elapsedMs / halfLifeMs) : 1;
  return { value: previous.value + (reading - previous.value) * weight, atMs };
}
