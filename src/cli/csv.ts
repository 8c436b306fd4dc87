import { printable } from './format.ts';

export type CsvCell = string | number | boolean | null;

export interface CsvColumn<Row> {
  readonly title: string;
  readonly value: (row: Row) => CsvCell;
}

/**
 * Rows as comma-separated values with a header line (RFC 4180: lines end with CRLF, a cell with a comma or a quote is quoted). What is
 * not known is empty. Control characters of a text, line breaks too, become U+FFFD, so a record is one line. A text that a spreadsheet would
 * take for a formula gets an apostrophe before it (OWASP, "CSV injection"); figures are left as they are.
 */
export function csv<Row>(columns: readonly CsvColumn<Row>[], rows: readonly Row[]): string {
  const lines = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ value }) => value(row)))];
  return lines.map((line) => `${line.map(cellText).join(',')}\r\n`).join('');
}

function cellText(cell: CsvCell): string {
  if (cell === null) return '';
  if (typeof cell !== 'string') return String(cell);
  const text = printable(/^[=+\-@\t\r\n]/.test(cell) ? `'${cell}` : cell);
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
