import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressions, type Method, methods, presetNames, type TransferOptions } from '#core/model/method.ts';
import { pilotPolicyOf } from '#core/model/policy.ts';
import { choose } from './choice-examples.ts';
import { limitFor } from './downtime-limit.ts';
import { mebibyte } from './forecast-examples.ts';

describe('any choice', () => {
  const wishes = fc.record(
    {
      method: fc.constantFrom<Method | 'auto'>('auto', ...methods),
      preset: fc.constantFrom(...presetNames),
      autoConverge: fc.boolean(),
      streams: fc.integer({ min: 1, max: 8 }),
      compression: fc.constantFrom(...compressions),
      downtimeMsMax: fc.integer({ min: 1, max: 60_000 }),
      bandwidthBytesPerSecond: fc.integer({ min: 0, max: 100 * mebibyte }),
    },
    { requiredKeys: ['method'] },
  );
  const ladders = fc.shuffledSubarray([
    ...pilotPolicyOf('must-move').ladder,
    { kind: 'streams', streams: 4 },
    { kind: 'compress', compression: 'mt' },
  ] as const);
  const changes = fc.record({
    wish: wishes,
    vm: fc.option(
      fc.record({
        memory: fc.integer({ min: 1, max: 1 << 16 }),
        used: fc.option(fc.integer({ min: 0, max: 1 << 16 })),
        dirty: fc.double({ min: 0, max: 500, noNaN: true }),
        workingSet: fc.double({ min: 0, max: 1 << 16, noNaN: true }),
        channel: fc.double({ min: 0, max: 500, noNaN: true }),
      }),
    ),
    pilot: fc.record({
      preset: fc.constantFrom(...presetNames),
      ladder: ladders,
      allowPostCopy: fc.boolean(),
      stopMsMax: fc.constantFrom(0, 1000, 100_000),
      downtimeMsBudget: fc.constantFrom(0, 300, 1000, 10_000),
    }),
    migration: fc.record({ streams: fc.integer({ min: 1, max: 8 }), compression: fc.constantFrom(...compressions) }),
    streams: fc.record({ max: fc.integer({ min: 1, max: 4 }), reason: fc.constant('so it is') }),
    unsupported: fc.subarray([...methods, ...compressions]),
  });

  it('is possible, allowed, explained, and the same again', () => {
    fc.assert(
      fc.property(changes, ({ unsupported, ...some }) => {
        const cannot = (options: TransferOptions): boolean =>
          unsupported.includes(options.method) || unsupported.includes(options.compression);
        const choice = choose({ ...some, cannot });
        expect(choose({ ...some, cannot })).toEqual(choice);
        expect(choice.decisions.every(({ action, reason }) => action.length <= 256 && reason !== '' && reason.length <= 4096)).toBe(true);
        if (!choice.ok) {
          expect(choice.refusal.message).not.toBe('');
          return;
        }
        const { options, pilot, prediction } = choice.plan;
        const { wish } = some;
        expect(cannot(options)).toBe(false);
        expect(options.streams).toBeLessThanOrEqual(some.streams.max);
        expect(pilot.ladder.every((rung) => rung.kind !== 'streams' || rung.streams <= some.streams.max)).toBe(true);
        expect(Number.isInteger(options.downtimeMsMax)).toBe(true);
        if (wish.method !== 'auto') expect(options.method).toBe(wish.method);
        if (wish.compression !== undefined) expect(options.compression).toBe(wish.compression);
        if (wish.downtimeMsMax !== undefined) expect(options.downtimeMsMax).toBeLessThanOrEqual(limitFor(wish.downtimeMsMax));
        if (options.method === 'post-copy' || options.method === 'hybrid') expect(some.pilot.allowPostCopy).toBe(true);
        expect(pilot.allowPostCopy).toBe(some.pilot.allowPostCopy);
        expect(pilot.ladder.some(({ kind }) => kind === 'post-copy') && !pilot.allowPostCopy).toBe(false);
        if (prediction === null) return;
        expect(prediction.converges).toBe(true);
        const budget =
          wish.preset === undefined || wish.preset === some.pilot.preset
            ? some.pilot.downtimeMsBudget
            : pilotPolicyOf(wish.preset).downtimeMsBudget;
        const stops = options.method === 'stop-and-copy' || options.method === 'save-restore';
        const accepted = wish.downtimeMsMax ?? Math.max(budget, stops ? pilot.stopMsMax : 0);
        const byName = wish.method === 'post-copy' || wish.method === 'hybrid';
        const stopMsMax = options.method === 'hybrid' ? Math.max(accepted, pilot.stopMsMax) : accepted;
        if (!byName || wish.downtimeMsMax !== undefined) expect(prediction.downtimeMs.expected).toBeLessThanOrEqual(stopMsMax);
      }),
      { numRuns: 500 },
    );
  });
});
