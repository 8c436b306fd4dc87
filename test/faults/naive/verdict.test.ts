import { describe, expect, test } from 'vitest';
import type { CopyState, Sample } from '#test/faults/oracle/words.ts';
import { endingOf, isLost, judgeArms, type Outcome, printTable } from './verdict.ts';

const tickMs = 50;
const letters: Readonly<Record<string, CopyState>> = { r: 'running', h: 'halted', s: 'silent', '.': 'absent' };

/** `source` and `destination` say how a copy fared, one letter and its number of ticks each. */
function sampled(source: readonly [string, number][], destination: readonly [string, number][]): readonly Sample[] {
  const ticks = (parts: readonly [string, number][]) => parts.flatMap(([letter, count]) => Array.from(letter.repeat(count)));
  const others = ticks(destination);
  return ticks(source).map((letter, index) => ({
    atMs: index * tickMs,
    copies: { a: letters[letter] ?? 'absent', b: letters[others[index] ?? '.'] ?? 'absent' },
  }));
}

describe('the end of a trial', () => {
  test('is proven gone a second after the last QEMU ended, whatever the driver does', () => {
    expect(
      endingOf(
        sampled(
          [
            ['r', 9],
            ['.', 20],
          ],
          [
            ['h', 9],
            ['.', 20],
          ],
        ),
        false,
      ),
    ).toBe('gone');
    expect(
      endingOf(
        sampled(
          [
            ['r', 9],
            ['.', 19],
          ],
          [
            ['h', 9],
            ['.', 19],
          ],
        ),
        false,
      ),
    ).toBeUndefined();
  });

  test('is not a copy that runs, while the driver is at work', () => {
    const samples = sampled([['r', 40]], [['h', 40]]);
    expect(endingOf(samples, false)).toBeUndefined();
    expect(endingOf(samples, true)).toBe('runs');
  });

  test('is no copy that runs for more than 30 s', () => {
    expect(
      endingOf(
        sampled(
          [
            ['r', 5],
            ['h', 600],
          ],
          [['h', 605]],
        ),
        false,
      ),
    ).toBeUndefined();
    expect(
      endingOf(
        sampled(
          [
            ['r', 5],
            ['h', 602],
          ],
          [['h', 607]],
        ),
        false,
      ),
    ).toBe('stands');
  });

  test('is open while two copies say that they run', () => {
    expect(endingOf(sampled([['r', 40]], [['r', 40]]), true)).toBeUndefined();
  });
});

const kept: Outcome = {
  style: 'careful',
  fault: 'link dead',
  moment: 'stopped',
  ending: 'runs',
  noneMs: 2_300,
  twoCopies: false,
  guestErrors: 0,
  said: 'the source says cancelled, and goes on',
};
const lost: Outcome = { ...kept, style: 'naive', ending: 'gone', noneMs: 900, said: 'moved' };

test('a VM is lost when none runs, or none ran for more than 30 s', () => {
  expect([kept, lost, { ...kept, noneMs: 30_001 }, { ...kept, ending: 'mute' as const }].map(isLost)).toEqual([false, true, true, true]);
});

describe('the verdict', () => {
  test('holds when the naive driver lost one and the careful none', () => {
    expect(judgeArms([kept, lost], 2).exitCode).toBe(0);
  });

  test('fails when the naive driver lost none: then nothing is shown', () => {
    expect(judgeArms([kept, { ...kept, style: 'naive' }], 2).exitCode).toBe(1);
  });

  test('fails when the careful driver lost one, also before everything was played', () => {
    expect(judgeArms([{ ...lost, style: 'careful' }, lost], 9).exitCode).toBe(1);
  });

  test('fails when a VM was lost, ran twice or was damaged where nothing may be', () => {
    expect(judgeArms([kept, lost, { ...lost, fault: 'none' }], 3).exitCode).toBe(1);
    expect(judgeArms([{ ...kept, twoCopies: true }, lost], 2).exitCode).toBe(1);
    expect(judgeArms([{ ...kept, guestErrors: 1 }, lost], 2).exitCode).toBe(1);
  });

  test('says when not everything was played', () => {
    const { exitCode, sentences } = judgeArms([kept, lost], 3);
    expect(exitCode).toBe(2);
    expect(sentences.join(' ')).toContain('1 of 3 migrations were not played');
  });
});

test('the table puts the two drivers side by side', () => {
  expect(printTable([kept, lost])).toMatchInlineSnapshot(`
    "DRIVER   FAULT      THE SOURCE SAYS  RUNS  LOST  NO QEMU LEFT  NONE FOR MAX s  TWO COPIES  GUEST ERR.
    naive    link dead  stopped             1     1             1        for ever           0           0
    careful  link dead  stopped             1     0             0             2.3           0           0"
  `);
});
