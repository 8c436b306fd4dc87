import { describe, expect, test } from 'vitest';
import { exampleRequest } from '#core/migration/step-examples.ts';
import { begin } from '#core/migration/step.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import type { Mode } from '#core/model/policy.ts';
import { ModeWatch } from './mode-watch.ts';

function askedIn(mode: Mode, change: Partial<MigrationRequest>, laterMs = 5000): readonly string[] {
  let elapsedMs = 0;
  const watch = new ModeWatch('automatic', () => elapsedMs);
  elapsedMs = 10_000;
  watch.changed(mode);
  elapsedMs += laterMs;
  watch.asked(begin(exampleRequest(change)).migration);
  return watch.found.map(({ code }) => code);
}

describe('what is moved by a plan', () => {
  test.each([
    ['by itself in automatic', 'automatic', { cause: 'balance', planId: 'p1' }, []],
    ['by itself in approve', 'approve', { cause: 'balance', planId: 'p1' }, ['mode-disobeyed']],
    ['by itself in observe', 'observe', { cause: 'balance', planId: 'p1' }, ['mode-disobeyed']],
    ["by a person's word in approve", 'approve', { cause: 'operator', planId: 'p1' }, []],
    ["by a person's word in observe", 'observe', { cause: 'operator', planId: 'p1' }, ['mode-disobeyed']],
    ['without a plan in observe', 'observe', { cause: 'operator', planId: null }, []],
  ] as const)('%s is judged by the mode', (_story, mode, change, codes) => {
    expect(askedIn(mode, change)).toEqual(codes);
  });

  test('may have been on its way when the mode changed', () => {
    expect(askedIn('observe', { cause: 'balance', planId: 'p1' }, 500)).toEqual([]);
  });
});
