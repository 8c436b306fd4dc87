import { describe, expect, it } from 'vitest';
import { methods, type TransferOptions } from '#core/model/method.ts';
import { pilotPolicyOf } from '#core/model/policy.ts';
import { choose, heavy, inputOf, refusal, refused, taken } from './choice-examples.ts';
import { candidateOptions, choosePlan, faultsFrom } from './choice.ts';
import { limitFor } from './downtime-limit.ts';
import { exampleFacts, exampleOptions, examplePast } from './forecast-examples.ts';

describe('the method that is chosen by itself', () => {
  it('is a plain pre-copy for a calm VM, with its figures in one sentence', () => {
    const choice = choose({ vm: { dirty: 4, workingSet: 40 } });
    expect(taken(choice)).toEqual(exampleOptions({ downtimeMsMax: 128 }));
    expect(choice.ok && choice.plan.reason).toBe(
      'pre-copy: the VM writes 4 MiB/s into 40 MiB, the channel carries 32 MiB/s; about 9.3 s in all, 238 ms of them stopped; ' +
        'the VM may stand still for 300 ms: QEMU is told 128 ms',
    );
    expect(choice.decisions).toEqual([
      {
        by: 'choice',
        atMs: 1000,
        elapsedMs: 0,
        action: 'start pre-copy, downtime limit 128 ms',
        reason: choice.ok ? choice.plan.reason : '',
      },
    ]);
  });

  it('raises the downtime limit inside the budget where that is enough, and no further than needed', () => {
    // 20 MiB are written again and again; at 16 MiB/s that is 1250 ms, and the limit of 2500 ms is (2500 - 120) / 1.4 = 1700 ms.
    const choice = choose({ vm: { dirty: 20, workingSet: 20, channel: 16 }, pilot: { downtimeMsBudget: 2500 } });
    const options = taken(choice);
    expect(options).toMatchObject({ method: 'pre-copy', autoConverge: null });
    expect(options.downtimeMsMax).toBeGreaterThan(1250);
    expect(options.downtimeMsMax).toBeLessThanOrEqual(1700);
    expect(choice.ok && choice.plan.reason).toContain('the VM may stand still for 2.5 s: QEMU is told 1.');
  });

  it('does not raise it where the ladder has no such rung', () => {
    const ladder = [{ kind: 'auto-converge', initialPercent: 20, incrementPercent: 10 }] as const;
    const options = taken(choose({ vm: { dirty: 20, workingSet: 20, channel: 16 }, pilot: { downtimeMsBudget: 2000, ladder } }));
    expect(options).toMatchObject({ downtimeMsMax: 128, autoConverge: { initialPercent: 20, incrementPercent: 10 } });
  });

  it('arms auto-converge for a VM that writes faster than the channel carries; compression alone is not counted on', () => {
    const choice = choose({ vm: heavy });
    expect(taken(choice)).toMatchObject({ method: 'pre-copy', autoConverge: { initialPercent: 20 }, compression: 'none' });
    expect(choice.decisions.map(({ action }) => action)).toEqual([
      'put aside pre-copy, downtime limit 628 ms',
      'put aside pre-copy, xbzrle, downtime limit 628 ms',
      'start pre-copy, slowed down from 20 %, downtime limit 128 ms',
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
    // 64 MiB at 20 MiB/s before it answers: 3.5 s.
    const choice = choose({ vm: heavy, pilot: { ...gentle, allowPostCopy: true, stopMsMax: 4000 } });
    expect(taken(choice).method).toBe('hybrid');
    expect(refused(choose({ vm: heavy, pilot: { ...gentle, allowPostCopy: true, stopMsMax: 3000 } })).code).toBe('not-converging');
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
        'the VM writes 40 MiB/s into 400 MiB, the channel carries 20 MiB/s: pre-copy would not end ' +
        '(the VM may stand still for 500 ms: QEMU is told 271 ms); what would help: a downtime of about 30.9 s, auto-converge, which slows the VM down, post-copy, where its risk is accepted, ' +
        'a stop of about 100.3 s, or a time when the VM writes less',
    });
    expect(choice.decisions.map(({ action }) => action)).toEqual([
      'put aside pre-copy, downtime limit 271 ms',
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
    expect(taken(choose(changes)).downtimeMsMax).toBe(128);
    // With a limit of 300 ms they stood still for 1.6 times about 410 ms: (660 - 120) / 300 = 1.8, with four of them and 1.4 about 1.65.
    const learned = choose({ ...changes, history });
    expect(taken(learned).downtimeMsMax).toBeGreaterThan(105);
    expect(taken(learned).downtimeMsMax).toBeLessThan(113);
    // The autopilot is not told of the pair: (500 - 120) / 1.65 = 230 ms, which is its limit for 442 ms.
    expect(limitFor((learned.ok && learned.plan.pilot.downtimeMsBudget) || 0)).toBeLessThan(235);
    expect(learned.decisions[0]).toMatchObject({ action: expect.stringMatching(/^budget the autopilot 4\d\d ms$/) });
    expect(learned.decisions[0]?.reason).toMatch(
      /^VMs of this pair stood still for up to 1\.\d+ times what QEMU was told, and for the hand-over: the VM may stand still for 500 ms: QEMU is told 2\d\d ms at most$/,
    );
  });

  it('keeps a downtime that somebody named: lowers the limit until the forecast is within it, or refuses', () => {
    const vm = { dirty: 2, workingSet: 20 };
    const facts = exampleFacts(vm);
    const history = [1, 2, 3, 4].map((endedAtMs) => examplePast(facts, { total: 1, downtime: 1.6, endedAtMs }));
    const wish = { method: 'pre-copy', downtimeMsMax: 300 } as const;
    expect(taken(choose({ vm, wish })).downtimeMsMax).toBe(128);
    // 1.6 times 120 ms and what is left, with the margin of 10 %: at half of the limit it is within 300 ms.
    const kept = choose({ vm, wish, history });
    expect(taken(kept).downtimeMsMax).toBeLessThan(60);
    expect(kept.ok && kept.plan.prediction?.downtimeMs.expected).toBeLessThan(300 / 1.1);
    const short = choose({ vm, wish: { ...wish, downtimeMsMax: 110 } });
    expect(refused(short)).toEqual({
      code: 'downtime-budget',
      message: expect.stringMatching(
        /^pre-copy would stop the VM for about 1\d\d ms at least, which with a margin of 10 % is above the 110 ms that it may stand still: ask for a downtime of at least 1\d\d ms$/,
      ),
    });
    // Control: that much is enough.
    const asked = Number(/at least (\d+) ms$/.exec(refused(short).message)?.[1]) + 40;
    expect(taken(choose({ vm, wish: { ...wish, downtimeMsMax: asked } })).method).toBe('pre-copy');
    expect(taken(choose({ vm, wish: { method: 'post-copy', downtimeMsMax: 2000 }, pilot: { allowPostCopy: true } })).method).toBe(
      'post-copy',
    );
    expect(refused(choose({ vm, wish: { method: 'post-copy', downtimeMsMax: 300 }, pilot: { allowPostCopy: true } })).code).toBe(
      'downtime-budget',
    );
  });

  it('is a pre-copy under the autopilot where nothing could be measured, and says so', () => {
    const choice = choose({ vm: null });
    expect(taken(choice)).toEqual(exampleOptions({ downtimeMsMax: 128 }));
    expect(choice.ok && choice.plan).toMatchObject({
      prediction: null,
      reason:
        'pre-copy, watched by the autopilot: how fast the VM writes, or what the channel carries, could not be measured, so nothing is predicted; ' +
        'the VM may stand still for 300 ms: QEMU is told 128 ms',
    });
  });

  it('goes without what only the policy asks for, when the hypervisor cannot do it', () => {
    const zstd = { migration: { compression: 'zstd' }, cannot: (options: TransferOptions) => options.compression === 'zstd' } as const;
    const choice = choose(zstd);
    expect(taken(choice).compression).toBe('none');
    expect(choice.decisions[0]).toMatchObject({ action: 'put aside pre-copy, zstd, downtime limit 128 ms', reason: refusal.message });
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
    const limit = { method: 'pre-copy', autoConverge: false, downtimeMsMax: 31_000 } as const;
    // 400 MiB at 20 MiB/s are 20 s, with the margin 22 s; (31 - 0.12) / 1.4 = 22.06 s.
    expect(taken(choose({ wish: limit, vm: heavy }))).toMatchObject({ downtimeMsMax: 22_057 });
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
