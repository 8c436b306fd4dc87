import type { HostId } from '#core/model/host.ts';
import type { Move } from '#core/model/plan.ts';
import type { Policy } from '#core/model/policy.ts';

/** What each host does in the moves so far. */
interface Part {
  lastGives: number;
  lastTakes: number;
  readonly perRound: Map<number, number>;
}

/**
 * The moves with their rounds, each as early as it may be: not before the limits on migrations at one time leave room for it, and after each
 * earlier move that makes its room, which is one from the host it goes to, or one to the host it comes from. So in a round a host gives or
 * takes, never both, and in whatever order its moves end, no host is fuller on the way than in the end.
 */
export function withRounds(
  moves: readonly Move[],
  { migrationsPerHostMax, migrationsPerClusterMax }: Pick<Policy, 'migrationsPerHostMax' | 'migrationsPerClusterMax'>,
): readonly Move[] {
  const parts = new Map<HostId, Part>();
  const sizes = new Map<number, number>();
  const partOf = (hostId: HostId): Part => {
    const part = parts.get(hostId) ?? { lastGives: 0, lastTakes: 0, perRound: new Map<number, number>() };
    parts.set(hostId, part);
    return part;
  };
  return moves.map((move) => {
    const [from, to] = [partOf(move.fromHostId), partOf(move.toHostId)];
    let round = 1 + Math.max(from.lastTakes, to.lastGives);
    const isFull = (part: Part) => (part.perRound.get(round) ?? 0) >= migrationsPerHostMax;
    while (isFull(from) || isFull(to) || (sizes.get(round) ?? 0) >= migrationsPerClusterMax) round += 1;
    for (const part of [from, to]) part.perRound.set(round, (part.perRound.get(round) ?? 0) + 1);
    from.lastGives = Math.max(from.lastGives, round);
    to.lastTakes = Math.max(to.lastTakes, round);
    sizes.set(round, (sizes.get(round) ?? 0) + 1);
    return { ...move, round };
  });
}

/** The moves that come before this one because they make its room. */
export function movesBefore(move: Move, moves: readonly Move[]): readonly Move[] {
  const { round = 1, fromHostId, toHostId } = move;
  return moves.filter((other) => (other.round ?? 1) < round && (other.fromHostId === toHostId || other.toHostId === fromHostId));
}
