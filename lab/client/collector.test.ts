import { expect, test } from 'vitest';
import { Collector, parseBeat } from './collector.ts';

const beat = (sequence: number, bootId = '0000beef'): string => `beat vm1 ${bootId} ${sequence} 1000 10 20 0 5 0 0 40 3 2`;

function after(sequences: readonly number[]): ReturnType<Collector['report']>[number] {
  const collector = new Collector();
  for (const [i, n] of sequences.entries()) collector.take(beat(n), i * 50, 1_000_000 + i * 50);
  const [report] = collector.report(sequences.length * 50, 1_000_000 + sequences.length * 50);
  if (report === undefined) throw new Error('no report');
  return report;
}

test('a beat carries what the guest knows of itself', () => {
  const report = after([7]);
  expect(report).toMatchObject({ guest: 'vm1', bootId: '0000beef', received: 1, uptimeMs: 1000, pagesDirtied: 10, diskRecords: 5 });
  expect(report.steering).toEqual({ cpuPercent: 40, dirtyMbPerSecond: 3, diskWritesPerSecond: 2 });
});

test('numbers without a hole are neither lost nor double', () => {
  expect(after([5, 6, 7, 8])).toMatchObject({ received: 4, lost: 0, duplicates: 0 });
});

test('a hole is lost until the late beat comes', () => {
  expect(after([5, 8])).toMatchObject({ lost: 2 });
  expect(after([5, 8, 6])).toMatchObject({ lost: 1, duplicates: 0 });
});

test('a number that comes twice under one boot betrays a second running copy', () => {
  expect(after([5, 6, 6, 7, 7])).toMatchObject({ received: 5, lost: 0, duplicates: 2 });
});

test('a new boot starts a new numbering', () => {
  const collector = new Collector();
  collector.take(beat(900), 0, 0);
  collector.take(beat(0, '0000cafe'), 50, 50);
  expect(collector.report(60, 60)[0]).toMatchObject({ boots: 2, lost: 0, duplicates: 0, bootId: '0000cafe' });
});

test('silence that still lasts counts as the largest gap', () => {
  const collector = new Collector();
  collector.take(beat(1), 0, 5000);
  collector.take(beat(2), 300, 5300);
  expect(collector.report(350, 5350)[0]).toMatchObject({ largestGapMs: 300, largestGapAtMs: 5300 });
  expect(collector.report(2300, 7300)[0]).toMatchObject({ largestGapMs: 2000, largestGapAtMs: 7300 });
});

test('a reset forgets counts and gaps but not the numbering', () => {
  const collector = new Collector();
  collector.take(beat(1), 0, 0);
  collector.take(beat(5), 900, 900);
  collector.reset('vm1');
  collector.take(beat(6), 950, 950);
  expect(collector.report(950, 950)[0]).toMatchObject({ received: 1, lost: 0, largestGapMs: 50 });
});

test.each(['', 'beat', 'beat vm1 xyz 1 2', `${beat(1)} 9`, beat(1).replace('40', '-4')])('%j is not a beat', (text) => {
  expect(parseBeat(text)).toBeUndefined();
});
