import { printable } from './format.ts';

/** Where two logs part. Lines count from 1; null where that log has ended. */
export interface LogDifference {
  readonly line: number;
  /** The lines before it, which both have. */
  readonly before: readonly string[];
  readonly expected: string | null;
  readonly played: string | null;
}

const linesBefore = 3;

/** The first line in which two logs differ; null when they are the same, byte for byte. */
export function firstDifference(expected: string, played: string): LogDifference | null {
  if (expected === played) return null;
  const ours = expected.split('\n');
  const theirs = played.split('\n');
  const at = ours.findIndex((line, index) => line !== theirs[index]);
  // Where one log is the beginning of the other, the shorter one has ended.
  const index = at === -1 ? ours.length : at;
  const isLast = (lines: readonly string[]) => index >= lines.length || (index === lines.length - 1 && lines[index] === '');
  return {
    line: index + 1,
    before: ours.slice(Math.max(0, index - linesBefore), index),
    expected: isLast(ours) ? null : (ours[index] ?? null),
    played: isLast(theirs) ? null : (theirs[index] ?? null),
  };
}

/** The difference as a diff shows one: `-` is expected, `+` was played. */
export function printDifference({ line, before, expected, played }: LogDifference): string {
  const width = String(line).length;
  const row = (mark: string, number: number, text: string) => `${mark} ${String(number).padStart(width)}  ${printable(text)}`;
  return [
    `The log differs from expected.log from line ${line} on:`,
    ...before.map((text, index) => row(' ', line - before.length + index, text)),
    expected === null ? `- ${' '.repeat(width)}  (expected.log ends here)` : row('-', line, expected),
    played === null ? `+ ${' '.repeat(width)}  (the run ends here)` : row('+', line, played),
  ].join('\n');
}
