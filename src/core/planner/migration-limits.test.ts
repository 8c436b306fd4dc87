import { describe, expect, it } from 'vitest';
import { startableMoves } from './migration-limits.ts';

function step(vmId: string, fromHostId: string, toHostId: string) {
  return { vmId, fromHostId, toHostId };
}

const moves = [step('1', 'a', 'b'), step('2', 'a', 'c'), step('3', 'd', 'e'), step('4', 'f', 'g')];
const limits = { migrationsPerHostMax: 1, migrationsPerClusterMax: 4 };

function ids(...args: Parameters<typeof startableMoves>): string {
  return startableMoves(...args)
    .map((move) => move.vmId)
    .join(' ');
}

describe('moves that may start now', () => {
  it('are those whose hosts are free, in the order of the plan', () => {
    expect(ids(moves, [], limits)).toBe('1 3 4');
    expect(ids(moves, [], { ...limits, migrationsPerHostMax: 2 })).toBe('1 2 3 4');
  });

  it('share the limits with what is under way', () => {
    expect(ids(moves, [step('x', 'z', 'e')], limits)).toBe('1 4');
    expect(ids(moves, [step('x', 'y', 'z')], { ...limits, migrationsPerClusterMax: 2 })).toBe('1');
    expect(ids(moves, [step('1', 'p', 'q')], limits)).toBe('2 3 4');
    expect(ids(moves, [], { ...limits, migrationsPerClusterMax: 0 })).toBe('');
  });
});
