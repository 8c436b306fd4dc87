import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Method, MethodWish, PilotPolicy, TransferOptions } from '#core/model/method.ts';
import { compressions, methods, presetNames } from '#core/model/method.ts';
import { defaultPolicy, type MigrationPolicy, pilotPolicyOf } from '#core/model/policy.ts';
import type { Refusal } from '#core/model/result.ts';
import { candidateOptions, type Choice, type ChoiceInput, choosePlan, faultsFrom } from './choice.ts';
import { exampleFacts, exampleOptions, examplePast, type ExampleVm, mebibyte } from './forecast-examples.ts';

interface Changes {
  readonly wish?: MethodWish;
  readonly vm?: ExampleVm | null;
  readonly pilot?: Partial<PilotPolicy>;
  readonly migration?: Partial<MigrationPolicy>;
  readonly streams?: ChoiceInput['streams'];
  readonly cannot?: (options: TransferOptions) => boolean;
  readonly history?: ChoiceInput['history'];
}

const refusal: Refusal = { code: 'method-unsupported', message: 'this QEMU cannot do it' };

function inputOf({ wish = { method: 'auto' }, vm = {}, pilot, migration, streams, cannot, history = [] }: Changes): ChoiceInput {
  const balanced = pilotPolicyOf('balanced');
  return {
    wish,
    policy: { ...defaultPolicy, migration: { ...defaultPolicy.migration, ...migration, pilot: { ...balanced, ...pilot } } },
    streams: streams ?? { max: 8, reason: '' },
    methodFault: (options) => (cannot?.(options) === true ? refusal : null),
    facts: vm === null ? null : exampleFacts(vm),
    pair: { fromHostId: 'a', toHostId: 'b' },
    history,
    nowMs: 1000,
  };
}

function choose(changes: Changes = {}): Choice {
  return choosePlan(inputOf(changes));
}

function taken(choice: Choice): TransferOptions {
  expect(choice.ok ? null : choice.refusal).toBeNull();
  if (!choice.ok) throw new Error(choice.refusal.message);
  return choice.plan.options;
}

function refused(choice: Choice): Refusal {
  expect(choice.ok).toBe(false);
  if (choice.ok) throw new Error(choice.plan.reason);
  return choice.refusal;
}

const heavy = { memory: 2048, used: 2000, dirty: 40, workingSet: 400, channel: 20 };

