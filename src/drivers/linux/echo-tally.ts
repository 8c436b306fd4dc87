/** From what fping prints, line by line, to the report of a watch; memory is bounded however long it goes on. */
import type { EchoReport } from '#core/ports.ts';
import { EchoDelays } from './echo-delays.ts';
import { type GapTrack, gapsMax, noAnswers, withAnswer } from './echo-gaps.ts';
import type { EchoLine } from './echo-line.ts';

/** An answer that takes longer counts as none. */
export const answerMsMax = 1000;

/** At the end of a watch, a silence that is shorter may be an answer that was not read any more, on a busy machine. */
const lastSilenceMsMin = 100;

/** More than there can be requests on their way: one per millisecond at most. */
const rememberedRequests = 4096;

export class EchoTally {
  readonly #intervalMs: number;
  readonly #requestsMax: number;
  readonly #delays = new EchoDelays();
  /** The answered request in each slot, by its index: an answer that comes twice counts once. */
  readonly #answeredAt = new Float64Array(rememberedRequests).fill(-1);
  #track: GapTrack = noAnswers;
  #answered = 0;
  /** The last request that is known to have been sent. */
  #newest: { readonly index: number; readonly sentAtMs: number } | null = null;
  /** When the last request was sent of which it is known that it got no answer. */
  #unansweredSentAtMs: number | null = null;
  /** Index of the present process's first request, and whether it has begun to ask. */
  #first = 0;
  #asking = false;

  /** `requestsMax`: of one process. */
  constructor(intervalMs: number, requestsMax: number) {
    this.#intervalMs = intervalMs;
    this.#requestsMax = requestsMax;
  }

  /** Another process goes on with the watch; its requests begin at 0 again. */
  begin(): void {
    this.#first = this.#newest === null ? 0 : this.#newest.index + 1;
    this.#asking = false;
  }

  take(line: EchoLine): void {
    const { atMs } = line;
    this.#asking = true;
    const index = this.#first + line.index;
    const sentAtMs = atMs - (line.kind === 'answer' ? line.delayMs : answerMsMax);
    if (this.#newest === null || index > this.#newest.index) this.#newest = { index, sentAtMs };
    if (line.kind === 'silence') {
      this.#unansweredSentAtMs = sentAtMs;
      return;
    }
    const slot = index % rememberedRequests;
    if (this.#answeredAt[slot] === index) return;
    this.#answeredAt[slot] = index;
    this.#answered += 1;
    this.#delays.add(line.delayMs);
    this.#track = withAnswer(this.#track, { index, atMs, sentAtMs }, this.#intervalMs);
  }

  /** The watch has been stopped, and all that was printed is taken: requests were sent up to then, whose answers nobody waited for. */
  end(stoppedAtMs: number): void {
    if (this.#newest === null || !this.#asking) return;
    const due = Math.floor((stoppedAtMs - this.#newest.sentAtMs) / this.#intervalMs);
    const left = this.#first + this.#requestsMax - 1 - this.#newest.index;
    const more = Math.max(0, Math.min(due, left));
    this.#newest = { index: this.#newest.index + more, sentAtMs: this.#newest.sentAtMs + more * this.#intervalMs };
    const { last } = this.#track;
    if (last !== null && this.#newest.sentAtMs - last.atMs > lastSilenceMsMin) this.#unansweredSentAtMs = this.#newest.sentAtMs;
  }

  report(): EchoReport {
    const { last, gaps } = this.#track;
    const open = last !== null && this.#unansweredSentAtMs !== null && this.#unansweredSentAtMs - last.atMs > 2 * this.#intervalMs;
    const openGaps = open ? [{ fromMs: last.atMs, untilMs: null }] : [];
    return {
      intervalMs: this.#intervalMs,
      sent: this.#newest === null ? 0 : this.#newest.index + 1,
      answered: this.#answered,
      lastAnswerAtMs: last?.atMs ?? null,
      delayMsP50: this.#delays.percentile(0.5),
      delayMsP99: this.#delays.percentile(0.99),
      gaps: [...gaps, ...openGaps].slice(-gapsMax),
    };
  }
}
