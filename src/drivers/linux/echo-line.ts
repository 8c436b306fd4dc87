/**
 * What fping prints about each request to one address, with times (`fping -c N -D`). Seen of version 5.1; its fping.c has the same
 * words from 5.0 on. The time of an answer is the kernel's, of the packet's arrival (SO_TIMESTAMPNS), not that of the printing.
 */

export type EchoLine =
  | {
      readonly kind: 'answer';
      /** Which request it answers, from 0. */
      readonly index: number;
      /** Since the Unix epoch. */
      readonly atMs: number;
      readonly delayMs: number;
    }
  /** `atMs`: when fping gave up waiting for the answer. */
  | { readonly kind: 'silence'; readonly index: number; readonly atMs: number };

const form = /^\[(\d{1,12}\.\d{1,9})\] \S+ +: \[(\d{1,15})\], (?:\d+ bytes, (\d[\d.]*(?:e[+-]?\d+)?) ms|(timed out))/;

/** Null for any other line. */
export function parseEchoLine(line: string): EchoLine | null {
  const match = form.exec(line);
  if (match === null) return null;
  const [, seconds, number, delay] = match;
  const index = Number(number);
  // Printed to 10 µs.
  const atMs = Math.round(Number(seconds) * 100_000) / 100;
  if (delay === undefined) return { kind: 'silence', index, atMs };
  const delayMs = Number(delay);
  return Number.isFinite(delayMs) ? { kind: 'answer', index, atMs, delayMs } : null;
}