describe('the method that is chosen by itself', () => {
  it('is a plain pre-copy for a calm VM, with its figures in one sentence', () => {
    const choice = choose({ vm: { dirty: 4, workingSet: 40 } });
    expect(taken(choice)).toEqual(exampleOptions());
    expect(choice.ok && choice.plan.reason).toBe(
      'pre-copy: the VM writes 4 MiB/s into 40 MiB, the channel carries 32 MiB/s; about 8.9 s in all, 401 ms of them stopped',
    );
    expect(choice.decisions).toEqual([
      {
        by: 'choice',
        atMs: 1000,
        elapsedMs: 0,
        action: 'start pre-copy, downtime limit 300 ms',
        reason: choice.ok ? choice.plan.reason : '',
      },
    ]);
  });

  it('raises the downtime limit inside the budget where that is enough, and no further than needed', () => {
    // 20 MiB are written again and again; at 32 MiB/s that is 625 ms.
    const options = taken(choose({ vm: { dirty: 20, workingSet: 20, channel: 16 }, pilot: { downtimeMsBudget: 2000 } }));
    expect(options).toMatchObject({ method: 'pre-copy', autoConverge: null });
    expect(options.downtimeMsMax).toBeGreaterThan(1200);
    expect(options.downtimeMsMax).toBeLessThan(1700);
  });

  it('does not raise it where the ladder has no such rung', () => {
    const ladder = [{ kind: 'auto-converge', initialPercent: 20, incrementPercent: 10 }] as const;
    const options = taken(choose({ vm: { dirty: 20, workingSet: 20, channel: 16 }, pilot: { downtimeMsBudget: 2000, ladder } }));
    expect(options).toMatchObject({ downtimeMsMax: 300, autoConverge: { initialPercent: 20, incrementPercent: 10 } });
  });

  it('arms auto-converge for a VM that writes faster than the channel carries; compression alone is not counted on', () => {
    const choice = choose({ vm: heavy });
    expect(taken(choice)).toMatchObject({ method: 'pre-copy', autoConverge: { initialPercent: 20 }, compression: 'none' });
    expect(choice.decisions.map(({ action }) => action)).toEqual([
      'put aside pre-copy, downtime limit 1 s',
      'put aside pre-copy, xbzrle, downtime limit 1 s',
      'start pre-copy, slowed down from 20 %, downtime limit 300 ms',
    ]);
    expect(choice.decisions[0]?.reason).toBe(
      'the VM writes 40 MiB/s into 400 MiB, the channel carries 20 MiB/s: it would not come to an end',
    );
  });

  it('takes compression where it helped this pair before', () => {
    // Earlier xbzrle transfers went three times as fast as the channel carries.
    const options = exampleOptions({ compression: 'xbzrle' });
    const calm = { dirty: 1, workingSet: 10, channel: 20 };
    const history = [1, 2, 3, 4].map((endedAtMs) =>
      examplePast(exampleFacts(calm), { options, really: exampleFacts({ ...calm, channel: 60 }), endedAtMs }),
    );
    expect(taken(choose({ vm: heavy, history }))).toMatchObject({ compression: 'xbzrle', autoConverge: null });
  });

  it('is a hybrid where nothing slows the VM down and post-copy is allowed', () => {
    const gentle = pilotPolicyOf('gentle');
    const choice = choose({ vm: heavy, pilot: { ...gentle, allowPostCopy: true } });
    expect(taken(choice).method).toBe('hybrid');
    expect(choice.ok && choice.plan.reason).toContain('hybrid, because a pre-copy would not end: the VM writes 40 MiB/s');
  });

  it('is a stop where post-copy is not allowed and a stop that long is', () => {
    const gentle = pilotPolicyOf('gentle');
    expect(taken(choose({ vm: heavy, pilot: { ...gentle, stopMsMax: 120_000 } })).method).toBe('stop-and-copy');
    expect(refused(choose({ vm: heavy, pilot: { ...gentle, stopMsMax: 90_000 } })).code).toBe('not-converging');
  });

  it('is none for a VM that would not come to an end: the refusal has the figures and says what would help', () => {
    const choice = choose({ vm: heavy, pilot: pilotPolicyOf('gentle') });
    expect(refused(choice)).toEqual({
      code: 'not-converging',
      message:
        'the VM writes 40 MiB/s into 400 MiB, the channel carries 20 MiB/s: pre-copy would not end within a downtime limit of 500 ms; ' +
        'what would help: a downtime of about 22.1 s, auto-converge, which slows the VM down, post-copy, where its risk is accepted, ' +
        'a stop of about 100.3 s, or a time when the VM writes less',
    });
    expect(choice.decisions.map(({ action }) => action)).toEqual([
      'put aside pre-copy, downtime limit 500 ms',
      'put aside hybrid',
      'put aside stop-and-copy',
      'refuse',
    ]);
  });

  it('does not trust a forecast that ends only just', () => {
    // At 95 % of the bandwidth: ends by the model, not with a margin of 10 %.
    const vm = { memory: 2048, used: 2000, dirty: 18.5, workingSet: 1900, channel: 20 };
    const gentle = pilotPolicyOf('gentle');
    expect(refused(choose({ vm, pilot: gentle })).code).toBe('not-converging');
    expect(taken(choose({ vm, pilot: gentle, migration: { predictionMarginPercent: 0 } })).method).toBe('pre-copy');
  });

  it('lowers the limit on a pair whose downtimes turned out longer than the budget', () => {
    const facts = exampleFacts({ dirty: 2, workingSet: 20 });
    const history = [1, 2, 3, 4].map((endedAtMs) => examplePast(facts, { total: 1, downtime: 1.6, endedAtMs }));
    const changes = { vm: { dirty: 2, workingSet: 20 }, pilot: pilotPolicyOf('gentle') };
    expect(taken(choose(changes)).downtimeMsMax).toBe(300);
    expect(taken(choose({ ...changes, history })).downtimeMsMax).toBe(150);
  });

  it('is a pre-copy under the autopilot where nothing could be measured, and says so', () => {
    const choice = choose({ vm: null });
    expect(taken(choice)).toEqual(exampleOptions());
    expect(choice.ok && choice.plan).toMatchObject({
      prediction: null,
      reason:
        'pre-copy, watched by the autopilot: how fast the VM writes, or what the channel carries, could not be measured, so nothing is predicted',
    });
  });

  it('goes without what only the policy asks for, when the hypervisor cannot do it', () => {
    const zstd = { migration: { compression: 'zstd' }, cannot: (options: TransferOptions) => options.compression === 'zstd' } as const;
    const choice = choose(zstd);
    expect(taken(choice).compression).toBe('none');
    expect(choice.decisions[0]).toMatchObject({ action: 'put aside pre-copy, zstd, downtime limit 300 ms', reason: refusal.message });
    expect(refused(choose({ ...zstd, wish: { method: 'pre-copy', compression: 'zstd' } }))).toBe(refusal);
  });

  it('passes over a rung that the hypervisor cannot do', () => {
    const cannot = (options: TransferOptions): boolean => options.autoConverge !== null;
    expect(refused(choose({ vm: heavy, cannot })).code).toBe('not-converging');
  });
});

