import { describe, expect, test } from 'vitest';
import { Link, type LinkQuality } from './link.ts';
import { Streams } from './random.ts';

function link(quality: Partial<LinkQuality>): Link {
  const good = { delayMs: 0, jitterMs: 0, lossPercent: 0, duplicatePercent: 0, reorderPercent: 0 };
  return new Link({ ...good, ...quality }, new Streams(1).stream('link'));
}

const many = 20_000;

describe('a bad link', () => {
  test('loses its share of datagrams and doubles its share of the rest', () => {
    expect(link({}).arriving(many)).toBe(many);
    expect(link({ lossPercent: 20 }).arriving(many) / many).toBeCloseTo(0.8, 1);
    expect(link({ duplicatePercent: 30 }).doubled(many) / many).toBeCloseTo(0.3, 1);
    expect(link({}).doubled(many)).toBe(0);
  });

  test('is later by its delay, up to its jitter, and a reordered datagram by a round trip more', () => {
    const delays = Array.from({ length: many / 10 }, () => 0);
    const jittery = link({ delayMs: 10, jitterMs: 5 });
    const late = delays.map(() => jittery.datagramMs());
    expect(Math.min(...late)).toBeGreaterThanOrEqual(10);
    expect(Math.max(...late)).toBeLessThanOrEqual(15);
    expect(link({ delayMs: 10, reorderPercent: 100 }).datagramMs()).toBe(10 + 2 * (10 + 2));
  });

  test('keeps every segment of a stream: a lost one comes after one more time-out, each twice the last', () => {
    expect(link({ delayMs: 3 }).segmentMs()).toBe(3);
    const lossy = link({ lossPercent: 50 });
    const waits = new Set(Array.from({ length: many }, () => lossy.segmentMs()));
    expect([...waits].toSorted((a, b) => a - b).slice(0, 4)).toEqual([0, 200, 600, 1400]);
    expect(Math.max(...waits)).toBe(200 * (2 ** 7 - 1));
  });

  test('carries a stream as MSS / RTT * sqrt(3/2) / sqrt(p), and never more than a window in a round trip', () => {
    // 4 ms both ways on a good link, and 2 * 8 ms more.
    expect(link({ delayMs: 8, lossPercent: 1 }).streamBytesPerSecond).toBeCloseTo(((1448 / 0.02) * Math.sqrt(1.5)) / 0.1);
    expect(link({ delayMs: 48 }).streamBytesPerSecond).toBeCloseTo((4 * 2 ** 20) / 0.1);
    const [less, more] = [link({ delayMs: 8, lossPercent: 4 }), link({ delayMs: 8, lossPercent: 1 })];
    expect(more.streamBytesPerSecond / less.streamBytesPerSecond).toBeCloseTo(2);
  });
});
