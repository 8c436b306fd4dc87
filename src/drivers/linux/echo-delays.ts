/**
 * Any number of delays in bounded memory. Each falls into one of 815 classes between 1 µs and 10 s, each 2 % wider than the one before,
 * so that a percentile is right to 1 %.
 */
const delayMsMin = 0.001;
const delayMsMax = 10_000;
const growth = 1.02;
const classes = Math.ceil(Math.log(delayMsMax / delayMsMin) / Math.log(growth)) + 1;

export class EchoDelays {
  readonly #counts = new Float64Array(classes);
  #total = 0;

  add(delayMs: number): void {
    const bounded = Math.min(Math.max(delayMs, delayMsMin), delayMsMax);
    const index = Math.min(Math.floor(Math.log(bounded / delayMsMin) / Math.log(growth)), classes - 1);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#total += 1;
  }

  /** The nearest-rank percentile in milliseconds, `fraction` in (0, 1]; null without any delay. */
  percentile(fraction: number): number | null {
    if (this.#total === 0) return null;
    let left = Math.ceil(fraction * this.#total);
    const index = this.#counts.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    // The middle of the class, on its logarithmic scale.
    return delayMsMin * growth ** (index + 0.5);
  }
}
