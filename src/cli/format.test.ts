import { expect, test } from 'vitest';
import {
  formatAge,
  formatBytes,
  formatCores,
  formatDuration,
  formatPercent,
  formatRate,
  formatTime,
  parseDuration,
  printable,
} from './format.ts';

test('bytes are in binary units with three digits', () => {
  expect([0, 1023, 1024, 1536, 128 * 1024 ** 2, 1.5 * 1024 ** 3, 3 * 1024 ** 6].map((bytes) => formatBytes(bytes))).toEqual([
    '0 B',
    '1023 B',
    '1.00 KiB',
    '1.50 KiB',
    '128 MiB',
    '1.50 GiB',
    '3072 PiB',
  ]);
  expect(formatRate(1024 ** 2)).toBe('1.00 MiB/s');
});

test('lengths of time have two units at most', () => {
  expect([0, 251, 999, 1000, 3250, 59_999, 60_000, 250_000, 3_600_000, 7_500_000, 273_600_000].map((ms) => formatDuration(ms))).toEqual([
    '0 ms',
    '251 ms',
    '999 ms',
    '1.0 s',
    '3.2 s',
    '59.9 s',
    '1 min',
    '4 min 10 s',
    '1 h',
    '2 h 5 min',
    '3 d 4 h',
  ]);
});

test('a clock that runs ahead gives no negative age', () => {
  expect(formatAge(2000, 1000)).toBe('0 ms ago');
  expect(formatAge(null, 1000)).toBe('never');
});

test('what is not known is a dash, never a zero', () => {
  expect([formatBytes(null), formatRate(null), formatPercent(null), formatCores(null), formatDuration(null)]).toEqual([
    '-',
    '-',
    '-',
    '-',
    '-',
  ]);
});

test('times are UTC, and one beyond the range of a date is a dash', () => {
  expect(formatTime(Date.UTC(2026, 0, 31, 14, 5, 9))).toBe('2026-01-31 14:05:09Z');
  expect(formatTime(1e300)).toBe('-');
});

test('lengths of time are read in five units and nothing else', () => {
  expect(['500ms', '90s', '30m', '1h', '2d'].map((text) => parseDuration(text))).toEqual([500, 90_000, 1_800_000, 3_600_000, 172_800_000]);
  expect(['', '1', 'h', '-1h', '1.5h', '1 h', '1w', '1h30m', '9999999999s'].map((text) => parseDuration(text))).toEqual(
    Array(9).fill(null),
  );
});

test('text from elsewhere cannot command the terminal', () => {
  expect(printable('web\u001b[2J\u0007\u009b31m\u202eevil\nnext')).toBe('web\u{fffd}[2J\u{fffd}\u{fffd}31m\u{fffd}evil\u{fffd}next');
  expect(printable('größe-é-日本')).toBe('größe-é-日本');
});
