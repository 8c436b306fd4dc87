import { printable } from './format.ts';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly value: (row: Row) => string;
}

const gap = '  ';
const graphemes = new Intl.Segmenter('en');

/** Rows under their titles, each column as wide as its widest cell, without trailing blanks. `whenEmpty` replaces a table without rows. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], whenEmpty: string): string {
  if (rows.length === 0) return whenEmpty;
  const cells = rows.map((row) => columns.map((column) => printable(column.value(row))));
  const lines = [columns.map((column) => column.title), ...cells];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => widthOf(line[index] ?? ''))));
  return lines
    .map((line) =>
      line
        .map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.align ?? 'left'))
        .join(gap)
        .trimEnd(),
    )
    .join('\n');
}

/** `name: value` lines with the values in one column. */
export function fields(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([name]) => widthOf(name))) + 1;
  return pairs.map(([name, value]) => `${pad(`${name}:`, width, 'left')} ${printable(value)}`.trimEnd()).join('\n');
}

function pad(cell: string, width: number, align: 'left' | 'right'): string {
  const blanks = ' '.repeat(Math.max(0, width - widthOf(cell)));
  return align === 'right' ? blanks + cell : cell + blanks;
}

function widthOf(text: string): number {
  return /^[ -~]*$/.test(text) ? text.length : [...graphemes.segment(text)].length;
}
