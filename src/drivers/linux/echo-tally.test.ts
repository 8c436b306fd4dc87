import { describe, expect, it } from 'vitest';
import { answerMsMax, EchoTally } from './echo-tally.ts';

const startMs = 1_795_348_964_000;
const answered = (index: number, delayMs = 1) => ({ kind: 'answer', index, atMs: startMs + index * 5 + delayMs, delayMs }) as const;
const silent = (index: number) => ({ kind: 'silence', index, atMs: startMs + index * 5 + answerMsMax }) as const;

function tallyOf(...lines: readonly Parameters<EchoTally['take']>[0][]): EchoTally {
  const tally = new EchoTally(5, 1000);
  for (const line of lines) tally.take(line);
  return tally;
}

describe('the report of a watch', () => {
  it('is empty at first', () => {
    const nothing = { sent: 0, answered: 0, lastAnswerAtMs: null, delayMsP50: null, delayMsP99: null, gaps: [] };
    expect(new EchoTally(5, 1000).report()).toEqual({ intervalMs: 5, ...nothing });
  });

  it('counts each request and each answer once', () => {
    const report = tallyOf(answered(0), answered(1), answered(1), answered(3), silent(2)).report();
    expect(report).toMatchObject({ sent: 4, answered: 3, lastAnswerAtMs: startMs + 16, gaps: [] });
    expect(report.delayMsP50).toBeCloseTo(1, 1);
  });

  it('has a gap that is still open once a later request is known to have got no answer', () => {
    const tally = tallyOf(answered(0), answered(1));
    expect(tally.report().gaps).toEqual([]);
    for (const index of [2, 3, 4, 5]) tally.take(silent(index));
    expect(tally.report().gaps).toEqual([{ fromMs: startMs + 6, untilMs: null }]);
    tally.take(answered(500));
    expect(tally.report().gaps).toEqual([{ fromMs: startMs + 6, untilMs: startMs + 2501 }]);
  });

  it('has no gap while the VM has never answered', () => {
    const tally = tallyOf(silent(0), silent(1), silent(50));
    tally.end(startMs + 2999);
    expect(tally.report()).toMatchObject({ sent: 600, answered: 0, gaps: [] });
  });

  it('sees at its end that the last requests got no answer, and takes none that are on their way for a gap', () => {
    const away = tallyOf(answered(0));
    away.end(startMs + 302);
    expect(away.report()).toMatchObject({ sent: 61, answered: 1, gaps: [{ fromMs: startMs + 1, untilMs: null }] });
    const slow = tallyOf(answered(0, 40), answered(1, 40));
    slow.end(startMs + 100);
    expect(slow.report()).toMatchObject({ sent: 21, answered: 2, gaps: [] });
    const last = tallyOf(answered(0), answered(998));
    last.end(startMs + 999_999);
    expect(last.report()).toMatchObject({ sent: 1000, answered: 2 });
  });

  it('goes on over the change of the process that asks, and blames nobody for the time between', () => {
    const tally = tallyOf(answered(0), answered(1));
    tally.begin();
    tally.end(startMs + 150);
    expect(tally.report()).toMatchObject({ sent: 2, answered: 2, gaps: [] });
    const later = (index: number) => ({ ...answered(index), atMs: startMs + 200 + index * 5 });
    tally.take(later(0));
    tally.take(later(1));
    expect(tally.report()).toMatchObject({ sent: 4, answered: 4, gaps: [] });
    tally.take(later(40));
    expect(tally.report()).toMatchObject({ sent: 43, answered: 5, gaps: [{ fromMs: startMs + 205, untilMs: startMs + 400 }] });
  });
});
