/** Turns the times of answers into the gaps between them. Pure. */

export interface Answer {
  /** Which request it answers, from 0. Requests are due every interval; one that is late does not delay the following ones. */
  readonly index: number;
  readonly sentAtMs: number;
  readonly atMs: number;
}

export interface Gap {
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface GapTrack {
  readonly last: Answer | null;
  /** Oldest first. */
  readonly gaps: readonly Gap[];
}

export const gapsMax = 1000;
export const noAnswers: GapTrack = { last: null, gaps: [] };

/** Answers must come in the order of their arrival. Of more than 1000 gaps the shortest are forgotten. */
export function withAnswer(track: GapTrack, answer: Answer, intervalMs: number): GapTrack {
  const { last, gaps } = track;
  if (last === null) return { last: answer, gaps };
  const lengthMs = answer.atMs - last.atMs;
  const ownMs = ownSilenceMs(last, answer, intervalMs);
  const fromMs = last.atMs + (ownMs >= lengthMs / 2 ? ownMs : 0);
  // The clock may have been set back: an answer before the last one says nothing about the time between them.
  if (answer.atMs - fromMs <= 2 * intervalMs) return { last: answer, gaps };
  return { last: answer, gaps: withGap(gaps, { fromMs, untilMs: answer.atMs }) };
}

/**
 * How much of the time between two answers is due to the asking side: its requests were late by so much more at the second answer than at
 * the first. Where that is most of it, a witness that was stopped, or whose clock was set forward, accuses nobody. Where it is less, the time from
 * answer to answer counts: the VM may have been away for all of it.
 */
function ownSilenceMs(last: Answer, answer: Answer, intervalMs: number): number {
  const lateMs = answer.sentAtMs - last.sentAtMs - (answer.index - last.index) * intervalMs;
  // An answer to an earlier request than the last one's was held back on its way.
  return answer.index <= last.index ? 0 : Math.max(0, lateMs - (last.atMs - last.sentAtMs));
}

function withGap(gaps: readonly Gap[], gap: Gap): readonly Gap[] {
  const all = [...gaps, gap];
  if (all.length <= gapsMax) return all;
  const lengthMs = ({ fromMs, untilMs }: Gap): number => untilMs - fromMs;
  const shortest = all.reduce((least, candidate) => (lengthMs(candidate) < lengthMs(least) ? candidate : least));
  return all.filter((candidate) => candidate !== shortest);
}
