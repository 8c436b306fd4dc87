import type { Outcome } from './tally.ts';

export interface Row {
  readonly name: string;
  /** One for each seed. */
  readonly outcomes: readonly Outcome[];
}

type Figure = keyof Outcome;

const columns: readonly { readonly title: string; readonly figure: Figure; readonly digits: number }[] = [
  { title: 'over 100 %, h', figure: 'overloadedHostHours', digits: 2 },
  { title: '% of time', figure: 'overloadedPercent', digits: 3 },
  { title: 'unserved, core-h', figure: 'unservedCoreHours', digits: 2 },
  { title: 'migrations', figure: 'migrations', digits: 0 },
  { title: 'GiB', figure: 'migratedGib', digits: 0 },
  { title: 'returns', figure: 'returns', digits: 0 },
  { title: 'moves of a VM', figure: 'movesPerVmMax', digits: 0 },
  { title: 'refused', figure: 'refusedSteps', digits: 0 },
  { title: 'own CPU, s', figure: 'cpuSeconds', digits: 2 },
];

const figureWidthMin = 6;

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

export function medianOf({ outcomes }: Row, figure: Figure): number {
  return median(outcomes.map((outcome) => outcome[figure]));
}

function widthOf(title: string): number {
  return Math.max(title.length, figureWidthMin) + 2;
}

/** A line for each balancer, medians over the seeds. */
export function tableLines(rows: readonly Row[]): readonly string[] {
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
  const header = `${'balancer'.padEnd(width)}${columns.map(({ title }) => title.padStart(widthOf(title))).join('')}`;
  const line = (row: Row) =>
    row.name.padEnd(width) +
    columns.map(({ title, figure, digits }) => medianOf(row, figure).toFixed(digits).padStart(widthOf(title))).join('');
  return [header, ...rows.map(line)];
}
