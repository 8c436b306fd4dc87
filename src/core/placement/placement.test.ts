import { type Arbitrary, assert, constantFrom, integer, property, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '#core/seeded.ts';
import { descend } from './descent.ts';
import { exampleSpec, type SizeOfSpec } from './examples.ts';
import { improve, type ImproveOptions } from './improve.ts';
import { Placement, type PlacementSpec } from './placement.ts';
import { refine } from './refine.ts';
import { sequence } from './sequence.ts';

const runs = { numRuns: 300 };

function specSizes(): Arbitrary<SizeOfSpec> {
  return tuple(integer({ min: 1, max: 9 }), constantFrom(0, 1, 5, 12, 30), integer({ min: 0, max: 1_000_000 })).map(
    ([hosts, vms, seed]) => ({
      hosts,
      vms,
      seed,
    }),
  );
}

/** The score from nothing but the spec and where the VMs are, in two passes over the loads. */
function scoreAnew(spec: PlacementSpec, hostOf: Int32Array): number {
  const { hosts, columns, weights, baseLoads, scales, amounts, counted, perVm } = spec;
  let score = hostOf.reduce((sum, host) => sum + (perVm[host] ?? Number.NaN), 0);
  for (let column = 0; column < columns; column += 1) {
    const loads = Array.from({ length: hosts }, (_, host) => baseLoads[host * columns + column] ?? Number.NaN);
    hostOf.forEach((host, vm) => {
      const amount = (amounts[vm * columns + column] ?? Number.NaN) * (scales[host * columns + column] ?? Number.NaN);
      loads[host] = (loads[host] ?? Number.NaN) + amount;
    });
    const those = loads.filter((_, host) => counted[host] === 1);
    if (those.length === 0) continue;
    const mean = those.reduce((sum, load) => sum + load, 0) / those.length;
    const variance = those.reduce((sum, load) => sum + (load - mean) ** 2, 0) / those.length;
    score += (weights[column] ?? Number.NaN) * Math.sqrt(variance);
  }
  return score;
}

/** Whether each VM has its room where it is. */
function hasRoom(spec: PlacementSpec, hostOf: Int32Array): boolean {
  const rooms = Float64Array.from(spec.rooms);
  hostOf.forEach((host, vm) => {
    for (let limit = 0; limit < spec.limits; limit += 1) {
      rooms[host * spec.limits + limit] = (rooms[host * spec.limits + limit] ?? 0) - (spec.needs[vm * spec.limits + limit] ?? 0);
    }
  });
  return rooms.every((room) => room >= 0);
}

const optionsOf = (seed: number, more: Partial<ImproveOptions> = {}): ImproveOptions => ({
  movesMax: 20,
  gainMin: 1e-6,
  effort: 20,
  spend: false,
  random: seededRandom(`search ${seed}`),
  ...more,
});

describe('a placement', () => {
  it('scores after any moves as it would from nothing, and says beforehand what a move will do', () => {
    const walks = tuple(specSizes(), integer({ min: 0, max: 1_000_000 }));
    assert(
      property(walks, ([size, seed]) => {
        const spec = exampleSpec(size);
        const placement = new Placement(spec);
        const { fraction } = seededRandom(`walk ${seed}`);
        for (let count = 0; count < 30 && spec.vms > 0; count += 1) {
          const [vm, to] = [Math.floor(fraction() * spec.vms), Math.floor(fraction() * spec.hosts)];
          const said = placement.hostOf[vm] === to ? placement.score() : placement.scoreAfter(vm, to);
          placement.move(vm, to);
          expect(placement.score()).toBeCloseTo(said, 6);
        }
        expect(placement.score()).toBeCloseTo(scoreAnew(spec, placement.hostOf), 6);
      }),
      runs,
    );
  });

  it("says of two VMs that they fit in each other's place exactly when they do", () => {
    assert(
      property(specSizes(), (size) => {
        const spec = { ...exampleSpec(size), open: new Uint8Array(size.hosts).fill(1) };
        const placement = new Placement(spec);
        for (let other = 1; other < Math.min(spec.vms, 8); other += 1) {
          if (placement.hostOf[0] === placement.hostOf[other]) continue;
          const swapped = Int32Array.from(placement.hostOf);
          [swapped[0], swapped[other]] = [placement.hostOf[other] ?? 0, placement.hostOf[0] ?? 0];
          expect(placement.fitsSwapped(0, other)).toBe(hasRoom(spec, swapped));
        }
      }),
      runs,
    );
  });
});

describe('steps to a lower score', () => {
  it('each lower it, keep every room, leave closed hosts and fixed VMs alone, and are no more than asked for', () => {
    assert(
      property(specSizes(), (size) => {
        const spec = exampleSpec(size);
        const { steps, placement, scoreBefore, scoreAfter } = improve(spec, optionsOf(size.seed));
        expect(steps.length).toBeLessThanOrEqual(20);
        expect(scoreAfter).toBeLessThanOrEqual(scoreBefore + 1e-9);
        expect(scoreAfter).toBeCloseTo(scoreAnew(spec, placement.hostOf), 6);
        const hostOf = Int32Array.from(spec.homes);
        for (const { vm, from, to, score } of steps) {
          expect([hostOf[vm], spec.movable[vm], spec.open[to]]).toEqual([from, 1, 1]);
          hostOf[vm] = to;
          expect(hasRoom(spec, hostOf)).toBe(true);
          expect(score).toBeCloseTo(scoreAnew(spec, hostOf), 6);
        }
        expect(hostOf).toEqual(placement.hostOf);
      }),
      runs,
    );
  });

  it('keep to rules, also on the way', () => {
    assert(
      property(specSizes(), (size) => {
        const mayBe = (vm: number, host: number) => (vm + host) % 3 !== 0;
        for (const { vm, to } of improve(exampleSpec(size), optionsOf(size.seed, { mayBe, spend: true })).steps)
          expect(mayBe(vm, to)).toBe(true);
      }),
      runs,
    );
  });

  it('are the same for the same input, and leave the input as it was', () => {
    assert(
      property(specSizes(), (size) => {
        const spec = exampleSpec(size);
        const first = improve(spec, optionsOf(1)).steps;
        expect(spec).toEqual(exampleSpec(size));
        expect(improve(spec, optionsOf(1)).steps).toEqual(first);
      }),
      { numRuns: 100 },
    );
  });

  it('are the best of all, one after the other, where few are wanted', () => {
    assert(
      property(specSizes(), (size) => {
        const spec = exampleSpec(size);
        const [step] = descend(new Placement(spec), { movesMax: 1, gainMin: 1e-9 });
        const placement = new Placement(spec);
        const scores = [...spec.movable.keys()]
          .filter((vm) => spec.movable[vm] === 1)
          .flatMap((vm) =>
            [...spec.open.keys()]
              .filter((host) => host !== spec.homes[vm] && placement.fits(vm, host))
              .map((host) => placement.scoreAfter(vm, host)),
          );
        const best = Math.min(placement.score(), ...scores);
        expect(step?.score ?? placement.score()).toBeCloseTo(best, 6);
      }),
      runs,
    );
  });

  it('come to rest: after a descent another one finds nothing', () => {
    assert(
      property(specSizes(), (size) => {
        const placement = new Placement(exampleSpec(size));
        const options = { movesMax: 1000, gainMin: 1e-6 };
        descend(placement, options);
        expect(descend(placement, options)).toEqual([]);
      }),
      runs,
    );
  });

  it('get better, or stay, with more effort for the same number of moves', () => {
    const improvements = Array.from({ length: 20 }, (_, seed) => {
      const spec = exampleSpec({ hosts: 8, vms: 40, seed });
      const scores = [0, 300].map((effort) => improve(spec, optionsOf(seed, { effort })).scoreAfter);
      return (scores[0] ?? 0) - (scores[1] ?? 0);
    });
    expect(Math.min(...improvements)).toBeGreaterThanOrEqual(0);
    expect(improvements.filter((gain) => gain > 0).length).toBeGreaterThan(10);
  });

  it("part two VMs that wait for each other's room by a third host", () => {
    const spec: PlacementSpec = {
      ...exampleSpec({ hosts: 3, vms: 2, seed: 1 }),
      rooms: Float64Array.of(4, 9, 4, 9, 4, 9),
      needs: Float64Array.of(4, 1, 4, 1),
      homes: Int32Array.of(0, 1),
      movable: Uint8Array.of(1, 1),
      open: Uint8Array.of(1, 1, 1),
      counted: Uint8Array.of(1, 1, 1),
      perVm: new Float64Array(3),
    };
    const ends = Int32Array.of(1, 0);
    const placement = new Placement(spec);
    expect(sequence(placement, ends, { movesMax: 3 })).toHaveLength(3);
    expect(placement.hostOf).toEqual(ends);
    expect(sequence(new Placement(spec), ends, { movesMax: 2 })).toEqual([]);
  });
});

describe('a refined placement', () => {
  it('is no worse, has no more VMs moved than allowed, and room for all', () => {
    assert(
      property(specSizes(), integer({ min: 0, max: 6 }), (size, movedMax) => {
        const spec = exampleSpec(size);
        const placement = new Placement(spec);
        const before = placement.score();
        refine(placement, { movedMax, tries: 500, random: seededRandom('refine') });
        expect(placement.score()).toBeLessThanOrEqual(before + 1e-9);
        expect(placement.movedVms).toBeLessThanOrEqual(movedMax);
        expect(hasRoom(spec, placement.hostOf)).toBe(true);
      }),
      runs,
    );
  });
});
