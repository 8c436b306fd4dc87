/** CPU use of one VM: percent of its virtual CPUs, one byte for each five minutes. */
export type Trace = Uint8Array;

export const readingSeconds = 300;
export const readingsPerDay = 288;

/** The reading that holds at this time: readings are means of their five minutes. After its end a trace starts anew. */
export function readingAt(trace: Trace, seconds: number): number {
  return trace[Math.floor(seconds / readingSeconds) % trace.length] ?? 0;
}

export function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) sum += values[index] ?? 0;
  return values.length > 0 ? sum / values.length : 0;
}

/** Where traces come from; the seed of a run chooses or makes them. */
export interface TraceSet {
  readonly name: string;
  /** A run's traces, endless. */
  traces(seed: number): Iterator<Trace, never>;
}
