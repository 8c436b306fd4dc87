/** A hanging indent deeper than this share of the width would leave a ladder of single words. */
const indentShareMax = 0.6;

/**
 * Lines broken between words so that none is wider than `columns`. What follows a break stands under the last column of a table's
 * row, or under the value of a `name: value` line; lines that fit are left as they are, and so is a word that is too long for a
 * line, and a command.
 */
export function fold(text: string, columns: number): string {
  if (!Number.isFinite(columns)) return text;
  return text
    .split('\n')
    .flatMap((line) => foldLine(line, columns))
    .join('\n');
}

function foldLine(line: string, columns: number): readonly string[] {
  if (line.length <= columns || isCommand(line)) return [line];
  const indent = ' '.repeat(indentOf(line, columns));
  const lines: string[] = [];
  let rest = line;
  while (rest.length > columns) {
    const at = breakOf(rest, indent.length, columns);
    if (at === null) break;
    lines.push(rest.slice(0, at).trimEnd());
    rest = `${indent}${rest.slice(at).trimStart()}`;
  }
  return [...lines, rest];
}

/** Somebody will copy it; one with an explanation beside it can be broken there. */
function isCommand(line: string): boolean {
  const text = line.trimStart();
  return text.startsWith('plimsoll ') && !text.includes('  ');
}

/** Where what does not fit goes on: the last blank that fits, else the first one there is; null: there is none. */
function breakOf(line: string, indent: number, columns: number): number | null {
  const last = line.lastIndexOf(' ', columns);
  if (last > indent) return last;
  const next = line.indexOf(' ', Math.max(columns, indent));
  return next === -1 ? null : next;
}

/** Tables have two blanks between their columns, and a name its value after a colon. */
function indentOf(line: string, columns: number): number {
  const leading = line.length - line.trimStart().length;
  const column = [...line.matchAll(/ {2,}(?=\S)/g)].map((gap) => gap.index + gap[0].length);
  const value = /^ *[^:]{1,24}: +/.exec(line)?.[0].length ?? 0;
  const fits = (at: number) => at > leading && at <= columns * indentShareMax;
  return column.findLast(fits) ?? (fits(value) ? value : leading);
}
