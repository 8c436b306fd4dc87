import { describe, expect, test } from 'vitest';
import { Network } from './network.ts';
import { Streams } from './random.ts';

const good = { delayMs: 0, jitterMs: 0, lossPercent: 0, duplicatePercent: 0, reorderPercent: 0 };

describe('a network', () => {
  test('that is cut one way lets packets of the other way pass, and nobody speaks with anybody', () => {
    const network = new Network();
    network.cutOneWay('host1', 'host2');
    expect(network.passes('host1', 'host2')).toBe(false);
    expect(network.passes('host2', 'host1')).toBe(true);
    expect(network.reaches('host1', 'host2')).toBe(false);
    expect(network.reaches('host2', 'host1')).toBe(false);
    expect(network.arriving('host1', 'host2', 8)).toBe(0);
    expect(network.arriving('host2', 'host1', 8)).toBe(8);
    expect(network.reaches('host1', 'host3')).toBe(true);
  });

  test('heals the way that was cut, or both at once', () => {
    const network = new Network();
    network.cut('host1', 'host2');
    network.healOneWay('host1', 'host2');
    expect(network.passes('host1', 'host2')).toBe(true);
    expect(network.passes('host2', 'host1')).toBe(false);
    network.heal('host1', 'host2');
    expect(network.reaches('host2', 'host1')).toBe(true);
  });

  test('tells of each change, until nobody wants to know', () => {
    const network = new Network();
    let changes = 0;
    const stop = network.onChange(() => {
      changes += 1;
    });
    network.cutOneWay('a', 'b');
    network.setQuality('a', 'b', good);
    stop();
    network.heal('a', 'b');
    expect(changes).toBe(2);
  });

  test('draws for each link by itself: what one loses changes nothing for another', () => {
    const alone = new Network(new Streams(7));
    const beside = new Network(new Streams(7));
    for (const network of [alone, beside]) network.setQuality('host1', 'host2', { ...good, lossPercent: 50 });
    beside.setQuality('host1', 'host3', { ...good, lossPercent: 50 });
    const seen = Array.from({ length: 20 }, () => {
      beside.arriving('host3', 'host1', 5);
      return [alone.arriving('host1', 'host2', 5), beside.arriving('host2', 'host1', 5)];
    });
    for (const [one, other] of seen) expect(other).toBe(one);
    expect(new Set(seen.map(([one]) => one)).size).toBeGreaterThan(1);
  });
});
