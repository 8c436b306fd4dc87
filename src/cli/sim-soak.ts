import { formatDuration, printable } from './format.ts';
import { fields } from './table.ts';
import type { Counts, SoakPlayed } from './simulations.ts';

/** What a soak came to. */
export interface SoakTotals {
  readonly seeds: number;
  readonly virtualSeconds: number;
  readonly realSeconds: number;
  readonly events: Counts;
  readonly migrations: Counts;
  readonly broken: readonly Pick<SoakPlayed, 'seed' | 'breaches'>[];
}

/** So many seeds from one on. */
export interface SoakRange {
  readonly from: number;
  readonly seeds: number;
}

export const nothingPlayed: SoakTotals = { seeds: 0, virtualSeconds: 0, realSeconds: 0, events: {}, migrations: {}, broken: [] };

/** Plays seed after seed; `play` gives null when it was interrupted, which ends the soak. `onTotals` is told after each seed. */
export async function soak(
  { from, seeds }: SoakRange,
  play: (seed: number) => Promise<SoakPlayed | null>,
  nowMs: () => number,
  onTotals: (totals: SoakTotals) => void,
): Promise<SoakTotals> {
  const startedAtMs = nowMs();
  let totals = nothingPlayed;
  for (let seed = from; seed < from + seeds; seed += 1) {
    const played = await play(seed);
    if (played === null) break;
    totals = withPlayed(totals, played, (nowMs() - startedAtMs) / 1000);
    onTotals(totals);
  }
  return totals;
}

/** One seed more. `realSeconds`: since the soak began. */
export function withPlayed(totals: SoakTotals, played: SoakPlayed, realSeconds: number): SoakTotals {
  const { seed, breaches } = played;
  return {
    seeds: totals.seeds + 1,
    virtualSeconds: totals.virtualSeconds + played.virtualSeconds,
    realSeconds,
    events: sumOf(totals.events, played.events),
    migrations: sumOf(totals.migrations, played.migrations),
    broken: breaches.length === 0 ? totals.broken : [...totals.broken, { seed, breaches }],
  };
}

function sumOf(one: Counts, other: Counts): Counts {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Object.fromEntries([...names].toSorted().map((name) => [name, (one[name] ?? 0) + (other[name] ?? 0)]));
}

/** The command that plays one seed again. */
export type ReplayCommand = (seed: number) => string;

/** The totals, then each seed that broke something with the command that plays it again. `cpuSeconds`: of all that has played. */
export function printSoak(totals: SoakTotals, replay: ReplayCommand, cpuSeconds?: number): string {
  const { seeds, virtualSeconds, realSeconds, events, migrations, broken } = totals;
  const cpu = cpuSeconds === undefined ? [] : [['CPU time', timeText(virtualSeconds, cpuSeconds)] as const];
  return [
    fields([
      ['seeds', String(seeds)],
      ['virtual time', `${(virtualSeconds / 3600).toFixed(1)} hours`],
      ['real time', timeText(virtualSeconds, realSeconds)],
      ...cpu,
      ['migrations', countsText(migrations)],
      ['events', countsText(events)],
      ['invariants', broken.length === 0 ? 'none broken' : `broken by ${broken.length} of ${seeds} seeds`],
    ]),
    ...broken.toSorted((one, other) => one.seed - other.seed).flatMap((played) => ['', printBroken(played, replay)]),
  ].join('\n');
}

export function printBroken({ seed, breaches }: Pick<SoakPlayed, 'seed' | 'breaches'>, replay: ReplayCommand): string {
  return `seed ${seed}: ${printable(breaches.map(({ code, message }) => `${code}: ${message}`).join('; '))}\n  ${replay(seed)}`;
}

function timeText(virtualSeconds: number, seconds: number): string {
  const ratio = seconds > 0 ? `, ${(virtualSeconds / seconds).toFixed(0)} times as fast` : '';
  return `${formatDuration(seconds * 1000)}${ratio}`;
}

function countsText(counts: Counts): string {
  const words = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  return words.length === 0 ? 'none' : words.join(', ');
}
