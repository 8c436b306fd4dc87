import { describe, expect, it } from 'vitest';

import { dirtyRateStatus } from './flags.ts';
import { lookAtMemory, memoryInUse, usedBytesOf, writtenBytes } from './memory-look.ts';
import type { DomainStats } from './procedures.ts';

const domain = { name: 'web', uuid: '466b12ad-41d1-465c-a339-b802545650a3', id: 3 };
const wait = { signal: new AbortController().signal };

function used(values: Readonly<Record<string, number>>): number | null {
  return usedBytesOf(new Map(Object.entries(values)));
}

describe('the memory that a guest has in use', () => {
  it('is all that its balloon driver does not call unused', () => {
    expect(used({ 'balloon.current': 1_000, 'balloon.unused': 400, 'balloon.rss': 5_000 })).toBe(600 * 1024);
  });

  it('is not known without statistics of the balloon, or when they contradict themselves', () => {
    expect(used({ 'balloon.current': 1_000, 'balloon.rss': 900 })).toBeNull();
    expect(used({ 'balloon.unused': 400 })).toBeNull();
    expect(used({ 'balloon.current': 100, 'balloon.unused': 400 })).toBeNull();
  });
});

type Params = DomainStats['params'];

/** A daemon that answers one question after the other with these statistics, then with the last of them again and again. */
function daemon(...answers: readonly Params[]) {
  const calls: string[] = [];
  let asked = 0;
  return {
    calls,
    startDirtyRateCalc: async (_domain: unknown, seconds: number) => void calls.push(`look ${seconds} s`),
    allDomainStats: async () => {
      calls.push('ask');
      asked += 1;
      return [{ domain, params: answers[Math.min(asked, answers.length) - 1] ?? [] }];
    },
  };
}

const status = (value: number): Params => [{ field: 'dirtyrate.calc_status', type: 'i32', value }];
const measured = (rate: bigint): Params => [
  ...status(dirtyRateStatus.measured),
  { field: 'dirtyrate.megabytes_per_second', type: 'i64', value: rate },
];

describe('a look at the memory', () => {
  it('waits for one that is under way already, then for its own end', async () => {
    const client = daemon(status(dirtyRateStatus.measuring), measured(50n), status(dirtyRateStatus.measuring), measured(6n));
    expect(await lookAtMemory(client, domain, 1_400, wait)).toEqual({ forMs: 1_000, bytes: 6 * 2 ** 20 });
    expect(client.calls).toEqual(['ask', 'ask', 'look 1 s', 'ask', 'ask']);
  });

  it('ends with its signal, and says so', async () => {
    const client = daemon(status(dirtyRateStatus.unstarted));
    await expect(lookAtMemory(client, domain, 60_000, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ code: 'aborted' });
  });

  it('can find no more than the memory in use, or all that the VM has', async () => {
    const maximum = { field: 'balloon.maximum', type: 'u64', value: 2_048n } as const;
    const current = { field: 'balloon.current', type: 'u64', value: 1_000n } as const;
    const unused = { field: 'balloon.unused', type: 'u64', value: 400n } as const;
    const grainBytes = 2 * 2 ** 20;
    expect(await memoryInUse(daemon([current, maximum, unused]), domain, wait)).toEqual({
      usedBytes: 600 * 1024,
      boundBytes: 600 * 1024,
      grainBytes,
    });
    expect(await memoryInUse(daemon([current, maximum]), domain, wait)).toEqual({ usedBytes: null, boundBytes: 2_048 * 1024, grainBytes });
    expect(await memoryInUse(daemon([]), domain, wait)).toEqual({ usedBytes: null, boundBytes: null, grainBytes });
  });
});

describe('what a look found', () => {
  const mebibyte = 2 ** 20;
  const found = (mebibytesPerSecond: number, seconds: number) => writtenBytes(mebibytesPerSecond, seconds) / mebibyte;

  it('is what was said where a second of the rate is a whole number of hits', () => {
    expect([found(0, 1), found(2, 1), found(8, 1), found(3, 2), found(7, 2)]).toEqual([0, 2, 8, 6, 14]);
  });

  it('is the middle of what may have been rounded down, but nothing of a VM that writes nothing', () => {
    // 4 or 5 hits in 4 s are 8 or 10 MiB, and both are told as 2 MiB/s.
    expect([found(2, 4), found(1, 4), found(0, 4)]).toEqual([9, 5, 0]);
  });

  it('is on average what was written, with every count of hits as likely as the next', () => {
    for (const seconds of [1, 2, 3, 4, 9]) {
      const hits = Array.from({ length: 20 * seconds }, (_, index) => index + seconds).filter((count) => count * 2 >= seconds);
      const told = hits.map((count) => found(Math.floor((count * 2) / seconds), seconds));
      const [said, was] = [told.reduce((a, b) => a + b, 0), hits.reduce((a, b) => a + 2 * b, 0)];
      expect(said / was, `${seconds} s`).toBeCloseTo(1, 1);
    }
  });

  it('is believed as it is where no number of hits explains it', () => {
    expect([found(1, 1), found(3, 1), found(-5, 4)]).toEqual([1, 3, 0]);
  });
});
