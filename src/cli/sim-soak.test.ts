import { describe, expect, test } from 'vitest';
import { printSoak, soak, type SoakTotals } from './sim-soak.ts';
import type { SoakPlayed } from './simulations.ts';

const played = (seed: number): SoakPlayed => ({
  seed,
  virtualSeconds: 1800,
  breaches: seed === 6 ? [{ code: 'two-copies', message: 'web runs on host1 and host2' }] : [],
  events: { 'link-cut': 1, migrate: seed },
  migrations: { moved: 2 },
});

const replayed = (seed: number): string => `plimsoll sim --seed ${seed} --hosts 3`;

/** Each look at the clock is a second later. */
function ticking(): () => number {
  let nowMs = 0;
  return () => {
    nowMs += 1000;
    return nowMs;
  };
}

describe('a soak', () => {
  test('plays seed after seed and adds up', async () => {
    const told: SoakTotals[] = [];
    const totals = await soak(
      { from: 5, seeds: 3 },
      (seed) => Promise.resolve(played(seed)),
      ticking(),
      (so) => told.push(so),
    );
    expect(told.map(({ seeds }) => seeds)).toEqual([1, 2, 3]);
    expect(totals).toMatchObject({
      seeds: 3,
      virtualSeconds: 5400,
      realSeconds: 3,
      events: { 'link-cut': 3, migrate: 18 },
      migrations: { moved: 6 },
    });
    expect(printSoak(totals, replayed, 6).split('\n')).toEqual([
      'seeds:        3',
      'virtual time: 1.5 hours',
      'real time:    3.0 s, 1800 times as fast',
      'CPU time:     6.0 s, 900 times as fast',
      'migrations:   moved 6',
      'events:       link-cut 3, migrate 18',
      'invariants:   broken by 1 of 3 seeds',
      '',
      'seed 6: two-copies: web runs on host1 and host2',
      '  plimsoll sim --seed 6 --hosts 3',
    ]);
  });

  test('that is interrupted has what was played to its end', async () => {
    const totals = await soak(
      { from: 1, seeds: 9 },
      (seed) => Promise.resolve(seed === 3 ? null : played(seed)),
      ticking(),
      () => undefined,
    );
    expect(totals.seeds).toBe(2);
    expect(printSoak(totals, replayed)).toContain('none broken');
  });
});
