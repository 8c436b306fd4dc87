/** Placements of a random size, tight enough for rooms to matter. Only for tests. */
import { seededRandom } from '#core/seeded.ts';
import type { PlacementSpec } from './placement.ts';

const columns = 3;
const limits = 2;

export interface SizeOfSpec {
  readonly hosts: number;
  readonly vms: number;
  readonly seed: number;
}

/** Hosts of two sizes; some are closed, some are not counted and cost by each VM; every VM fits where it is. */
export function exampleSpec({ hosts, vms, seed }: SizeOfSpec): PlacementSpec {
  const { fraction } = seededRandom(`spec ${seed}`);
  const row = (count: number, make: () => number) => Float64Array.from({ length: count }, make);
  const flags = (count: number, chance: number) => Uint8Array.from({ length: count }, () => (fraction() < chance ? 1 : 0));
  const homes = Int32Array.from({ length: vms }, () => Math.floor(fraction() * fraction() * hosts));
  const needs = row(vms * limits, () => 1 + Math.floor(fraction() * 8));
  const rooms = row(hosts * limits, () => Math.floor(fraction() * 12));
  // What is there has its room, and what `rooms` says is left.
  homes.forEach((host, vm) => {
    for (let limit = 0; limit < limits; limit += 1) {
      rooms[host * limits + limit] = (rooms[host * limits + limit] ?? 0) + (needs[vm * limits + limit] ?? 0);
    }
  });
  const counted = flags(hosts, 0.9);
  return {
    hosts,
    vms,
    columns,
    weights: Float64Array.of(1, 0.5, 2),
    baseLoads: row(hosts * columns, () => fraction() * 0.2),
    scales: row(hosts * columns, () => (fraction() < 0.5 ? 1 : 0.5)),
    amounts: row(vms * columns, () => fraction() * 0.3),
    limits,
    rooms,
    needs,
    homes,
    movable: flags(vms, 0.9),
    open: counted.map((one) => (one === 1 && fraction() < 0.9 ? 1 : 0)),
    counted,
    perVm: Float64Array.from(counted, (one) => (one === 1 ? 0 : 3)),
  };
}
