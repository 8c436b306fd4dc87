import { noneName, plimsollName, referenceName } from './roster.ts';
import { medianOf } from './table.ts';
import type { Row } from './table.ts';

/** What is promised, relative to the peer whose hosts are overloaded least. */
const overloadShareMax = 0.3;
const migratedShareMax = 0.5;
const returnsMax = 0;
/** A peer that leaves more of the overloaded time than this moves little because it does not help: it is no measure of how little will do. */
const helpShare = 0.5;

export interface Verdict {
  readonly lines: readonly string[];
  readonly isKept: boolean;
}

/** Null without the product or without a peer among the rows. */
export function verdictOf(rows: readonly Row[]): Verdict | null {
  const own = rows.find(({ name }) => name === plimsollName);
  const peers = rows.filter(({ name }) => !name.startsWith(plimsollName) && name !== noneName && name !== referenceName);
  const without = rows.find(({ name }) => name === noneName);
  const overloadWithout = without === undefined ? Infinity : medianOf(without, 'overloadedHostHours');
  const lowest = (figure: 'overloadedHostHours' | 'migratedGib', among: readonly Row[]) =>
    among.toSorted((a, b) => medianOf(a, figure) - medianOf(b, figure))[0];
  const best = lowest('overloadedHostHours', peers);
  const calmest = lowest(
    'migratedGib',
    peers.filter((row) => medianOf(row, 'overloadedHostHours') <= helpShare * overloadWithout),
  );
  if (own === undefined || best === undefined) return null;
  const overloadShare = ratio(medianOf(own, 'overloadedHostHours'), medianOf(best, 'overloadedHostHours'));
  const migratedShare = ratio(medianOf(own, 'migratedGib'), medianOf(best, 'migratedGib'));
  const returns = own.outcomes.reduce((sum, outcome) => sum + outcome.returns, 0);
  const calm =
    calmest === undefined ? [] : [share('GiB migrated', own, calmest, 'the least-moving peer that halves the overload', 'migratedGib')];
  return {
    lines: [
      `${share('host-time over 100 %', own, best, 'the best peer', 'overloadedHostHours')} (at most ${overloadShareMax})`,
      `${share('GiB migrated', own, best, 'that peer', 'migratedGib')} (at most ${migratedShareMax})`,
      ...calm,
      `returns within an hour: ${returns} in all runs (at most ${returnsMax})`,
    ],
    isKept: overloadShare <= overloadShareMax && migratedShare <= migratedShareMax && returns <= returnsMax,
  };
}

function share(what: string, own: Row, peer: Row, whose: string, figure: 'overloadedHostHours' | 'migratedGib'): string {
  return `${what}: ${ratio(medianOf(own, figure), medianOf(peer, figure)).toFixed(2)} x ${whose}, ${peer.name}`;
}

/** Nothing of nothing is no more than the peer has. */
function ratio(own: number, peer: number): number {
  return own === 0 ? 0 : own / peer;
}
