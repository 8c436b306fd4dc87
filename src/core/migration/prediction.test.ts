import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Prediction } from '#core/model/forecast.ts';
import { methods, type TransferOptions } from '#core/model/method.ts';
import { noCorrections } from './forecast-corrections.ts';
import { type ExampleVm, exampleFacts, exampleOptions, mebibyte } from './forecast-examples.ts';
import { handOverMs } from './downtime-limit.ts';
import { copyTimesMax, postCopyHandOverMs } from './forecast-model.ts';
import { predict } from './prediction.ts';

function forecast(vm: ExampleVm, options: Partial<TransferOptions> = {}): Prediction {
  return predict(exampleOptions(options), { ...exampleFacts(vm), corrections: noCorrections });
}

/** All of 512 MiB once, half of it zeroes: 256 MiB x 4104/4096 + 256 MiB x 9/4096 = 257.0625 MiB; at 32 MiB/s 8033 ms. */
const onceMs = 8033.2;

describe('the forecast of', () => {
  it('an idle VM by pre-copy: its memory once, and half a limit of zeroes', () => {
    // Stops when the bitmap is at 0.3 s x 32 MiB/s - 0.8 MiB (looked at 25 ms late) = 8.8 MiB, of which 0.50207 is in the stream.
    const found = forecast({});
    expect(found).toMatchObject({ converges: true, rounds: 1 });
    expect(found.totalMs.expected).toBeCloseTo(onceMs + handOverMs, 0);
    expect(found.downtimeMs.expected).toBeCloseTo(138.1 + handOverMs, 0);
    expect(found.bytes.expected / mebibyte).toBeCloseTo(257.06, 2);
  });

  it('a VM so small that it is sent before the bandwidth is known: only the hand-over is left', () => {
    expect(forecast({ memory: 3, used: 3 }).downtimeMs.expected).toBe(handOverMs);
  });

  it('each method that does not depend on writing', () => {
    for (const dirty of [0, 20]) {
      const stop = forecast({ dirty }, { method: 'stop-and-copy' });
      expect(stop.totalMs.expected).toBeCloseTo(onceMs + 120, 0);
      expect(stop.downtimeMs.expected).toBe(stop.totalMs.expected);
      const post = forecast({ dirty }, { method: 'post-copy' });
      expect(post.totalMs.expected).toBeCloseTo(onceMs + postCopyHandOverMs, 0);
      // 6 MiB and half of the set of 0 or 20 MiB are waited for, at 32 MiB/s.
      expect(post.downtimeMs.expected).toBeCloseTo(postCopyHandOverMs + ((6 + dirty / 2) / 32) * 1000, 5);
      // Sent, and 257.0625 MiB (269.5 MB) written and read at 300 MB/s: 898.5 ms each.
      expect(forecast({ dirty }, { method: 'save-restore' }).downtimeMs.expected).toBeCloseTo(onceMs + 2 * 898.5 + 1750, 0);
    }
  });

  it('a VM that writes at a quarter of the bandwidth into much memory: a third more than its memory', () => {
    // d = 8 / 32 of the bandwidth: rounds of 1, 1/4, 1/16, ... of the memory, 4/3 in all; the set of 8000 MiB is never full.
    const found = forecast({ memory: 8000, used: 8000, dirty: 8, workingSet: 8000 });
    expect(found.converges).toBe(true);
    expect(found.totalMs.expected / 1000).toBeGreaterThan(0.93 * ((8000 / 32) * (4 / 3)));
    // And the headers of the pages, a 512th, which count in the rounds too.
    expect(found.totalMs.expected / 1000).toBeLessThan((8000 / 32) * (4 / 3) * 1.004);
    expect(found.downtimeMs.expected).toBeGreaterThan(handOverMs + 250);
    expect(found.downtimeMs.expected).toBeLessThan(handOverMs + 302);
  });

  it('a VM that writes more than the channel carries: ends if its working set fits into the limit, else not', () => {
    expect(forecast({ dirty: 8, workingSet: 8 })).toMatchObject({ converges: true });
    expect(forecast({ dirty: 40, workingSet: 120 })).toMatchObject({ converges: false });
    expect(forecast({ dirty: 40, workingSet: 120 }, { downtimeMsMax: 4000 })).toMatchObject({ converges: true });
  });

  it('a pre-copy that does not end says what a stop in the end would cost', () => {
    const found = forecast({ dirty: 60, workingSet: 60, used: 256 });
    expect(found.converges).toBe(false);
    expect(found.totalMs.expected).toBeGreaterThan(copyTimesMax * onceMs);
    expect(found.downtimeMs.expected).toBeGreaterThan(300 + handOverMs);
    expect(found.downtimeMs.expected).toBeLessThanOrEqual((60 / 32) * 1000 * 1.01 + handOverMs);
  });

  it('auto-converge: slows the VM down until it ends, in more rounds', () => {
    const heavy = { dirty: 40, workingSet: 120 };
    const autoConverge = { initialPercent: 20, incrementPercent: 10 };
    expect(forecast(heavy).converges).toBe(false);
    const found = forecast(heavy, { autoConverge });
    expect(found.converges).toBe(true);
    expect(found.rounds).toBeGreaterThan(4);
    const bolder = forecast(heavy, { autoConverge: { initialPercent: 90, incrementPercent: 9 } });
    expect(bolder.totalMs.expected).toBeLessThan(found.totalMs.expected);
    // It is not touched when it writes less than half of what is sent.
    expect(forecast({ dirty: 4, workingSet: 200 }, { autoConverge })).toEqual(forecast({ dirty: 4, workingSet: 200 }));
  });

  it('hybrid: one round, then the rest follows; just a pre-copy where that ends after one round', () => {
    const heavy = forecast({ dirty: 40, workingSet: 120 }, { method: 'hybrid' });
    expect(heavy).toMatchObject({ converges: true, rounds: 2 });
    // No VM needs more than 64 MiB to answer: 2 s at 32 MiB/s.
    expect(heavy.downtimeMs.expected).toBe(postCopyHandOverMs + 2000);
    // All of the set is written again in 8 s; at most that is sent twice.
    expect(heavy.bytes.expected / mebibyte).toBeGreaterThan(257 + 100);
    expect(heavy.bytes.expected / mebibyte).toBeLessThan(257.1 + 120.3);
    const idle = forecast({}, { method: 'hybrid' });
    expect(idle).toMatchObject({ rounds: 1, downtimeMs: forecast({}).downtimeMs });
    expect(idle.totalMs.expected).toBeCloseTo(forecast({}).totalMs.expected, 5);
  });

  it('a capped transfer: the cap where it is below the bandwidth; a higher one changes nothing', () => {
    expect(forecast({}, { bandwidthBytesPerSecond: 16 * mebibyte })).toMatchObject({ totalMs: forecast({ channel: 16 }).totalMs });
    expect(forecast({}, { bandwidthBytesPerSecond: 64 * mebibyte })).toEqual(forecast({}));
  });

  it('a VM of which nobody knows what it uses: all of it, and much less at the lower end', () => {
    const found = forecast({ used: null });
    expect(found.totalMs.expected).toBeCloseTo(forecast({ used: 512 }).totalMs.expected, 5);
    expect(found.totalMs.low).toBeCloseTo(forecast({ used: 512 }).totalMs.low / 4, 5);
  });
});

