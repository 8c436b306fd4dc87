/** What became of one attack. */
export interface Result {
  readonly attack: string;
  /** In the words of the log, or the name of the counter. */
  readonly refusedBy: string;
  readonly refusedAfterMs: number;
  /** The same with the protection off, or with what was wrong put right: what went through. */
  readonly controlArm: string;
}

const headings = ['attack', 'refused by', 'after ms', 'control arm'] as const;

export class Results {
  readonly #rows: (readonly string[])[] = [];

  add({ attack, refusedBy, refusedAfterMs, controlArm }: Result): void {
    this.#rows.push([attack, refusedBy, `${Math.round(refusedAfterMs)}`, controlArm]);
  }

  table(): string {
    const rows = [headings, ...this.#rows];
    const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
    const line = (row: readonly string[]): string =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd();
    return rows.map(line).join('\n');
  }
}
