import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csv, type CsvCell } from './csv.ts';

const ofCells = (...cells: readonly CsvCell[]) =>
  csv(
    cells.map((cell, index) => ({ title: `c${index}`, value: () => cell })),
    [null],
  );

test('a header, a line for each row, each ended by CRLF', () => {
  expect(csv([{ title: 'n', value: (row: number) => row }], [1, 2])).toBe('n\r\n1\r\n2\r\n');
  expect(csv([{ title: 'n', value: () => 1 }], [])).toBe('n\r\n');
});

test('commas and quotes are quoted, what is not known is empty', () => {
  expect(ofCells('a,b', 'say "no"', null, true, 'größe')).toBe('c0,c1,c2,c3,c4\r\n"a,b","say ""no""",,true,größe\r\n');
});

test.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1'])('%j is no formula', (text) => {
  expect(ofCells(text).split('\r\n')[1]).toMatch(/^'/);
});

test('a formula that needs quotes begins with the apostrophe inside of them', () => {
  expect(ofCells('=HYPERLINK("http://evil","x")').split('\r\n')[1]).toBe(`"'=HYPERLINK(""http://evil"",""x"")"`);
});

test('negative figures stay figures', () => {
  expect(ofCells(-12.5, -1).split('\r\n')[1]).toBe('-12.5,-1');
});

test('any text is one cell of one line, and commands no terminal', () => {
  const character = fc.constantFrom('=', '+', '-', '@', '"', "'", ',', '\r', '\n', '\t', '\u001b', ' ', 'a', 'é', '1');
  fc.assert(
    fc.property(fc.array(fc.string({ unit: character, maxLength: 6 }), { minLength: 1, maxLength: 4 }), (texts) => {
      const [, line = '', ...rest] = ofCells(...texts).split('\r\n');
      expect(rest).toEqual(['']);
      expect(line).not.toMatch(/\p{Cc}/u);
      expect(cellsOf(line)).toHaveLength(texts.length);
      expect(cellsOf(line).filter((cell) => /^[=+\-@]/.test(cell))).toEqual([]);
    }),
  );
});

/** A reader of one line, as RFC 4180 has it. */
function cellsOf(line: string): readonly string[] {
  return [...`,${line}`.matchAll(/,(?:"((?:[^"]|"")*)"|([^",]*))/g)].map(([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? '');
}
