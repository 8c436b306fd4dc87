import { assert, double, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultPolicy } from '#core/model/policy.ts';
import { clusterOf, findHost } from './cluster.ts';
import { exampleSnapshot } from './examples.ts';
import { type Outlook, outlookOf, outlookWith, shortageCoreSeconds } from './shortage.ts';

const { balance } = defaultPolicy;
const horizonMs = 1_800_000;
const quiet: Outlook = { capacityCores: 10, wantedCores: 0, meanCores: 0, variance: 0, usualCores: 0, usualVariance: 0 };
const outlook = (more: Partial<Outlook>): Outlook => ({ ...quiet, ...more });
const short = (more: Partial<Outlook>) => shortageCoreSeconds(outlook(more), 80, balance, horizonMs);

describe('shortage of CPU', () => {
  it('is what is wanted above the line, for as long as it lasts and over the horizon', () => {
    expect(short({ wantedCores: 8, meanCores: 8 })).toBe(0);
    expect(short({ wantedCores: 9, meanCores: 8 })).toBe(balance.shortageMs / 1000);
    expect(short({ wantedCores: 8, meanCores: 9 })).toBe(horizonMs / 1000);
  });

  it('is expected of VMs that vary: at the line, a deviation of 1 core is short by 0.399 cores on average', () => {
    expect(short({ meanCores: 8, variance: 1 }) / (horizonMs / 1000)).toBeCloseTo(0.3989, 3);
  });

  it('is that of the usual load after the horizon, for as long as it is looked at', () => {
    const usual = outlook({ usualCores: 9, usualVariance: 0 });
    expect(shortageCoreSeconds(usual, 80, balance, horizonMs)).toBe(0);
    expect(shortageCoreSeconds(usual, 80, { ...balance, usualMs: 60_000 }, horizonMs)).toBe(60);
    const varies = outlook({ usualCores: 8, usualVariance: 4 });
    expect(shortageCoreSeconds(varies, 80, { ...balance, usualMs: 60_000 }, horizonMs)).toBeCloseTo(60 * 2 * 0.3989, 1);
  });

  it('agrees with summing the normal distribution up', () => {
    const amounts = double({ min: 0, max: 16, noNaN: true });
    assert(
      property(amounts, double({ min: 0.1, max: 5, noNaN: true }), (mean, deviation) => {
        let sum = 0;
        const step = deviation / 200;
        for (let x = 8; x < mean + 9 * deviation; x += step) {
          const z = (x + step / 2 - mean) / deviation;
          sum += ((x + step / 2 - 8) * Math.exp((-z * z) / 2) * step) / (deviation * Math.sqrt(2 * Math.PI));
        }
        expect(short({ meanCores: mean, variance: deviation ** 2 }) / (horizonMs / 1000)).toBeCloseTo(sum, 2);
      }),
      { numRuns: 50 },
    );
  });

  it('grows with what is wanted, with the mean and with the spread, and is never negative or no number', () => {
    const amount = double({ min: 0, max: 1000, noNaN: true });
    assert(
      property(amount, amount, amount, (wantedCores, meanCores, variance) => {
        const base = short({ wantedCores, meanCores, variance });
        expect(base).toBeGreaterThanOrEqual(0);
        for (const more of [{ wantedCores: wantedCores + 1 }, { meanCores: meanCores + 1 }, { variance: variance + 1 }])
          expect(short({ wantedCores, meanCores, variance, ...more })).toBeGreaterThanOrEqual(base - 1e-3);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the outlook of a host', () => {
  it('sums its VMs up, counts a forecast by its confidence, and goes back to where it was without what came', () => {
    const usual = { meanCores: 3, spreadCores: 2 };
    const forecast = { meanCores: 4, highCores: 4 + 1.2816, horizonMs, usual, confidencePercent: 50 } as never;
    const vms = [
      { id: 'a', cores: 2, delayCores: 1, forecast },
      { id: 'b', cores: 1 },
    ];
    const snapshot = exampleSnapshot([{ id: 'h1', cores: 8, otherCores: 0.5, vms }]);
    const host = findHost(clusterOf(snapshot, new Map()), 'h1');
    const [first] = host?.vms ?? [];
    if (host === undefined || first === undefined) throw new Error('the example has no such host');
    const whole = outlookOf(host);
    expect(whole.wantedCores).toBeCloseTo(4.5, 9);
    expect(whole.meanCores).toBeCloseTo(3 + 1 + 0.5, 9);
    expect(whole.variance).toBeCloseTo(1, 9);
    // Of the other VM it is not known: as it is now.
    expect(whole.usualCores).toBeCloseTo(3 + 1 + 0.5, 9);
    expect(whole.usualVariance).toBeCloseTo(4, 9);
    const back = outlookWith(outlookWith(whole, first, -1), first, 1);
    expect(back.wantedCores).toBeCloseTo(whole.wantedCores, 9);
    expect(back.variance).toBeCloseTo(whole.variance, 9);
    expect(back.usualCores).toBeCloseTo(whole.usualCores, 9);
    expect(back.usualVariance).toBeCloseTo(whole.usualVariance, 9);
  });
});