describe('several streams', () => {
  const streams = { max: 1, reason: 'IPsec in user space on this host loses packets under several streams' };

  it('are never more than the channel bears, wherever they come from', () => {
    const ladder = [{ kind: 'streams', streams: 4 }] as const;
    const choice = choose({ vm: { dirty: 1 }, streams, migration: { streams: 4 }, pilot: { ladder } });
    expect(taken(choice).streams).toBe(1);
    expect(choice.ok && choice.plan.pilot.ladder).toEqual([]);
    expect(choice.decisions[0]).toMatchObject({ action: 'put aside 4 streams', reason: streams.reason });
    // Control: where it bears them, they are taken.
    expect(taken(choose({ vm: { dirty: 1 }, migration: { streams: 4 } })).streams).toBe(4);
  });

  it('are refused when somebody asks for more', () => {
    const found = refused(choose({ streams, wish: { method: 'auto', streams: 2 } }));
    expect(found.code).toBe('method-unsupported');
    expect(found.message).toContain(streams.reason);
  });
});

describe('a method asked for by name', () => {
  it('is taken', () => {
    const pilot = { allowPostCopy: true, stopMsMax: 60_000 };
    for (const method of methods) expect(taken(choose({ wish: { method }, pilot })).method).toBe(method);
  });

  it('is refused where the policy does not allow post-copy', () => {
    for (const method of ['post-copy', 'hybrid'] as const) {
      expect(refused(choose({ wish: { method } })).code).toBe('post-copy-not-allowed');
      // No preset brings it in.
      expect(refused(choose({ wish: { method, preset: 'must-move' } })).code).toBe('post-copy-not-allowed');
    }
  });

  it('is refused where it would stop the VM for longer than accepted, unless the wish accepts it', () => {
    for (const method of ['stop-and-copy', 'save-restore'] as const) {
      const found = refused(choose({ wish: { method } }));
      expect(found.code).toBe('downtime-budget');
      expect(found.message).toContain('1 s is accepted');
      expect(taken(choose({ wish: { method, downtimeMsMax: 30_000 } })).method).toBe(method);
      expect(taken(choose({ wish: { method }, pilot: { stopMsMax: 30_000 } })).method).toBe(method);
      expect(taken(choose({ wish: { method, preset: 'must-move' } })).method).toBe(method);
    }
  });

  it('is refused with the reason of the hypervisor that cannot do it', () => {
    const cannot = (options: TransferOptions): boolean => options.method === 'save-restore';
    expect(refused(choose({ wish: { method: 'save-restore' }, cannot, pilot: { stopMsMax: 60_000 } }))).toBe(refusal);
  });

  it('as pre-copy gets what it needs to end, or is refused; another method is not taken instead', () => {
    expect(taken(choose({ wish: { method: 'pre-copy' }, vm: heavy }))).toMatchObject({
      method: 'pre-copy',
      autoConverge: { initialPercent: 20 },
    });
    const pilot = { ...pilotPolicyOf('gentle'), allowPostCopy: true, stopMsMax: 600_000 };
    expect(refused(choose({ wish: { method: 'pre-copy' }, vm: heavy, pilot })).code).toBe('not-converging');
    // What the wish has settled stays as it is.
    expect(refused(choose({ wish: { method: 'pre-copy', autoConverge: false }, vm: heavy })).code).toBe('not-converging');
    const limit = { method: 'pre-copy', autoConverge: false, downtimeMsMax: 25_000 } as const;
    expect(taken(choose({ wish: limit, vm: heavy }))).toMatchObject({ downtimeMsMax: 25_000 });
  });

  it('without facts is taken too, and says that nothing is known', () => {
    const choice = choose({ wish: { method: 'stop-and-copy' }, vm: null });
    expect(taken(choice).method).toBe('stop-and-copy');
    expect(choice.ok && choice.plan.reason).toContain('could not be measured');
  });
});

