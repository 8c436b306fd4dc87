import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Answer, gapsMax, type GapTrack, noAnswers, withAnswer } from './echo-gaps.ts';

const intervalMs = 5;
const answer = (index: number, sentAtMs: number, delayMs = 1): Answer => ({ index, sentAtMs, atMs: sentAtMs + delayMs });
const track = (answers: readonly Answer[]): GapTrack => answers.reduce((sofar, next) => withAnswer(sofar, next, intervalMs), noAnswers);

interface Absence {
  readonly afterMs: number;
  readonly lengthMs: number;
}

/** What a witness gets from a VM that is away at times; each request is late by up to 2 ms and takes up to 3 ms. */
function answersOf(
  absences: readonly { readonly fromMs: number; readonly untilMs: number }[],
  jitter: readonly number[],
  totalMs: number,
): readonly Answer[] {
  return Array.from({ length: Math.ceil(totalMs / intervalMs) }, (_, index) => {
    const noise = jitter[index % jitter.length] ?? 0;
    return answer(index, index * intervalMs + 2 * noise, 3 * noise);
  }).filter(({ sentAtMs }) => !absences.some(({ fromMs, untilMs }) => sentAtMs >= fromMs && sentAtMs < untilMs));
}

describe('gaps between answers', () => {
  const absence = fc.record({ afterMs: fc.integer({ min: 100, max: 2000 }), lengthMs: fc.integer({ min: 25, max: 3000 }) });
  const noises = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 50 });

  it('are one for each absence, right to one interval and the noise of requests and answers', () => {
    fc.assert(
      fc.property(fc.array(absence, { maxLength: 5 }), noises, (list: readonly Absence[], jitter) => {
        let nowMs = 0;
        const absences = list.map(({ afterMs, lengthMs }) => {
          const fromMs = nowMs + afterMs;
          nowMs = fromMs + lengthMs;
          return { fromMs, untilMs: nowMs };
        });
        const { gaps } = track(answersOf(absences, jitter, nowMs + 100));
        expect(gaps.length).toBe(absences.length);
        for (const [index, { fromMs, untilMs }] of absences.entries()) {
          expect(Math.abs((gaps[index]?.fromMs ?? NaN) - fromMs)).toBeLessThanOrEqual(intervalMs + 5);
          expect(Math.abs((gaps[index]?.untilMs ?? NaN) - untilMs)).toBeLessThanOrEqual(intervalMs + 5);
        }
      }),
    );
  });

  it('do not come from a witness that was stopped itself', () => {
    // 300 ms of it; then the missed requests are made up for, one per millisecond.
    const before = Array.from({ length: 10 }, (_, index) => answer(index, index * 5));
    const after = Array.from({ length: 75 }, (_, number) => answer(10 + number, Math.max(350 + number, (10 + number) * 5)));
    expect(track([...before, ...after]).gaps).toEqual([]);
  });

  it('are what is left of it when the VM was away as well: the witness for 600 ms, and the VM for 200 ms more', () => {
    expect(track([answer(0, 0), answer(1, 5), answer(42, 810)]).gaps).toEqual([{ fromMs: 5 + 600, untilMs: 811 }]);
  });

  it('count from answer to answer when the witness was late for the lesser part of them', () => {
    expect(track([answer(0, 0), answer(1, 5), answer(102, 810)]).gaps).toEqual([{ fromMs: 6, untilMs: 811 }]);
  });

  it('are there for answers that were held back, though none was lost', () => {
    const held = Array.from({ length: 60 }, (_, number) => ({ index: 1 + number, sentAtMs: 5 * (1 + number), atMs: 310 + number / 100 }));
    expect(track([answer(0, 0), ...held]).gaps).toEqual([{ fromMs: 1, untilMs: 310 }]);
  });

  it('begin with the first answer, and need more than two intervals', () => {
    expect(track([answer(400, 2000)]).gaps).toEqual([]);
    expect(track([answer(0, 0), answer(2, 10)]).gaps).toEqual([]);
    expect(track([answer(0, 0), answer(3, 15)]).gaps).toEqual([{ fromMs: 1, untilMs: 16 }]);
  });

  it('are not negative when the clock is set back', () => {
    expect(track([answer(0, 1000), answer(1, 5), answer(2, 10)]).gaps).toEqual([]);
  });

  it('are 1000 at most: the shortest ones are forgotten', () => {
    const lengths = Array.from({ length: gapsMax + 3 }, (_, index) => (index === 5 ? 900 : index < 3 ? 20 : 50));
    let atMs = 0;
    const answers = lengths.map((lengthMs) => {
      atMs += lengthMs;
      return answer(atMs / 5, atMs);
    });
    const { gaps } = track([answer(0, 0), ...answers]);
    expect(gaps).toHaveLength(gapsMax);
    expect(gaps.some(({ fromMs, untilMs }) => untilMs - fromMs === 900)).toBe(true);
    expect(gaps.every(({ fromMs, untilMs }) => untilMs - fromMs >= 50)).toBe(true);
    expect(gaps).toEqual(gaps.toSorted((one, other) => one.fromMs - other.fromMs));
  });
});
