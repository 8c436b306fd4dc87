import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dirtyAfter } from './guest.ts';
import { MemoryRounds } from './memory-rounds.ts';

const guest = (dirtyBytesPerSecond: number, workingSetBytes: number) => ({
  vmId: '00000000-0000-4000-8000-000000000001',
  name: 'web',
  vcpus: 1,
  memoryBytes: 1000,
  mac: '52:54:00:00:00:00',
  address: '10.1.0.1',
  demandCores: 1,
  dirtyBytesPerSecond,
  workingSetBytes,
  netBytesPerSecond: 0,
  diskBytesPerSecond: 0,
});

/** Throttle after each of so many rounds, each of these seconds long with this much sent and written. */
function throttles(rounds: readonly { readonly seconds: number; readonly sent: number }[], written: number): readonly number[] {
  const memory = new MemoryRounds(guest(1e9, written), 1000, { initialPercent: 20, incrementPercent: 10 }, 0);
  let nowMs = 0;
  return rounds.map(({ seconds, sent }) => {
    nowMs += seconds * 1000;
    memory.pass(0, sent, seconds, true);
    memory.endRound(nowMs);
    return memory.throttlePercent;
  });
}

describe('what a guest has written', () => {
  test('never is more than its working set, nor than it wrote, and only grows', () => {
    const amounts = fc.double({ min: 0, max: 1e12, noNaN: true });
    fc.assert(
      fc.property(amounts, amounts, fc.double({ min: 0, max: 1e5, noNaN: true }), (workingSetBytes, rate, seconds) => {
        const once = dirtyAfter({ workingSetBytes }, 0, rate, seconds);
        expect(once).toBeLessThanOrEqual(workingSetBytes);
        expect(once).toBeLessThanOrEqual(rate * seconds + workingSetBytes * 1e-9);
        expect(dirtyAfter({ workingSetBytes }, once, rate, seconds)).toBeGreaterThanOrEqual(once);
      }),
    );
  });

  test('does not depend on how the time is cut', () => {
    const one = dirtyAfter({ workingSetBytes: 100 }, 0, 30, 4);
    const two = dirtyAfter({ workingSetBytes: 100 }, dirtyAfter({ workingSetBytes: 100 }, 0, 30, 1), 30, 3);
    expect(two).toBeCloseTo(one);
  });
});

describe('auto-converge', () => {
  test('takes more each second time that a round wrote more than half of what it sent, up to 99 %', () => {
    const rounds = Array.from({ length: 40 }, () => ({ seconds: 2, sent: 100 }));
    expect(throttles(rounds, 51).slice(0, 8)).toEqual([0, 20, 20, 30, 30, 40, 40, 50]);
    expect(throttles(rounds, 51).at(-1)).toBe(99);
  });

  test('takes nothing while less is written, and looks at short rounds together', () => {
    expect(
      throttles(
        Array.from({ length: 9 }, () => ({ seconds: 2, sent: 100 })),
        49,
      ).at(-1),
    ).toBe(0);
    const short = Array.from({ length: 8 }, () => ({ seconds: 0.25, sent: 100 }));
    expect(throttles(short, 51)).toEqual([0, 0, 0, 0, 0, 0, 0, 20]);
  });

  test('counts the second time although a quieter round was in between, as QEMU does', () => {
    const rounds = [100, 1000, 100].map((sent) => ({ seconds: 2, sent }));
    expect(throttles(rounds, 51)).toEqual([0, 0, 20]);
  });

  test('slows the writing down', () => {
    const memory = new MemoryRounds(guest(10, 1e9), 1000, { initialPercent: 50, incrementPercent: 10 }, 0);
    for (const nowMs of [2000, 4000]) {
      memory.pass(0, 1, 2, true);
      memory.endRound(nowMs);
    }
    memory.pass(0, 1, 2, true);
    memory.endRound(6000);
    expect(memory.restBytes).toBeCloseTo(10);
  });
});

test('a VM that stands still writes nothing', () => {
  const memory = new MemoryRounds(guest(10, 1e9), 1000, null, 0);
  memory.pass(1000, 1000, 2, false);
  memory.endRound(2000);
  expect(memory.restBytes).toBe(0);
});

test('what post-copy has to fetch is never more than the memory', () => {
  const memory = new MemoryRounds(guest(1e6, 900), 1000, null, 0);
  memory.pass(300, 300, 5, true);
  memory.freeze();
  expect(memory.remainingBytes).toBe(1000);
});
