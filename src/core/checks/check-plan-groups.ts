/** The part of the linter that looks at VMs that are moved together: their rules are broken from the first of their moves to the last, and nowhere else. */
import type { Move } from '#core/model/plan.ts';
import type { Rule } from '#core/model/rule.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { breaches, placesOf } from './rule-breaches.ts';
import type { Members } from './rule-breaches.ts';
import type { Violation } from './violation.ts';

export type GroupViolationCode = 'group-torn' | 'group-unfounded' | 'group-broken' | 'group-score';

type Found = Violation<GroupViolationCode>;

/** Moves that are made together, in the order of the plan. */
export type GroupedMoves = readonly Move[];

export interface GroupCheck {
  readonly violations: readonly Found[];
  /** Moves of groups that were apart before, and are not in the end. */
  readonly repairs: readonly Move[];
}

/** Each move that says so, with the moves that it says it is made with. */
export function groupsIn(moves: readonly Move[]): ReadonlyMap<Move, GroupedMoves> {
  const groups = new Map<string, Move[]>();
  for (const move of moves) {
    if (move.together === undefined) continue;
    const key = JSON.stringify([move.together.vmIds.toSorted(), move.together.rules.toSorted()]);
    groups.set(key, [...(groups.get(key) ?? []), move]);
  }
  return new Map([...groups.values()].flatMap((group) => group.map((move) => [move, group] as const)));
}

export function checkGroups(snapshot: Snapshot, moves: readonly Move[], groups: readonly GroupedMoves[], members: Members): GroupCheck {
  const violations: Found[] = [];
  const repairs: Move[] = [];
  for (const group of groups) {
    const [first] = group;
    if (first === undefined) continue;
    const say = (code: GroupViolationCode, message: string) => violations.push({ code, message, hostId: first.toHostId, vmId: first.vmId });
    const names = group.map(({ vmName }) => vmName).join(', ');
    const torn = tornBy(moves, group);
    if (torn !== null) say('group-torn', `${names}: ${torn}`);
    const rules = snapshot.rules.filter(({ kind, name }) => kind === 'affinity' && first.together?.rules.includes(name));
    const strangers = group.filter(({ vmId }) => !rules.some((rule) => members.get(rule)?.has(vmId)));
    for (const { vmName } of strangers) say('group-unfounded', `${vmName} belongs to none of ${first.together?.rules.join(', ')}`);
    const count = (done: number) => breachesAfter(snapshot, moves.slice(0, done), { group, rules, members });
    const [before, after] = [count(moves.indexOf(first)), count(moves.indexOf(group.at(-1) ?? first) + 1)];
    if (after > 0) say('group-broken', `${names}: a rule that keeps them together is broken ${after} times after the last of them`);
    const isRepair = after < before;
    if (isRepair) repairs.push(...group);
    const [start, end] = [first.scoreBefore, group.at(-1)?.scoreAfter ?? Number.NaN];
    if (!isRepair && !(end < start)) say('group-score', `moving ${names} takes the score from ${start} to ${end}`);
  }
  return { violations, repairs };
}

/** Why they are not one group: not all of them, not at one time, not to one host. */
function tornBy(moves: readonly Move[], group: GroupedMoves): string | null {
  const [first] = group;
  const wanted = first?.together?.vmIds ?? [];
  const moved = new Set(group.map(({ vmId }) => vmId));
  if (wanted.length < 2 || moved.size !== wanted.length || wanted.some((vmId) => !moved.has(vmId))) return 'not all of them are moved';
  if (group.some(({ toHostId }) => toHostId !== first?.toHostId)) return 'they go to different hosts';
  const places = group.map((move) => moves.indexOf(move));
  if (places.some((place, index) => place !== (places[0] ?? 0) + index)) return 'other moves are made between theirs';
  const rounds = group.map(({ round }) => round ?? 1);
  const gap = rounds.findIndex((round, index) => index > 0 && ![0, 1].includes(round - (rounds[index - 1] ?? 0)));
  return gap === -1 ? null : 'rounds lie between theirs';
}

interface Judged {
  readonly group: GroupedMoves;
  readonly rules: readonly Rule[];
  readonly members: Members;
}

/** How often its VMs break its rules once these moves are made. */
function breachesAfter(snapshot: Snapshot, made: readonly Move[], { group, rules, members }: Judged): number {
  const places = placesOf(snapshot);
  for (const { vmId, toHostId } of made) places.set(vmId, toHostId);
  return group
    .flatMap(({ vmId }) => rules.filter((rule) => members.get(rule)?.has(vmId)).map((rule) => ({ vmId, rule })))
    .reduce((sum, { vmId, rule }) => sum + breaches(rule, members.get(rule) ?? new Set(), vmId, places, snapshot), 0);
}
