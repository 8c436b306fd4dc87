/** The soak as CI and people run it: threads, and Ctrl-C. */
import { describe, expect, test } from 'vitest';
import type { Played } from '#sim/soak.ts';
import { soak } from './runner.ts';

const wallMsMax = 180_000;
const some = { from: 20, seedsMax: 3, virtualHoursMax: Number.POSITIVE_INFINITY, workers: 2, hosts: 3, placement: true };

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
