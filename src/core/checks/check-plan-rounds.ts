/** The part of the linter that looks at the rounds of a plan: that what a round does at one time is possible and allowed, whatever ends first. */
import type { Move } from '#core/model/plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { percentages, shift, talliesOf, wantedPercent } from './check-plan-tally.ts';
import type { Violation } from './violation.ts';

export type RoundViolationCode = 'round-wrong' | 'round-too-wide' | 'round-overfull' | 'help-unfounded';

type Found = Violation<RoundViolationCode>;

const tolerance = 1e-6;

/** Moves that are made for the sake of another one, which needs no line of their own. */
export function helpers(moves: readonly Move[]): ReadonlySet<Move> {
  return new Set(moves.filter((move) => isFounded(move, moves)));
}

/** Room is made for a later move to its source; or it takes the place of an earlier one, and that one its own. */
function isFounded(move: Move, moves: readonly Move[]): boolean {
  if (move.forVmId === undefined) return false;
  const at = moves.indexOf(move);
  const makesRoom = moves.some((other, index) => index > at && other.vmId === move.forVmId && other.toHostId === move.fromHostId);
  const swaps = moves.some(
    (other, index) => index < at && other.vmId === move.forVmId && other.toHostId === move.fromHostId && other.fromHostId === move.toHostId,
  );
  return makesRoom || swaps;
}

/** `overflows`: of the moves, those that may fill their target above its line, up to what it has. */
export function checkRounds(snapshot: Snapshot, moves: readonly Move[], overflows: ReadonlySet<Move>): readonly Found[] {
  const rounds = moves.map(({ round }) => round ?? 0);
  const isWhole = rounds.every((round) => Number.isInteger(round) && round >= 1);
  const [first] = moves;
  if (first !== undefined && !isWhole) return [found('round-wrong', 'its moves do not all have a round from 1 on', first)];
  const named = [...new Set(rounds)].toSorted((a, b) => a - b);
  const inOrder = named.map((round) => moves.filter((move) => move.round === round));
  return [
    ...moves.filter((move) => move.forVmId !== undefined && !isFounded(move, moves)).map(unfounded),
    ...inOrder.flatMap((round) => checkLimits(snapshot, round)),
    ...checkTransit(snapshot, inOrder, overflows),
  ];
}

function unfounded(move: Move): Found {
  return found('help-unfounded', `${move.vmName} is moved for ${move.forVmId}, which has nothing of it`, move);
}

function found(code: RoundViolationCode, message: string, move: Move): Found {
  return { code, message, hostId: move.toHostId, vmId: move.vmId };
}

function checkLimits({ policy }: Snapshot, round: readonly Move[]): readonly Found[] {
  const [first] = round;
  if (first === undefined) return [];
  const all: Found[] = [];
  if (round.length > policy.migrationsPerClusterMax) all.push(found('round-too-wide', `${round.length} moves in one round`, first));
  for (const move of round) {
    for (const hostId of [move.fromHostId, move.toHostId]) {
      const own = round.filter(({ fromHostId, toHostId }) => fromHostId === hostId || toHostId === hostId);
      if (own.length > policy.migrationsPerHostMax)
        all.push(found('round-too-wide', `${hostId} has ${own.length} moves in one round`, move));
      const gives = own.some(({ fromHostId }) => fromHostId === hostId);
      const takes = own.some(({ toHostId }) => toHostId === hostId);
      if (gives && takes) all.push(found('round-wrong', `${hostId} gives and takes in one round`, move));
    }
  }
  return all;
}

/** Round after round; in each all VMs have arrived and none has left yet: so much there may be at most. */
function checkTransit(snapshot: Snapshot, rounds: readonly (readonly Move[])[], overflows: ReadonlySet<Move>): readonly Found[] {
  const overflowing = new Set([...overflows].map(({ toHostId }) => toHostId));
  const { tallies, vms } = talliesOf(snapshot);
  const { cpuLine, memoryLine } = snapshot.policy;
  const all: Found[] = [];
  for (const round of rounds) {
    for (const move of round) {
      const [target, vm] = [tallies.get(move.toHostId), vms.get(move.vmId)];
      if (target !== undefined && vm !== undefined) shift(undefined, target, vm);
    }
    for (const move of round) {
      const target = tallies.get(move.toHostId);
      if (target === undefined) continue;
      const { cpu, memory } = percentages(target);
      const hasMemory = Math.max(target.usedBytes, target.promisedBytes) <= target.host.capacity.memoryBytes;
      const isWithin = overflowing.has(move.toHostId) ? wantedPercent(target) <= 100 + tolerance : cpu <= cpuLine.startPercent + tolerance;
      const isBelow = isWithin && memory <= memoryLine.startPercent + tolerance;
      if (!hasMemory || !isBelow)
        all.push(found('round-overfull', `${move.toHostId} would be at ${cpu} % CPU and ${memory} % memory`, move));
    }
    for (const move of round) {
      const [source, vm] = [tallies.get(move.fromHostId), vms.get(move.vmId)];
      if (source !== undefined && vm !== undefined) shift(source, undefined, vm);
    }
  }
  return all;
}
