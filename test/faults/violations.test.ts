import { expect, test } from 'vitest';
import { exampleRun } from './examples.ts';
import type { Sight } from './oracle/judge.ts';
import type { RunRecord } from './record.ts';
import { type Facts, violationsOf } from './violations.ts';

const sight: Sight = { twoCopiesInARow: 0, twoCopies: false, noneMs: 300, runningSinceMs: 0, runsOn: ['host2'], otherCopiesOn: [] };
const facts: Facts = { sight, duplicates: 0, beats: true, holders: ['host2'], isNewBoot: false };
const found = (run: Partial<RunRecord>, seen: Partial<Facts> = {}): readonly string[] =>
  violationsOf({ ...exampleRun, ...run }, { ...facts, ...seen });

test('a VM that was moved and runs on one host is as it should be', () => {
  expect(found({})).toEqual([]);
});

test.each<[string, Partial<RunRecord>, Partial<Facts>, RegExp]>([
  ['two copies', { place: 'two', twoCopiesInARow: 4 }, {}, /two copies ran/],
  ['none for more than 30 s', { noneMs: 30_001 }, {}, /no copy ran for 30001 ms/],
  ['a VM that is nowhere although nobody killed it', { place: 'nowhere' }, {}, /runs nowhere/],
  ['a guest that is silent', {}, { beats: false }, /does not beat/],
  ['a guest that was started anew although nobody killed it', {}, { isNewBoot: true }, /started anew/],
  ['a migration that was never closed', { recoveryMs: null, said: 'resolving, still open' }, {}, /not recovered: resolving, still open/],
  ['a broken disk', { diskBad: true }, {}, /disk is broken/],
  ['errors that the guest counts', { guestErrors: 2 }, {}, /2 errors/],
  [
    'a success that is none',
    { place: 'source', said: 'done' },
    { sight: { ...sight, runsOn: ['host1'] }, holders: ['host1'] },
    /said to be moved/,
  ],
  ['a failure that is none', { said: 'failed (link-lost)' }, {}, /said to have stayed/],
  ['a copy that was left', {}, { sight: { ...sight, otherCopiesOn: ['host1'] } }, /copy was left on host1/],
  ['a disk that nobody has locked', {}, { holders: [] }, /held by nobody/],
])('%s is a violation', (_name, run, seen, sentence) => {
  expect(found(run, seen)).toEqual([expect.stringMatching(sentence)]);
});

test('a VM whose process was killed may have been away, and started anew', () => {
  const run = { vmKilled: true, place: 'restarted', noneMs: 60_000 } as const;
  expect(found(run, { isNewBoot: true })).toEqual([]);
});
