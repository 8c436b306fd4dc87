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
 * earlier move that makes its room, which is one from the host it goes to, or one to the host it comes from. VMs that move together do so in
 * one round, or in rounds that follow one another. So in a round a host gives or
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
  const isFree = ({ fromHostId, toHostId }: Move, round: number) =>
    [fromHostId, toHostId].every((hostId) => (partOf(hostId).perRound.get(round) ?? 0) < migrationsPerHostMax) &&
    (sizes.get(round) ?? 0) < migrationsPerClusterMax;
  const note = ({ fromHostId, toHostId }: Move, round: number, sign: 1 | -1 = 1) => {
    for (const hostId of [fromHostId, toHostId]) {
      const { perRound } = partOf(hostId);
      perRound.set(round, (perRound.get(round) ?? 0) + sign);
    }
    sizes.set(round, (sizes.get(round) ?? 0) + sign);
  };
  const firstRound = ({ fromHostId, toHostId }: Move) => 1 + Math.max(partOf(fromHostId).lastTakes, partOf(toHostId).lastGives);
  /** Each in the round of the one before it, or in the next; null where another move is in the way. */
  const inARow = (group: readonly Move[], from: number): readonly number[] | null => {
    let round = from;
    const taken: number[] = [];
    for (const move of group) {
      if (!isFree(move, round) && taken.length > 0) round += 1;
      if (!isFree(move, round)) break;
      note(move, round);
      taken.push(round);
    }
    // Only tried out: what is taken for good is noted below.
    for (const [index, each] of taken.entries()) {
      const move = group[index];
      if (move !== undefined) note(move, each, -1);
    }
    return taken.length === group.length ? taken : null;
  };
  return groupsOf(moves).flatMap((group) => {
    let start = Math.max(...group.map(firstRound));
    let rounds = inARow(group, start);
    while (rounds === null) {
      start += 1;
      rounds = inARow(group, start);
    }
    return group.map((move, index) => {
      const round = rounds[index] ?? start;
      note(move, round);
      const [from, to] = [partOf(move.fromHostId), partOf(move.toHostId)];
      from.lastGives = Math.max(from.lastGives, round);
      to.lastTakes = Math.max(to.lastTakes, round);
      return { ...move, round };
    });
  });
}

/** Moves that are made together follow one another; any other one is by itself. */
function groupsOf(moves: readonly Move[]): readonly (readonly Move[])[] {
  const groups: Move[][] = [];
  for (const move of moves) {
    const last = groups.at(-1);
    if (last?.[0]?.together?.vmIds.includes(move.vmId) === true) last.push(move);
    else groups.push([move]);
  }
  return groups;
}

/** The moves that come before this one because they make its room. */
export function movesBefore(move: Move, moves: readonly Move[]): readonly Move[] {
  const { round = 1, fromHostId, toHostId } = move;
  return moves.filter((other) => (other.round ?? 1) < round && (other.fromHostId === toHostId || other.toHostId === fromHostId));
}
