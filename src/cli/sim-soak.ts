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
    totals = added(totals, played, (nowMs() - startedAtMs) / 1000);
    onTotals(totals);
  }
  return totals;
}

function added(totals: SoakTotals, played: SoakPlayed, realSeconds: number): SoakTotals {
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

/** The totals, then each seed that broke something with the command that plays it again. `options`: what else that command needs. */
export function printSoak({ seeds, virtualSeconds, realSeconds, events, migrations, broken }: SoakTotals, options: string): string {
  const ratio = realSeconds > 0 ? `, ${(virtualSeconds / realSeconds).toFixed(0)} times as fast` : '';
  return [
    fields([
      ['seeds', String(seeds)],
      ['virtual time', `${(virtualSeconds / 3600).toFixed(1)} hours in ${formatDuration(realSeconds * 1000)}${ratio}`],
      ['migrations', countsText(migrations)],
      ['events', countsText(events)],
      ['invariants', broken.length === 0 ? 'none broken' : `broken by ${broken.length} of ${seeds} seeds`],
    ]),
    ...broken.flatMap(({ seed, breaches }) => [
      '',
      `seed ${seed}: ${printable(breaches.map(({ code, message }) => `${code}: ${message}`).join('; '))}`,
      `  plimsoll sim --seed ${seed}${options}`,
    ]),
  ].join('\n');
}

function countsText(counts: Counts): string {
  const words = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  return words.length === 0 ? 'none' : words.join(', ');
}
