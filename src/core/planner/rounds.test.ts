import { array, assert, integer, nat, property, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Move } from '#core/model/plan.ts';
import { withRounds } from './rounds.ts';

const change = { hostId: '', cpuBeforePercent: 0, cpuAfterPercent: 0, memoryBeforePercent: 0, memoryAfterPercent: 0 };

function moveOf(vmId: string, fromHostId: string, toHostId: string): Move {
  const facts = { scoreBefore: 1, scoreAfter: 0, source: change, destination: change };
  return { vmId, vmName: vmId, fromHostId, toHostId, reason: 'told so', ...facts };
}

const roundsOf = (moves: readonly Move[], perHost = 1, perCluster = 4) =>
  withRounds(moves, { migrationsPerHostMax: perHost, migrationsPerClusterMax: perCluster }).map(({ round }) => round);

describe('the rounds of a plan', () => {
  it('what has nothing to do with each other goes at the same time', () => {
    expect(roundsOf([moveOf('a', 'one', 'two'), moveOf('b', 'three', 'four')])).toEqual([1, 1]);
  });

  it('a host takes part in as many moves of a round as it may, and so does the cluster', () => {
    const moves = [moveOf('a', 'one', 'two'), moveOf('b', 'one', 'three'), moveOf('c', 'four', 'five')];
    expect(roundsOf(moves)).toEqual([1, 2, 1]);
    expect(roundsOf(moves, 2)).toEqual([1, 1, 1]);
    expect(roundsOf(moves, 2, 2)).toEqual([1, 1, 2]);
  });

  it('what needs the room that an earlier move makes comes after it, at either end', () => {
    expect(roundsOf([moveOf('a', 'two', 'three'), moveOf('b', 'one', 'two')], 9)).toEqual([1, 2]);
    expect(roundsOf([moveOf('a', 'one', 'two'), moveOf('b', 'two', 'three')], 9)).toEqual([1, 2]);
  });

  it('for any moves: the limits hold in each round, no host gives and takes in one, and what depends on another comes later', () => {
    const some = array(tuple(nat(5), nat(5)), { maxLength: 20 });
    assert(
      property(some, integer({ min: 1, max: 3 }), integer({ min: 1, max: 4 }), (pairs, perHost, perCluster) => {
        const given = pairs.filter(([from, to]) => from !== to).map(([from, to], index) => moveOf(`vm-${index}`, `${from}`, `${to}`));
        const moves = withRounds(given, { migrationsPerHostMax: perHost, migrationsPerClusterMax: perCluster });
        for (const round of Map.groupBy(moves, (move) => move.round).values()) {
          expect(round.length).toBeLessThanOrEqual(perCluster);
          const givers = new Set(round.map(({ fromHostId }) => fromHostId));
          for (const { toHostId } of round) expect(givers.has(toHostId)).toBe(false);
          for (const hostId of new Set(round.flatMap(({ fromHostId, toHostId }) => [fromHostId, toHostId])))
            expect(round.filter(({ fromHostId, toHostId }) => fromHostId === hostId || toHostId === hostId).length).toBeLessThanOrEqual(
              perHost,
            );
        }
        for (const [index, move] of moves.entries()) {
          for (const earlier of moves.slice(0, index))
            if (earlier.toHostId === move.fromHostId || earlier.fromHostId === move.toHostId)
              expect(move.round).toBeGreaterThan(earlier.round ?? Number.NaN);
        }
      }),
    );
  });
});
