import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fold } from './fold.ts';

describe('text for a terminal', () => {
  it('is left alone where it fits, or nobody looks at it', () => {
    expect(fold('short\n\nlines', 10)).toBe('short\n\nlines');
    expect(fold('a line of any length', Number.POSITIVE_INFINITY)).toBe('a line of any length');
  });

  it("goes on under the last column of a table's row", () => {
    expect(fold('memory  NO  no room at all: free some memory there', 30)).toBe(
      ['memory  NO  no room at all:', '            free some memory', '            there'].join('\n'),
    );
  });

  it('goes on under an earlier column where the last one is too far to the right', () => {
    expect(fold('now  put aside pre-copy      it is too slow for that', 30)).toBe('now  put aside pre-copy\n     it is too slow for that');
  });

  it('goes on under the value of a field', () => {
    expect(fold('how: first this, then that, then give up', 20)).toBe(
      ['how: first this,', '     then that, then', '     give up'].join('\n'),
    );
  });

  it('goes on under a paragraph, with its own indent', () => {
    expect(fold('  one two three four', 12)).toBe('  one two\n  three four');
  });

  it('keeps a word that is longer than the line', () => {
    expect(fold('a https://example.org/very/long b', 10)).toBe('a\nhttps://example.org/very/long\nb');
  });

  it('keeps a command in one line, to be copied', () => {
    expect(fold('On it run once:\n  plimsoll host join --token-file -', 20)).toBe('On it run once:\n  plimsoll host join --token-file -');
  });

  it('breaks what explains a command, and not the command', () => {
    expect(fold('  plimsoll mode    what it does with plans', 36)).toBe('  plimsoll mode    what it does with\n                   plans');
  });

  it('loses no word, adds none, and has no line too wide that could be broken', () => {
    const word = fc.stringMatching(/^[a-z,]{1,9}$/);
    const line = fc.tuple(fc.constantFrom('', '  '), fc.array(fc.tuple(word, fc.constantFrom(' ', '  ')), { maxLength: 30 }));
    fc.assert(
      fc.property(line, fc.integer({ min: 12, max: 100 }), ([lead, words], columns) => {
        const text = `${lead}${words.flat().join('')}`.trimEnd();
        const folded = fold(text, columns);
        expect(folded.split(/\s+/).join(' ').trim()).toBe(text.split(/\s+/).join(' ').trim());
        for (const one of folded.split('\n')) if (one.length > columns) expect(one.split(/ {2,}/).at(-1)).not.toContain(' ');
      }),
    );
  });
});
