/** What recorded samples prove of one run. Pure. */
import type { CopyState, Sample } from './words.ts';

/** Beats of the guest, heard by a client of its network: the second witness. */
export interface BeatsSeen {
  /** Numbers that came twice. */
  readonly duplicates: number;
  readonly largestGapMs: number;
}

export interface Sight {
  /** Most samples in a row in which two copies said that they run. One alone may be two instants of one tick. */
  readonly twoCopiesInARow: number;
  readonly twoCopies: boolean;
  /** Longest time in which neither a QEMU said that it runs nor a beat was heard. */
  readonly noneMs: number;
  /** Unix time since which a copy has been running without a break at the end; null when none runs at the end. */
  readonly runningSinceMs: number | null;
  /** Hosts whose copy runs at the end. */
  readonly runsOn: readonly string[];
  /** Hosts that have a copy at the end which does not run. */
  readonly otherCopiesOn: readonly string[];
}

/** What a switch-over may take by default (the budget of the preset `balanced`), or an answer that came late, is no break. */
export const breakMs = 1_000;

const runningHosts = ({ copies }: Sample): string[] => Object.keys(copies).filter((host) => copies[host] === 'running');

/** What each host's copy said last; a QEMU that has been silent for less than a break only is slow. */
export function newestCopies(samples: readonly Sample[]): Readonly<Record<string, CopyState>> {
  const last = samples.at(-1);
  if (last === undefined) return {};
  const recent = samples.slice(samples.findLastIndex(({ atMs }) => last.atMs - atMs > breakMs) + 1);
  const said = (host: string): CopyState => {
    if (last.copies[host] === 'absent') return 'absent';
    const answer = recent.findLast(({ copies }) => copies[host] !== 'silent')?.copies[host] ?? 'silent';
    return answer === 'absent' ? 'silent' : answer; // One that is new has not answered yet.
  };
  return Object.fromEntries(Object.keys(last.copies).map((host) => [host, said(host)]));
}

/**
 * `untilMs`: when the run was over. A QEMU that is slow to answer is told from a halted one by the beats: none has run only for as long
 * as both witnesses were silent.
 */
export function judgeSamples(samples: readonly Sample[], beats: BeatsSeen, untilMs: number): Sight {
  let inARow = 0;
  let twoCopiesInARow = 0;
  let lastRunningMs = samples[0]?.atMs ?? untilMs;
  let longestMs = 0;
  let runningSinceMs: number | null = null;
  for (const sample of samples) {
    const running = runningHosts(sample);
    inARow = running.length > 1 ? inARow + 1 : 0;
    twoCopiesInARow = Math.max(twoCopiesInARow, inARow);
    longestMs = Math.max(longestMs, sample.atMs - lastRunningMs);
    if (running.length === 0) continue;
    if (runningSinceMs === null || sample.atMs - lastRunningMs > breakMs) runningSinceMs = sample.atMs;
    lastRunningMs = sample.atMs;
  }
  const atEnd = newestCopies(samples);
  const runsOn = Object.keys(atEnd).filter((host) => atEnd[host] === 'running');
  longestMs = Math.max(longestMs, untilMs - lastRunningMs);
  return {
    twoCopiesInARow,
    twoCopies: twoCopiesInARow > 1 || beats.duplicates > 0,
    noneMs: Math.min(longestMs, beats.largestGapMs),
    runningSinceMs: runsOn.length > 0 ? runningSinceMs : null,
    runsOn,
    otherCopiesOn: Object.entries(atEnd).flatMap(([host, state]) => (state === 'halted' || state === 'silent' ? [host] : [])),
  };
}
