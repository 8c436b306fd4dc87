/* oxlint-disable typescript/no-non-null-assertion -- every index is within its array by construction; `?? 0` would hide one that is not */
import type { Placement } from './placement.ts';
import type { Step } from './descent.ts';

export interface SequenceOptions {
  readonly movesMax: number;
  readonly mayBe?: (vm: number, host: number) => boolean;
}

/** Of those that could go next, so many are compared. */
const comparedMax = 200;

/**
 * The steps that take VMs from where `placement` has them to where `ends` wants them, such that every VM fits when it arrives: of those that
 * can go, the one that lowers the score most goes first. VMs that wait for each other's room are parted by a third host, which costs a step
 * more. What cannot get there, and what `movesMax` leaves out, stays. The placement is left as the steps make it.
 */
export function sequence(placement: Placement, ends: Int32Array, { movesMax, mayBe = () => true }: SequenceOptions): readonly Step[] {
  const steps: Step[] = [];
  let waiting = Array.from(ends.keys()).filter((vm) => ends[vm] !== placement.hostOf[vm]);
  const go = (vm: number, to: number) => {
    const from = placement.hostOf[vm]!;
    placement.move(vm, to);
    steps.push({ vm, from, to, score: placement.score() });
  };
  while (waiting.length > 0 && steps.length < movesMax) {
    const vm = bestOf(placement, ends, waiting, mayBe);
    if (vm !== null) {
      go(vm, ends[vm]!);
      waiting = waiting.filter((other) => other !== vm);
      continue;
    }
    // Away, the one that waited for it, and on: fewer are of no use.
    const detour = steps.length + 3 <= movesMax ? detourOf(placement, ends, waiting, mayBe) : null;
    if (detour === null) break;
    go(detour.vm, detour.to);
  }
  return steps;
}

function bestOf(
  placement: Placement,
  ends: Int32Array,
  waiting: readonly number[],
  mayBe: (vm: number, host: number) => boolean,
): number | null {
  let [best, bestScore, compared] = [null as number | null, Number.POSITIVE_INFINITY, 0];
  for (const vm of waiting) {
    const to = ends[vm]!;
    if (!placement.fits(vm, to) || !mayBe(vm, to)) continue;
    const score = placement.scoreAfter(vm, to);
    if (score < bestScore) [best, bestScore] = [vm, score];
    compared += 1;
    if (compared >= comparedMax) break;
  }
  return best;
}

/** A VM that goes elsewhere for now, so that one that waits for its room can come. It is not sent away twice: it then waits elsewhere. */
function detourOf(
  placement: Placement,
  ends: Int32Array,
  waiting: readonly number[],
  mayBe: (vm: number, host: number) => boolean,
): { readonly vm: number; readonly to: number } | null {
  const { hosts, homes } = placement.spec;
  const wanted = new Set(waiting.map((vm) => ends[vm]!));
  for (const vm of waiting) {
    if (!wanted.has(placement.hostOf[vm]!) || placement.hostOf[vm] !== homes[vm]) continue;
    let [best, bestScore] = [-1, Number.POSITIVE_INFINITY];
    for (let host = 0; host < hosts; host += 1) {
      if (host === placement.hostOf[vm] || wanted.has(host) || !placement.fits(vm, host) || !mayBe(vm, host)) continue;
      const score = placement.scoreAfter(vm, host);
      if (score < bestScore) [best, bestScore] = [host, score];
    }
    if (best !== -1) return { vm, to: best };
  }
  return null;
}
