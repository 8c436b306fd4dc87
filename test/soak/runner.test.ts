/** The soak as CI and people run it: threads, counts, and Ctrl-C. */
import { describe, expect, test } from 'vitest';
import type { Played } from '#sim/soak.ts';
import { soak } from './runner.ts';
import { breachLine, Totals } from './totals.ts';

const wallMsMax = 180_000;
const some = { from: 20, seedsMax: 3, virtualHoursMax: Number.POSITIVE_INFINITY, workers: 2, hosts: 3 };

describe('a soak on threads', { timeout: wallMsMax }, () => {
  test('plays every seed once and breaks nothing', async () => {
    const played: Played[] = [];
    await soak(some, (one) => played.push(one), new AbortController().signal);
    expect(new Set(played.map(({ seed }) => seed))).toEqual(new Set([20, 21, 22]));
    expect(played).toHaveLength(3);
    expect(played.flatMap(({ breaches }) => breaches)).toEqual([]);
  });

  test('ends with the hours that it was given', async () => {
    const played: Played[] = [];
    const options = { ...some, seedsMax: Number.POSITIVE_INFINITY, virtualHoursMax: 0.01, workers: 1 };
    await soak(options, (one) => played.push(one), new AbortController().signal);
    expect(played).toHaveLength(1);
  });

  test('stops at once when it is told to, and keeps what was played', async () => {
    const stop = new AbortController();
    const played: Played[] = [];
    const onPlayed = (one: Played) => {
      played.push(one);
      stop.abort();
    };
    await soak({ ...some, seedsMax: 1_000_000, workers: 1 }, onPlayed, stop.signal);
    expect(played).toHaveLength(1);
  });
});

describe('the totals', () => {
  const played: Played = { seed: 7, hosts: 3, virtualSeconds: 7200, events: { cut: 2 }, migrations: { moved: 3 }, breaches: [], log: [] };

  test('count seeds, hours, events and migrations, and tell how fast that was', () => {
    const totals = new Totals();
    totals.add(played);
    totals.add({ ...played, seed: 8 });
    const text = totals.text({ realSeconds: 4, cpuSeconds: 8 }, null);
    expect(text).toMatch(/seeds +2\n/);
    expect(text).toMatch(/4\.0 hours/);
    expect(text).toMatch(/3600 times as fast \(1800 times of CPU time/);
    expect(text).toMatch(/events +cut 4\n/);
    expect(text).toMatch(/migrations +moved 6\n/);
    expect(text).toMatch(/none broken/);
  });

  test('name each seed that broke something, with the command that plays it again', () => {
    const totals = new Totals();
    totals.add({ ...played, breaches: [{ code: 'no-copy', message: 'web runs nowhere' }] });
    expect(totals.text({ realSeconds: 1, cpuSeconds: 1 }, 3)).toMatch(
      /broken in 1 seeds: no-copy 1\n {2}seed 7: no-copy: web runs nowhere\n +npm run sim:soak -- --seed 7 --hosts 3/,
    );
    expect(breachLine(played, null)).toMatch(/--seed 7$/);
  });
});
