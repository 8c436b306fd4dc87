import type { Peer } from './grid.ts';
import { defaultPhysics } from './physics.ts';
import { play } from './play.ts';
import { synthetic } from './synthetic.ts';
import { medianOf, tableLines } from './table.ts';
import type { Row } from './table.ts';
import { workloadOf } from './workload.ts';
import type { WorkloadSize } from './workload.ts';

/** Not the seeds of the table: settings are not fitted to the very runs on which they are compared. */
const firstSeed = 1001;
/** What one seed more or less changes: a difference that small is not worth twice the migrations. */
const nearFactor = 1.1;

/** The chosen combination of a peer's choices, then each of them, by overloaded time. */
export function searched(peer: Peer, setup: WorkloadSize & { readonly seeds: number; readonly hours: number }): readonly string[] {
  const seeds = Array.from({ length: setup.seeds }, (_, index) => firstSeed + index);
  const workloads = seeds.map((seed) => workloadOf(synthetic, setup, seed));
  const rows = peer.candidates.map((candidate) => ({
    name: candidate.name,
    outcomes: workloads.map((workload) => play(workload, candidate.create(), defaultPhysics, setup.hours)),
  }));
  const hours = (row: Row) => medianOf(row, 'overloadedHostHours');
  const sorted = rows.toSorted((a, b) => hours(a) - hours(b) || medianOf(a, 'migratedGib') - medianOf(b, 'migratedGib'));
  return tableLines([bestOf(sorted), ...sorted]);
}

/** Of those whose overloaded time is near the least, the one that migrates least. */
function bestOf(sorted: readonly Row[]): Row {
  const [first, ...rest] = sorted;
  if (first === undefined) throw new RangeError('there is nothing to choose from');
  const hoursMax = medianOf(first, 'overloadedHostHours') * nearFactor;
  const near = rest.filter((row) => medianOf(row, 'overloadedHostHours') <= hoursMax);
  return near.reduce((best, row) => (medianOf(row, 'migratedGib') < medianOf(best, 'migratedGib') ? row : best), first);
}
