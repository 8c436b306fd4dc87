import { printable } from './format.ts';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly value: (row: Row) => string;
  /** Where there is little room, the column with the highest rank is left out first; one without a rank stays. */
  readonly rank?: number;
}

const gap = '  ';
const graphemes = new Intl.Segmenter('en');

/**
 * Rows under their titles, each column as wide as its widest cell, without trailing blanks. `whenEmpty` replaces a table without rows.
 * `width`: how wide it may be, as far as leaving out columns can make it so.
 */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  whenEmpty: string,
  width = Number.POSITIVE_INFINITY,
): string {
  if (rows.length === 0) return whenEmpty;
  const filled = fitting(
    columns.map((column) => filledOf(column, rows)),
    width,
  );
  return ['', ...rows]
    .map((_, line) =>
      filled
        .map((column) => pad(column.cells[line] ?? '', column.width, column.align))
        .join(gap)
        .trimEnd(),
    )
    .join('\n');
}

/** A column with its cells, the title first. */
interface Filled {
  readonly cells: readonly string[];
  readonly width: number;
  readonly align: 'left' | 'right';
  readonly rank: number;
}

function filledOf<Row>({ title, align = 'left', value, rank = 0 }: Column<Row>, rows: readonly Row[]): Filled {
  const cells = [title, ...rows.map((row) => printable(value(row)))];
  return { cells, width: Math.max(...cells.map(widthOf)), align, rank };
}

function fitting(columns: readonly Filled[], width: number): readonly Filled[] {
  const needed = columns.reduce((sum, column) => sum + column.width, gap.length * (columns.length - 1));
  const highest = Math.max(...columns.map(({ rank }) => rank));
  if (needed <= width || highest === 0) return columns;
  const last = columns.findLastIndex(({ rank }) => rank === highest);
  return fitting(columns.toSpliced(last, 1), width);
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