describe('a forecast', () => {
  const vm = fc.record({
    memory: fc.integer({ min: 1, max: 1 << 20 }),
    used: fc.option(fc.integer({ min: 0, max: 1 << 20 })),
    dirty: fc.double({ min: 0, max: 5000, noNaN: true }),
    workingSet: fc.double({ min: 0, max: 1 << 20, noNaN: true }),
    channel: fc.double({ min: 0.1, max: 5000, noNaN: true }),
  });
  const method = fc.constantFrom(...methods);
  const limits = fc.constantFrom(0, 1, 30, 300, 3000);
  const more = fc.double({ min: 1, max: 4, noNaN: true });
  const spare = 1 + 1e-9;

  it('never gets longer by more bandwidth', () => {
    fc.assert(
      fc.property(vm, method, limits, more, (example, name, downtimeMsMax, factor) => {
        const slow = forecast(example, { method: name, downtimeMsMax });
        const fast = forecast({ ...example, channel: example.channel * factor }, { method: name, downtimeMsMax });
        expect(fast.totalMs.expected).toBeLessThanOrEqual(slow.totalMs.expected * spare);
        expect(slow.converges && !fast.converges).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('never gets shorter by more writing', () => {
    fc.assert(
      fc.property(vm, method, limits, more, (example, name, downtimeMsMax, factor) => {
        const calm = forecast(example, { method: name, downtimeMsMax });
        const busy = forecast({ ...example, dirty: example.dirty * factor }, { method: name, downtimeMsMax });
        expect(busy.totalMs.expected * spare).toBeGreaterThanOrEqual(calm.totalMs.expected);
        expect(!calm.converges && busy.converges).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('of a pre-copy that converges keeps the limit, but for page headers and the hand-over', () => {
    fc.assert(
      fc.property(vm, limits, (example, downtimeMsMax) => {
        const found = forecast(example, { downtimeMsMax });
        fc.pre(found.converges);
        expect(found.downtimeMs.expected).toBeLessThanOrEqual(downtimeMsMax * 1.002 + handOverMs);
      }),
      { numRuns: 500 },
    );
  });

  it('is finite and in order for all numbers', () => {
    const number = fc.oneof(fc.double(), fc.constantFrom(0, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_VALUE, 5e-324));
    const options = fc.record({
      method,
      autoConverge: fc.option(fc.record({ initialPercent: number, incrementPercent: number })),
      streams: number,
      compression: fc.constantFrom('none' as const, 'xbzrle' as const),
      bandwidthBytesPerSecond: number,
      downtimeMsMax: number,
    });
    fc.assert(
      fc.property(
        options,
        number,
        fc.option(number),
        number,
        number,
        number,
        (wanted, memoryBytes, usedBytes, dirty, set, bytesPerSecond) => {
          const found = predict(wanted, {
            memoryBytes,
            activity: { measuredAtMs: 0, measuredForMs: 1, usedBytes, dirtyBytesPerSecond: dirty, workingSetBytes: set },
            bandwidth: { bytesPerSecond, measuredAtMs: 0, by: 'stream' },
            corrections: noCorrections,
          });
          for (const { low, expected, high } of [found.totalMs, found.downtimeMs, found.bytes]) {
            expect(low).toBeGreaterThanOrEqual(0);
            expect(expected).toBeGreaterThanOrEqual(low);
            expect(high).toBeGreaterThanOrEqual(expected);
            expect(high).toBeLessThan(Number.POSITIVE_INFINITY);
          }
          expect(found.downtimeMs.expected).toBeLessThanOrEqual(found.totalMs.expected);
          expect(Number.isInteger(found.rounds)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});
