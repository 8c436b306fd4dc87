import { expect, test } from 'vitest';
import { exampleRun } from './examples.ts';
import { combinations } from './plan.ts';
import type { RunRecord } from './record.ts';
import { judgeCampaign, printSenseless, printTable, rowsOf } from './verdict.ts';

const complete = (change: (index: number) => Partial<RunRecord>): readonly RunRecord[] =>
  [1, 2, 3].flatMap((time) => combinations().map((one, index) => ({ ...exampleRun, ...one, time, ...change(index) })));

test('everything three times without harm is as promised, and complete', () => {
  expect(judgeCampaign(complete(() => ({})))).toMatchObject({ holds: true, isComplete: true });
});

test('one violation is enough', () => {
  const { holds, sentences } = judgeCampaign(complete((index) => (index === 5 ? { violations: ['a copy was left on host1'] } : {})));
  expect(holds).toBe(false);
  expect(sentences.join('\n')).toContain('VIOLATION');
});

test('a run that is missing is no promise kept', () => {
  expect(judgeCampaign(complete(() => ({})).slice(1))).toMatchObject({ holds: true, isComplete: false });
});

test('half of the runs too slow breaks the promise; so do two of a hundred above 30 s', () => {
  for (const figure of ['vmBackMs', 'afterFaultMs']) {
    expect(judgeCampaign(complete((index) => (index % 10 < 6 ? { noneMs: 5_001, [figure]: 5_001 } : {}))).holds).toBe(false);
    expect(judgeCampaign(complete((index) => (index < 4 ? { noneMs: 5_001, [figure]: 31_000 } : {}))).holds).toBe(false);
  }
});

test('a QEMU that answers late breaks no promise while its guest beats on', () => {
  expect(judgeCampaign(complete(() => ({ noneMs: 900, vmBackMs: 31_000 }))).holds).toBe(true);
});

test('a migration that could be closed only after a long fault counts from the end of that fault', () => {
  expect(judgeCampaign(complete((index) => (index < 10 ? { recoveryMs: 62_000, afterFaultMs: 2_000 } : {}))).holds).toBe(true);
});

test('nothing played proves nothing', () => {
  expect(judgeCampaign([])).toMatchObject({ holds: false, isComplete: false });
});

test('the table has a row for what was played, and counts where the VM is', () => {
  const runs = [exampleRun, { ...exampleRun, time: 2, place: 'source' as const }, { ...exampleRun, fault: 'abort' as const }];
  expect(rowsOf(runs).map(({ fault, runs: own }) => [fault, own.length])).toEqual([
    ['kill controller', 2],
    ['abort', 1],
  ]);
  expect(printTable(runs).split('\n')).toHaveLength(3);
});

test('what is not played is printed with its reason', () => {
  expect(printSenseless()).toContain('port refused, switching: the data connection stands already');
});
