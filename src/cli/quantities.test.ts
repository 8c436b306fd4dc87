import { expect, test } from 'vitest';
import { parseMoment, parseRate } from './quantities.ts';

const nowMs = Date.UTC(2026, 10, 2, 12);

test('rates have a unit, binary, decimal or in bits, with or without /s', () => {
  expect(['1B', '100MiB', '100MiB/s', '1.5GiB', '12MB', '800Mbit/s', '10Gbit'].map((text) => parseRate(text))).toEqual([
    1,
    100 * 1024 ** 2,
    100 * 1024 ** 2,
    1.5 * 1024 ** 3,
    12e6,
    100e6,
    1.25e9,
  ]);
});

test('a rate without a unit, with another one, or that is no figure is none', () => {
  for (const text of ['', '100', '100M', '100mib', '-1MiB', '1e3MiB', '100 MiB', 'MiB', '1,5GiB', '100MiB/h', '0x10B', 'toString'])
    expect(parseRate(text), text).toBeNull();
});

test('a length of time is so long ago', () => {
  expect(parseMoment('24h', nowMs)).toEqual({ firstMs: nowMs - 86_400_000, endMs: nowMs - 86_400_000 });
  expect(parseMoment('90000d', nowMs)).toEqual({ firstMs: 0, endMs: 0 });
});

test('a date is all of its day, a time all of its minute or second, in UTC unless it says otherwise', () => {
  const day = Date.UTC(2026, 10, 1);
  expect(parseMoment('2026-11-01', nowMs)).toEqual({ firstMs: day, endMs: day + 86_400_000 });
  const minute = Date.UTC(2026, 10, 1, 14, 5);
  for (const text of ['2026-11-01T14:05', '2026-11-01 14:05', '2026-11-01T14:05Z', '2026-11-01T15:05+01:00'])
    expect(parseMoment(text, nowMs), text).toEqual({ firstMs: minute, endMs: minute + 60_000 });
  expect(parseMoment('2026-11-01 14:05:09Z', nowMs)).toEqual({ firstMs: minute + 9000, endMs: minute + 10_000 });
});

test('what is no time is none', () => {
  for (const text of [
    '',
    'yesterday',
    '2026-02-30',
    '2026-13-01',
    '2026-11-1',
    '2026-11-01T25:00',
    '2026-11-01T',
    '01.11.2026',
    '1969-12-31',
    '1793577600000',
    '24',
  ])
    expect(parseMoment(text, nowMs), text).toBeNull();
  expect(parseMoment('2028-02-29', nowMs)).not.toBeNull();
});
