import { describe, expect, it } from 'vitest';
import { PairRefusals } from './pair-refusals.ts';

const refusal = { code: 'cpu-incompatible', message: 'b has no AVX-512' } as const;

describe('pairs that were refused', () => {
  it('are remembered for a while, and not for ever', () => {
    const refusals = new PairRefusals();
    refusals.note('x', 'b', refusal, 1000);
    expect(refusals.current(1001)).toEqual([
      { vmId: 'x', hostId: 'b', code: 'cpu-incompatible', reason: 'b has no AVX-512', untilMs: 3_601_000 },
    ]);
    expect(refusals.current(3_601_000)).toEqual([]);
  });

  it.each(['migration-limit', 'vm-busy', 'aborted', 'host-down', 'rule-forbids', 'link-lost'] as const)(
    'are not those of %s, which says nothing of the two',
    (code) => {
      const refusals = new PairRefusals();
      refusals.note('x', 'b', { code, message: 'no' }, 0);
      expect(refusals.current(1)).toEqual([]);
    },
  );

  it('are forgotten when it went there after all, and the oldest when there are too many', () => {
    const refusals = new PairRefusals();
    refusals.note('x', 'b', refusal, 0);
    refusals.forget('x', 'b');
    expect(refusals.current(1)).toEqual([]);
    for (let index = 0; index < 1005; index += 1) refusals.note(`vm-${index}`, 'b', refusal, 0);
    const kept = refusals.current(1);
    expect([kept.length, kept[0]?.vmId]).toEqual([1000, 'vm-5']);
  });
});
