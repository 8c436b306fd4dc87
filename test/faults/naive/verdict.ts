/** What the oracle's samples prove of one trial, and the table and verdict of them all. Pure. */
import { type Column, table } from '#cli/table.ts';
import type { Sample } from '#test/faults/oracle/words.ts';
import { limits } from '#test/faults/verdict.ts';
import { type Fault, faults, type Moment, moments, styles, type Trial } from './plan.ts';
import type { Style } from './driver.ts';

/**
 * `runs`: one copy, and nobody will change that. `gone`: every QEMU of the VM has ended, nothing brings its memory back. `stands`: for
 * longer than a VM may stand no copy has run. `mute`: QEMU says that it runs, and the guest does not beat.
 */
export type Ending = 'runs' | 'gone' | 'stands' | 'mute';

export interface Outcome extends Trial {
  readonly ending: Ending;
  /** Longest time in which none ran; of a VM that is gone: as far as it was watched. */
  readonly noneMs: number;
  readonly twoCopies: boolean;
  /** Memory errors and kernel troubles that the guest found in itself. */
  readonly guestErrors: number;
  /** What the driver believes. */
  readonly said: string;
}

/** So many samples that agree are no coincidence of one tick. */
const agreeing = 20;

const running = ({ copies }: Sample): number => Object.values(copies).filter((state) => state === 'running').length;
const isGone = ({ copies }: Sample): boolean => Object.values(copies).every((state) => state === 'absent');

/** How it ended, by samples from before the strike on; undefined while that may still change. */
export function endingOf(samples: readonly Sample[], isDriverDone: boolean): Exclude<Ending, 'mute'> | undefined {
  const last = samples.slice(-agreeing);
  const [newest] = last.slice(-1);
  if (newest === undefined || last.length < agreeing) return undefined;
  if (last.every(isGone)) return 'gone';
  if (isDriverDone && last.every((sample) => running(sample) === 1)) return 'runs';
  const lastRunning = samples.findLast((sample) => running(sample) > 0) ?? samples[0];
  return lastRunning !== undefined && newest.atMs - lastRunning.atMs > limits.noneMsMax ? 'stands' : undefined;
}

export const isLost = ({ ending, noneMs }: Pick<Outcome, 'ending' | 'noneMs'>): boolean => ending !== 'runs' || noneMs > limits.noneMsMax;

interface Row {
  readonly style: Style;
  readonly fault: Fault;
  readonly moment: Moment;
  readonly outcomes: readonly Outcome[];
}

function rowsOf(outcomes: readonly Outcome[]): readonly Row[] {
  const rowOf = (style: Style, fault: Fault, moment: Moment): Row => ({
    style,
    fault,
    moment,
    outcomes: outcomes.filter((one) => one.style === style && one.fault === fault && one.moment === moment),
  });
  const all = faults.flatMap((fault) => moments.flatMap((moment) => styles.map((style) => rowOf(style, fault, moment))));
  return all.filter((row) => row.outcomes.length > 0);
}

const count = ({ outcomes }: Row, holds: (outcome: Outcome) => boolean): string => `${outcomes.filter(holds).length}`;

function noneFor({ outcomes }: Row): string {
  if (outcomes.some(({ ending }) => ending === 'gone')) return 'for ever';
  const longestMs = Math.max(...outcomes.map(({ noneMs }) => noneMs));
  return `${outcomes.some(({ ending }) => ending !== 'runs') ? '> ' : ''}${(longestMs / 1000).toFixed(1)}`;
}

const columns: readonly Column<Row>[] = [
  { title: 'DRIVER', value: ({ style }) => style },
  { title: 'FAULT', value: ({ fault }) => fault },
  { title: 'THE SOURCE SAYS', value: ({ fault, moment }) => (fault === 'none' ? '-' : moment) },
  { title: 'RUNS', value: ({ outcomes }) => `${outcomes.length}`, align: 'right' },
  { title: 'LOST', value: (row) => count(row, isLost), align: 'right' },
  { title: 'NO QEMU LEFT', value: (row) => count(row, ({ ending }) => ending === 'gone'), align: 'right' },
  { title: 'NONE FOR MAX s', value: noneFor, align: 'right' },
  { title: 'TWO COPIES', value: (row) => count(row, ({ twoCopies }) => twoCopies), align: 'right' },
  { title: 'GUEST ERR.', value: (row) => count(row, ({ guestErrors }) => guestErrors > 0), align: 'right' },
];

export function printTable(outcomes: readonly Outcome[]): string {
  return table(columns, rowsOf(outcomes), 'nothing was played');
}

export interface Verdict {
  readonly sentences: readonly string[];
  /** 0: the naive driver lost VMs, the careful one none. 1: it is not so. 2: so far it is, and not everything was played. */
  readonly exitCode: 0 | 1 | 2;
}

export function judgeArms(outcomes: readonly Outcome[], planned: number): Verdict {
  const interrupted = (style: Style): readonly Outcome[] => outcomes.filter((one) => one.style === style && one.fault !== 'none');
  const lost = (style: Style): number => interrupted(style).filter(isLost).length;
  const lostUndisturbed = outcomes.filter((one) => one.fault === 'none' && isLost(one)).length;
  const harmed = outcomes.filter(({ twoCopies, guestErrors }) => twoCopies || guestErrors > 0).length;
  const isWrong = lost('careful') > 0 || lostUndisturbed > 0 || harmed > 0;
  const isComplete = outcomes.length >= planned;
  const sentences = [
    ...styles.map((style) => `The ${style} driver lost the VM in ${lost(style)} of ${interrupted(style).length} interrupted migrations.`),
    `A VM is lost when no copy of it runs at the end, or none ran for more than ${limits.noneMsMax / 1000} s.`,
    ...(lostUndisturbed > 0 ? [`${lostUndisturbed} of the migrations that nothing interrupted lost the VM: the drivers do not work.`] : []),
    ...(harmed > 0 ? [`${harmed} VMs ran twice or found errors in themselves.`] : []),
    ...(isComplete ? [] : [`${planned - outcomes.length} of ${planned} migrations were not played.`]),
  ];
  if (isWrong) return { sentences, exitCode: 1 };
  if (!isComplete) return { sentences, exitCode: 2 };
  return { sentences, exitCode: lost('naive') > 0 ? 0 : 1 };
}
