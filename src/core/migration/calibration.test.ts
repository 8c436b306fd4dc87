import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { correctionsFrom, type Corrections, noCorrections, type PastTransfer } from './calibration.ts';
import { exampleFacts, exampleOptions, examplePast, type ExampleVm } from './forecast-examples.ts';
import { type ForecastFacts, predict } from './prediction.ts';

const pair = { fromHostId: 'a', toHostId: 'b' };
const options = exampleOptions();

/** Different VMs, as a cluster has them. */
const vms: readonly ExampleVm[] = [
  {},
  { dirty: 4, workingSet: 40 },
  { memory: 2048, used: 900, dirty: 8, workingSet: 100 },
  { memory: 256, used: 200, dirty: 1, workingSet: 10, channel: 12 },
  { memory: 1024, used: 1000, dirty: 2, workingSet: 500, channel: 100 },
];

function times(count: number, make: (index: number) => PastTransfer): readonly PastTransfer[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function slower(facts: ForecastFacts, factor: number): ForecastFacts {
  return { ...facts, bandwidth: { ...facts.bandwidth, bytesPerSecond: facts.bandwidth.bytesPerSecond * factor } };
}

/** |said - happened| / happened of the total, for a transfer that is no part of the history. */
function errorWith(corrections: Corrections, next: PastTransfer): { readonly total: number; readonly downtime: number } {
  const { memoryBytes, activity, bandwidth } = next.prediction;
  const said = predict(next.options, { memoryBytes, activity, bandwidth, corrections });
  return {
    total: Math.abs(said.totalMs.expected / next.totalMs - 1),
    downtime: Math.abs(said.downtimeMs.expected / (next.downtimeMs ?? 0) - 1),
  };
}

describe('corrections', () => {
  it('are none without history', () => {
    expect(correctionsFrom([], { pair, options })).toEqual(noCorrections);
  });

  it('take away a bias of the bandwidth exactly, also where it changes the rounds', () => {
    for (const factor of [0.5, 0.8, 1.6]) {
      const history = vms.map((vm, index) => examplePast(exampleFacts(vm), { really: slower(exampleFacts(vm), factor), endedAtMs: index }));
      const corrections = correctionsFrom(history, { pair, options });
      expect(corrections).toMatchObject({ from: 5, scope: 'pair' });
      const facts = exampleFacts({ memory: 700, used: 600, dirty: 5, workingSet: 60 });
      const next = examplePast(facts, { really: slower(facts, factor) });
      // Hand-over and the look at the bandwidth before the first stop are not in proportion, so not to the last digit.
      expect(errorWith(corrections, next).total).toBeLessThan(0.02);
      expect(errorWith(corrections, next).downtime).toBeLessThan(0.02);
      expect(errorWith(noCorrections, next).total).toBeGreaterThan(0.2);
    }
  });

  it('take away a bias of total and downtime for any factors within their bounds', () => {
    const factor = fc.double({ min: 0.3, max: 3.5, noNaN: true });
    fc.assert(
      fc.property(factor, factor, fc.integer({ min: 1, max: 40 }), (total, downtime, count) => {
        const facts = exampleFacts();
        const history = times(count, (endedAtMs) => examplePast(facts, { total, downtime, endedAtMs }));
        const error = errorWith(correctionsFrom(history, { pair, options }), examplePast(facts, { total, downtime }));
        expect(error.total).toBeLessThan(0.01);
        expect(error.downtime).toBeLessThan(0.01);
      }),
    );
  });

  it('do not feed on themselves: what was said with corrections teaches the same as what was said without', () => {
    const facts = exampleFacts();
    let history: readonly PastTransfer[] = [];
    let first: Corrections | null = null;
    for (let endedAtMs = 0; endedAtMs < 30; endedAtMs += 1) {
      const corrections = correctionsFrom(history, { pair, options });
      const prediction = predict(options, { ...facts, corrections });
      history = [...history, { ...examplePast(facts, { total: 2, endedAtMs }), prediction }];
      if (endedAtMs === 1) first = corrections;
      if (endedAtMs < 1) continue;
      expect(corrections.total).toBeCloseTo(first?.total ?? 0, 9);
      expect(corrections.bandwidth.stream).toBeCloseTo(first?.bandwidth.stream ?? 0, 9);
    }
  });

  it('are not moved by outliers, and stay within a quarter and four times', () => {
    const facts = exampleFacts();
    const usual = times(9, (endedAtMs) => examplePast(facts, { total: 1.2, endedAtMs }));
    const wild = [500, 1e9, 1e-9, 0.001].map((total, index) => examplePast(facts, { total, endedAtMs: 3.5 + index }));
    const error = errorWith(correctionsFrom([...usual, ...wild], { pair, options }), examplePast(facts, { total: 1.2 }));
    expect(error.total).toBeLessThan(0.01);
    const mad = times(10, (endedAtMs) => examplePast(facts, { total: 1e6, endedAtMs }));
    const { bandwidth, total, downtime } = correctionsFrom(mad, { pair, options });
    expect([bandwidth.stream, total, downtime].every((value) => value >= 0.25 && value <= 4)).toBe(true);
  });

  it('follow a change: after a dozen newer transfers the old state is forgotten', () => {
    const facts = exampleFacts();
    const before = times(20, (endedAtMs) => examplePast(facts, { total: 3, endedAtMs }));
    const after = times(12, (index) => examplePast(facts, { endedAtMs: 100 + index }));
    expect(errorWith(correctionsFrom([...after, ...before], { pair, options }), examplePast(facts)).total).toBeLessThan(0.01);
    // Control: in the other order of age the old state would be the new one.
    const swapped = [...before.map((past) => ({ ...past, endedAtMs: past.endedAtMs + 1000 })), ...after];
    expect(errorWith(correctionsFrom(swapped, { pair, options }), examplePast(facts)).total).toBeGreaterThan(1);
  });

  it('are the own ones of a pair, in both directions, once there are enough; else those of all pairs', () => {
    const facts = exampleFacts();
    const others = times(20, (endedAtMs) => examplePast(facts, { total: 3, endedAtMs, toHostId: 'c' }));
    const own = times(3, (endedAtMs) => examplePast(facts, { total: 1.5, endedAtMs }));
    const back = { fromHostId: 'b', toHostId: 'a' };
    expect(correctionsFrom([...others, ...own], { pair: back, options })).toMatchObject({ scope: 'pair', from: 3 });
    expect(correctionsFrom([...others, ...own.slice(1)], { pair, options })).toMatchObject({ scope: 'method', from: 22 });
  });

  it('are kept apart by method, compression and streams, and leave out what was not done as planned', () => {
    const facts = exampleFacts();
    const history = times(5, (endedAtMs) => examplePast(facts, { total: 2, endedAtMs }));
    for (const other of [{ method: 'post-copy' }, { compression: 'xbzrle' }, { streams: 4 }] as const) {
      expect(correctionsFrom(history, { pair, options: exampleOptions(other) })).toEqual(noCorrections);
    }
    const changed = history.map((past) => ({ ...past, asPlanned: false }));
    expect(correctionsFrom(changed, { pair, options })).toEqual(noCorrections);
  });

  it('say how far off: about 90 % of what follows lies within the range, which a long and steady history makes narrow', () => {
    // Deviations from 0.74 to 1.35, evenly in the logarithm, in an order that has nothing to do with their size.
    const deviation = (index: number): number => Math.exp((((index * 37) % 61) / 30 - 1) * 0.3);
    const facts = exampleFacts();
    const history = times(40, (index) => examplePast(facts, { total: deviation(index), endedAtMs: index }));
    const corrections = correctionsFrom(history, { pair, options });
    const { totalMs } = predict(options, { ...facts, corrections });
    const later = times(61, (index) => examplePast(facts, { total: deviation(index) }));
    const inside = later.filter((past) => past.totalMs >= totalMs.low && past.totalMs <= totalMs.high).length / later.length;
    expect(inside).toBeGreaterThan(0.85);
    expect(inside).toBeLessThan(1);
    const steady = correctionsFrom(
      times(40, (endedAtMs) => examplePast(facts, { total: 1.3, endedAtMs })),
      { pair, options },
    );
    expect(steady.totalSpread).toBeLessThan(1.06);
    const few = correctionsFrom(
      times(2, (endedAtMs) => examplePast(facts, { total: 1.3, endedAtMs })),
      { pair, options },
    );
    expect(few.totalSpread).toBeGreaterThan(1.2);
  });

  it('tell how far a pair stretches its limits: nine tenths stayed below, mixed with what was measured while they are few', () => {
    // At 16 MiB/s the VM writes so much that the limit is used up.
    const facts = exampleFacts({ dirty: 12, workingSet: 200, channel: 16 });
    const with300 = (downtimeMs: number | null, changes: Partial<PastTransfer> = {}) => {
      return (endedAtMs: number): PastTransfer => ({ ...examplePast(facts, { endedAtMs }), downtimeMs, ...changes });
    };
    const stretchOf = (history: readonly PastTransfer[]): number => correctionsFrom(history, { pair, options }).limitStretch;
    // (780 - 120) / 300 = 2.2.
    expect(stretchOf(times(64, with300(780)))).toBeCloseTo(2.2, 0);
    // Three of them against the two that what was measured counts for: 2.2^0.6 x 1.4^0.4 = 1.84.
    expect(stretchOf(times(3, with300(780)))).toBeCloseTo(1.84, 1);
    expect(stretchOf(times(64, with300(150)))).toBeCloseTo(1, 0);
    // The limit is not what a stop takes.
    const stop = exampleOptions({ method: 'stop-and-copy' });
    const stops = times(9, (endedAtMs) => examplePast(facts, { options: stop, endedAtMs }));
    expect(correctionsFrom(stops, { pair, options: stop }).limitStretch).toBe(1.4);
    // Too few, another pair, a limit that nobody knows, and VMs that did not use it up say nothing.
    expect(stretchOf(times(2, with300(780)))).toBe(1.4);
    expect(stretchOf(times(9, with300(780, { pair: { fromHostId: 'a', toHostId: 'c' } })))).toBe(1.4);
    expect(stretchOf(times(9, with300(780, { limitMs: null })))).toBe(1.4);
    expect(stretchOf(times(9, with300(null)))).toBe(1.4);
    expect(stretchOf(times(9, (endedAtMs) => ({ ...examplePast(exampleFacts(), { endedAtMs }), downtimeMs: 130 })))).toBe(1.4);
  });

  it('are finite, positive and bounded for all histories', () => {
    const number = fc.oneof(fc.double(), fc.constantFrom(0, -1, Number.NaN, Number.POSITIVE_INFINITY));
    const past = fc.record({ totalMs: number, downtimeMs: fc.option(number), bytes: number, endedAtMs: fc.integer() });
    fc.assert(
      fc.property(fc.array(past, { maxLength: 12 }), fc.constantFrom(...vms), (changes, vm) => {
        const history = changes.map((change) => ({ ...examplePast(exampleFacts(vm)), ...change }));
        const found = correctionsFrom(history, { pair, options });
        const { bandwidth, total, downtime, bytes, totalSpread, downtimeSpread, bytesSpread, limitStretch } = found;
        for (const factor of [bandwidth.stream, bandwidth.migration, total, downtime, bytes]) {
          expect(factor).toBeGreaterThanOrEqual(0.2499);
          expect(factor).toBeLessThanOrEqual(4.001);
        }
        for (const spread of [totalSpread, downtimeSpread, bytesSpread, limitStretch]) {
          expect(spread).toBeGreaterThanOrEqual(1);
          expect(spread).toBeLessThanOrEqual(4.001);
        }
      }),
    );
  });
});
