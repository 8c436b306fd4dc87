import { describe, expect, it } from 'vitest';
import { checkPlaces, easyPlaces, impossibility, type MadeMove, type Packing, placesAfter } from './certificate.ts';
import { playedMoves } from './packing.ts';

const gib = 2 ** 30;
const host = (hostId: string, cores = 8, memory = 64) => ({ hostId, cores, memoryBytes: memory * gib });
const vm = (vmId: string, hostId: string, cores: number, memory = 4) => ({ vmId, hostId, cores, memoryBytes: memory * gib });

/** `hot` wants 10 of its 8 cores. */
const cluster: Packing = {
  hosts: [host('hot'), host('cool'), host('full')],
  vms: [vm('a', 'hot', 2.5), vm('b', 'hot', 2.5), vm('c', 'hot', 2.5), vm('d', 'hot', 2.5), vm('e', 'full', 5)],
};

function judged(packing: Packing, moves: readonly MadeMove[]) {
  const places = placesAfter(packing, moves);
  if (typeof places === 'string') return places;
  return checkPlaces(packing, places).over.map(({ hostId }) => hostId);
}

describe('the checker of placements', () => {
  it.each(['lines', 'balance', 'threshold', 'pack'] as const)('takes the end that the planner plans by %s', (strategy) => {
    const moves = playedMoves(cluster, strategy);
    expect(judged(cluster, [])).toEqual(['hot']);
    expect(judged(cluster, moves)).toEqual([]);
  });

  it.each(['lines', 'balance', 'threshold', 'pack'] as const)('finds a mistake that is planted in a plan by %s', (strategy) => {
    const moves = playedMoves(cluster, strategy);
    const [first] = moves;
    if (first === undefined) throw new Error('moves were planned');
    const [left, crowded] = [moves.slice(0, 0), moves.map((move) => ({ ...move, toHostId: 'full' }))];
    expect(judged(cluster, left)).toEqual(['hot']);
    const narrow = { ...cluster, vms: [...cluster.vms, vm('f', 'full', 2.9)] };
    expect(judged(narrow, crowded)).toContain('full');
    expect(judged(cluster, [{ ...first, fromHostId: 'full' }])).toContain('is not on full');
    expect(judged(cluster, [{ ...first, toHostId: 'nowhere' }])).toContain('which is no host');
    expect(judged(cluster, [first, first])).toContain('is not on hot');
  });

  it('counts every VM once, on a host that there is', () => {
    const places = new Map(cluster.vms.map(({ vmId, hostId }) => [vmId, hostId]));
    expect(checkPlaces(cluster, places).faults).toEqual([]);
    expect(checkPlaces(cluster, new Map([...places].slice(1))).faults).toEqual(['a is on no host of the cluster']);
    expect(checkPlaces(cluster, new Map(places).set('a', 'nowhere')).faults).toEqual(['a is on no host of the cluster']);
    expect(checkPlaces(cluster, new Map(places).set('ghost', 'cool')).faults).toEqual(['ghost is no VM of the cluster']);
  });

  it('looks at memory as at CPU, and takes what is no number for too much', () => {
    const thick = { ...cluster, vms: [vm('a', 'hot', 1, 65)] };
    expect(judged(thick, [])).toEqual(['hot']);
    const broken = { ...cluster, vms: [vm('a', 'hot', Number.NaN)] };
    expect(judged(broken, [])).toEqual(['hot']);
    expect(judged({ ...cluster, vms: [vm('a', 'hot', 8, 64)] }, [])).toEqual([]);
  });
});

describe('why no packing exists', () => {
  it.each<readonly [string, Packing, string | null]>([
    ['there is one', cluster, null],
    [
      'too much in all',
      { hosts: [host('x'), host('y')], vms: [1, 2, 3].map((n) => vm(`v${n}`, 'x', 6)) },
      'the VMs want 112.5 % of the CPU',
    ],
    [
      'too much memory in all',
      { hosts: [host('x')], vms: [vm('a', 'x', 1, 40), vm('b', 'x', 1, 40)] },
      'the VMs want 125.0 % of the memory',
    ],
    ['a giant', { hosts: [host('x'), host('y')], vms: [vm('a', 'x', 9)] }, 'a wants more CPU than any host has'],
    ['halves', { hosts: [host('x'), host('y')], vms: [1, 2, 3].map((n) => vm(`v${n}`, 'x', 4.5)) }, '3 VMs want more than half of the CPU'],
  ])('%s', (_what, packing, proof) => {
    const said = impossibility(packing);
    expect(proof === null ? said : said?.startsWith(proof)).toBe(proof === null ? null : true);
    expect(easyPlaces(packing) === null).toBe(proof !== null);
  });

  it('what is easily found is a packing', () => {
    const places = easyPlaces(cluster);
    expect(places === null ? null : checkPlaces(cluster, places)).toMatchObject({ faults: [], over: [] });
  });
});
