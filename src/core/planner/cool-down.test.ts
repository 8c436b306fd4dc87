import { describe, expect, it } from 'vitest';
import { coolDownEndsAtMs, ledgerByVm } from './cool-down.ts';
import { exampleEntry, exampleNowMs } from './examples.ts';

const minuteMs = 60_000;
const policy = { coolDownMs: 30 * minuteMs, coolDownMsMax: 360 * minuteMs };

/** Minutes that a VM has to wait after its newest entry; `ago` in minutes, oldest first. */
function waitMinutes(ago: readonly number[], outcomes: readonly ('moved' | 'stayed' | 'unclear')[] = []): number {
  const entries = ago.map((minutes, index) => exampleEntry('vm', minutes * minuteMs, { outcome: outcomes[index] ?? 'moved' }));
  const newestMs = exampleNowMs - (ago.at(-1) ?? 0) * minuteMs;
  return ((coolDownEndsAtMs(entries, policy) ?? newestMs) - newestMs) / minuteMs;
}

describe('cool-down', () => {
  it('is none for a VM that never moved', () => {
    expect(coolDownEndsAtMs([], policy)).toBeNull();
  });

  it('doubles with each further move up to the maximum', () => {
    expect(waitMinutes([0])).toBe(30);
    expect(waitMinutes([40, 0])).toBe(60);
    expect(waitMinutes([110, 70, 0])).toBe(120);
    expect(waitMinutes([900, 860, 790, 660, 410, 0])).toBe(360);
  });

  it('starts anew after a whole maximum of quiet', () => {
    expect(waitMinutes([391, 0])).toBe(30);
    expect(waitMinutes([389, 0])).toBe(60);
  });

  it('counts a failed or unclear move without doubling', () => {
    expect(waitMinutes([0], ['stayed'])).toBe(30);
    expect(waitMinutes([40, 0], ['stayed', 'stayed'])).toBe(30);
    expect(waitMinutes([40, 0], ['moved', 'unclear'])).toBe(30);
    expect(waitMinutes([80, 40, 0], ['moved', 'moved', 'stayed'])).toBe(60);
  });

  it('is the same whoever asked for the move', () => {
    const ends = (['balance', 'operator'] as const).map((cause) => coolDownEndsAtMs([exampleEntry('vm', 0, { cause })], policy));
    expect(ends[0]).toBe(ends[1]);
  });

  it('reads a ledger in any order', () => {
    const entries = [exampleEntry('b', 5), exampleEntry('a', 1), exampleEntry('a', 9)];
    expect(
      ledgerByVm(entries)
        .get('a')
        ?.map((entry) => entry.endedAtMs),
    ).toEqual([exampleNowMs - 9, exampleNowMs - 1]);
  });
});
