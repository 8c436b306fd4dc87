import { describe, expect, test } from 'vitest';
import { firstDifference, printDifference } from './sim-printer.ts';

const expected = 'one\ntwo\nthree\nfour\nfive\n';

describe('the first difference of two logs', () => {
  test('is none between the same bytes', () => expect(firstDifference(expected, expected)).toBeNull());

  test('is shown as a diff shows it, after the lines before it', () => {
    const difference = firstDifference(expected, expected.replace('five', '5'));
    expect(difference && printDifference(difference)).toBe(
      ['The log differs from expected.log from line 5 on:', '  2  two', '  3  three', '  4  four', '- 5  five', '+ 5  5'].join('\n'),
    );
  });

  test.each([
    ['a run that ends early', 'one\ntwo\n', { line: 3, expected: 'three', played: null }],
    ['a run that goes on', `${expected}six\n`, { line: 6, expected: null, played: 'six' }],
    ['a first line', 'eins\n', { line: 1, expected: 'one', played: 'eins' }],
    ['an empty run', '', { line: 1, expected: 'one', played: null }],
  ])('is found in %s', (_what, played, difference) => {
    expect(firstDifference(expected, played)).toMatchObject(difference);
  });

  test('is found in the last line feed alone', () => {
    expect(firstDifference(expected, expected.trimEnd())).toMatchObject({ line: 6, expected: null, played: null });
  });

  test('shows nothing that a terminal would obey', () => {
    const difference = firstDifference('a\n', 'a\u001b[2J\n');
    expect(difference && printDifference(difference)).not.toContain('\u001b');
  });
});
