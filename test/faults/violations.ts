/** What must never be, by what was seen of one run. Pure. */
import type { Sight } from './oracle/judge.ts';
import type { RunRecord } from './record.ts';
import { hasNone, hasTwo } from './verdict.ts';

export interface Facts {
  readonly sight: Sight;
  readonly duplicates: number;
  /** The guest beats after all. */
  readonly beats: boolean;
  /** Hosts that hold the lease of the VM's disk at the end. */
  readonly holders: readonly string[];
  readonly isNewBoot: boolean;
}

export function violationsOf(
  run: Omit<RunRecord, 'violations'>,
  { sight, duplicates, beats, holders, isNewBoot }: Facts,
): readonly string[] {
  const isAtRest = run.place === 'source' || run.place === 'destination';
  const found: readonly (readonly [boolean, string])[] = [
    [hasTwo(run), `two copies ran: ${run.twoCopiesInARow} samples in a row, ${duplicates} beats twice`],
    [hasNone(run), `no copy ran for ${run.noneMs} ms`],
    [run.place === 'nowhere' && !run.vmKilled, 'the VM runs nowhere, and its process was not killed'],
    [run.place === 'nowhere' && run.vmKilled, 'the VM could not be started again'],
    [!beats, 'the guest does not beat'],
    [isNewBoot && !run.vmKilled, 'the guest was started anew'],
    [run.recoveryMs === null, `not recovered: ${run.said}`],
    [run.diskBad, "the guest's log on its disk is broken"],
    [run.guestErrors > 0, `the guest counts ${run.guestErrors} errors`],
    [run.place === 'source' && run.said === 'done', 'it is said to be moved, and runs on its source'],
    [run.place === 'destination' && run.said.startsWith('failed'), `it is said to have stayed, and runs on its destination: ${run.said}`],
    [isAtRest && sight.otherCopiesOn.length > 0, `a copy was left on ${sight.otherCopiesOn.join(', ')}`],
    [
      isAtRest && holders.join(',') !== sight.runsOn.join(','),
      `the lease is held by ${holders.join(', ') || 'nobody'}, the VM runs on ${sight.runsOn.join(', ')}`,
    ],
  ];
  return found.flatMap(([holds, sentence]) => (holds ? [sentence] : []));
}
