import { expect, test } from 'vitest';
import { judgeSamples } from './judge.ts';
import type { CopyState, Sample } from './words.ts';

const tickMs = 50;
const letters: Readonly<Record<string, CopyState>> = { r: 'running', h: 'halted', s: 'silent', '.': 'absent' };

/** One letter per tick and host: `a` is the source's line, `b` the destination's. */
function recorded(a: string, b: string): readonly Sample[] {
  return Array.from(a, (letter, index) => ({
    atMs: index * tickMs,
    copies: { a: letters[letter] ?? 'absent', b: letters[b[index] ?? '.'] ?? 'absent' },
  }));
}

const judged = (a: string, b: string, beats: { duplicates?: number; largestGapMs?: number } = {}) =>
  judgeSamples(recorded(a, b), { duplicates: beats.duplicates ?? 0, largestGapMs: beats.largestGapMs ?? 100_000 }, (a.length - 1) * tickMs);

test('a migration as it should be: one copy, then a short stop, then the other', () => {
  expect(judged('rrrrhhh..', '..hhhhrrr')).toMatchObject({ twoCopies: false, noneMs: 150, runsOn: ['b'], otherCopiesOn: [] });
});

test('two that run in one tick may be two instants of it', () => {
  expect(judged('rrr..', '..rrr')).toMatchObject({ twoCopiesInARow: 1, twoCopies: false });
});

test('two that run in two ticks in a row are two copies', () => {
  expect(judged('rrrr.', '..rrr')).toMatchObject({ twoCopiesInARow: 2, twoCopies: true });
});

test('a beat that came twice is two copies, whatever the QEMUs say', () => {
  expect(judged('rrrrr', '.....', { duplicates: 1 }).twoCopies).toBe(true);
});

test('a VM that runs nowhere at the end has not recovered', () => {
  expect(judged('rr...', '.....')).toMatchObject({ runsOn: [], runningSinceMs: null, noneMs: 150 });
});

test('a copy that is left and does not run is seen', () => {
  expect(judged('rrrrr', '.hhhh').otherCopiesOn).toEqual(['b']);
  expect(judged('rrrrr', '.ssss').otherCopiesOn).toEqual(['b']);
});

test('a QEMU that was slow to answer at the very end runs where it ran; one that is silent for longer does not', () => {
  expect(judged('rrrss', '.....')).toMatchObject({ runsOn: ['a'], otherCopiesOn: [] });
  expect(judged(`rr${'s'.repeat(30)}`, '.'.repeat(32))).toMatchObject({ runsOn: [], otherCopiesOn: ['a'] });
  expect(judged('rrrs.', '.....')).toMatchObject({ runsOn: [], otherCopiesOn: [] });
});

test('a long halt is a break: it runs since its end', () => {
  const halted = 'h'.repeat(20);
  expect(judged(`rr${halted}rr`, '.'.repeat(24))).toMatchObject({ noneMs: 1050, runningSinceMs: 22 * tickMs });
});

test('answers that came late are no break', () => {
  expect(judged('rrssssrr', '........').runningSinceMs).toBe(0);
});

test('a QEMU that is stopped does not answer for long: that is a break', () => {
  expect(judged(`rr${'s'.repeat(30)}rr`, '.'.repeat(34)).runningSinceMs).toBe(32 * tickMs);
});

test('while the guest beats it runs, however slow its QEMU is to answer', () => {
  expect(judged(`rr${'s'.repeat(30)}rr`, '.'.repeat(34), { largestGapMs: 80 }).noneMs).toBe(80);
});

test('of no samples nothing is proven to run', () => {
  expect(judgeSamples([], { duplicates: 0, largestGapMs: 0 }, 1000)).toMatchObject({ runsOn: [], runningSinceMs: null });
});