describe('the autopilot of the plan', () => {
  it('is that of the preset asked for, but post-copy is the policy of the operator', () => {
    const choice = choose({ wish: { method: 'auto', preset: 'must-move' }, pilot: { patienceMs: 7 } });
    expect(choice.ok && choice.plan.pilot).toEqual({
      ...pilotPolicyOf('must-move'),
      ladder: pilotPolicyOf('must-move').ladder.filter(({ kind }) => kind !== 'post-copy'),
      patienceMs: 7,
    });
  });

  it('does not raise a downtime that somebody named, nor begin again with what somebody settled', () => {
    const wish = { method: 'auto', downtimeMsMax: 200, compression: 'none', autoConverge: false } as const;
    const choice = choose({ wish });
    expect(choice.ok && choice.plan.pilot).toMatchObject({ downtimeMsBudget: 200, ladder: [] });
  });
});

describe('what the hypervisor is asked', () => {
  it('covers all that is chosen: with its answers alone the choice is the same', () => {
    for (const vm of [{}, heavy, null]) {
      for (const cannot of [
        (): boolean => false,
        (options: TransferOptions): boolean => options.compression !== 'none' || options.method === 'hybrid',
      ]) {
        for (const pilot of [pilotPolicyOf('balanced'), { ...pilotPolicyOf('must-move'), allowPostCopy: true }]) {
          const input = inputOf({ vm, cannot, pilot });
          const answers = candidateOptions(input).map((options) => ({ options, fault: input.methodFault(options) }));
          expect(answers.length).toBeLessThan(12);
          expect(choosePlan({ ...input, methodFault: faultsFrom(answers) })).toEqual(choosePlan(input));
        }
      }
    }
    expect(faultsFrom([])(exampleOptions())?.code).toBe('method-unsupported');
  });
});

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
        if (wish.downtimeMsMax !== undefined) expect(options.downtimeMsMax).toBe(wish.downtimeMsMax);
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
        const accepted = Math.max(budget, stops ? pilot.stopMsMax : 0, wish.downtimeMsMax ?? 0);
        // A limit that somebody named is without the hand-over.
        const bounded = stops || (options.method === 'pre-copy' && wish.downtimeMsMax === undefined);
        if (bounded) expect(prediction.downtimeMs.expected).toBeLessThanOrEqual(accepted);
      }),
      { numRuns: 500 },
    );
  });
});
