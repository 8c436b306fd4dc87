/** Figures as they stand in reasons: short, with their unit. */

/** One decimal, such as `81.3 %`. */
export function percent(value: number): string {
  return `${Math.round(value * 10) / 10} %`;
}

/** Two decimals, such as `1.25 cores`. */
export function coreCount(value: number): string {
  return `${Math.round(value * 100) / 100} cores`;
}

/** `512 MiB` or `1.5 GiB`. */
export function memorySize(valueBytes: number): string {
  const mebibytes = valueBytes / 2 ** 20;
  return mebibytes < 1024 ? `${Math.round(mebibytes)} MiB` : `${Math.round((mebibytes / 1024) * 10) / 10} GiB`;
}

export function seconds(valueMs: number): string {
  return `${Math.round(valueMs / 100) / 10} s`;
}

/** `340 ms` or `2.5 s`. */
export function milliseconds(valueMs: number): string {
  return valueMs < 1000 ? `${Math.round(valueMs)} ms` : seconds(valueMs);
}

/** `40 s`, `25 min` or `5.5 h`. */
export function duration(valueMs: number): string {
  if (valueMs < 120_000) return `${Math.ceil(valueMs / 1000)} s`;
  if (valueMs < 120 * 60_000) return `${Math.ceil(valueMs / 60_000)} min`;
  return `${Math.round(valueMs / 360_000) / 10} h`;
}

/** `1 move`, `3 moves`. */
export function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
