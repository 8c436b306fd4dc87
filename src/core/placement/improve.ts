import type { Random } from '#core/ports.ts';
import { descend, type Step } from './descent.ts';
import { Placement, type PlacementSpec } from './placement.ts';
import { refine } from './refine.ts';
import { sequence } from './sequence.ts';

export interface ImproveOptions {
  /** No more steps than this. */
  readonly movesMax: number;
  /** The search does not add a step that lowers the score by less than this share of what it is at first. */
  readonly gainMin: number;
  /** Changes tried for each VM after the descent, 0 for none: more effort finds better ends for the same number of steps. */
  readonly effort: number;
  /**
   * Whether to use all of `movesMax`, where the descent comes to rest before it. Without it there are never more steps than the descent
   * makes.
   */
  readonly spend: boolean;
  readonly random: Pick<Random, 'fraction'>;
  /** What rules say of a VM on a host, besides room. */
  readonly mayBe?: (vm: number, host: number) => boolean;
}

export interface Improvement {
  readonly scoreBefore: number;
  readonly scoreAfter: number;
  readonly steps: readonly Step[];
  /** As the steps leave it. */
  readonly placement: Placement;
}

/**
 * Steps to a lower score, each possible when its turn comes. A descent finds good ends fast; a search from there finds better ones for the
 * same number of VMs; then they are put in order. The descent's own steps where that found nothing better. The same input gives the same steps.
 */
export function improve(spec: PlacementSpec, options: ImproveOptions): Improvement {
  const { movesMax, effort, spend, random, mayBe } = options;
  const rules = mayBe === undefined ? {} : { mayBe };
  const descended = new Placement(spec);
  const scoreBefore = descended.score();
  const steps = descend(descended, { movesMax, gainMin: options.gainMin * scoreBefore, ...rules });
  const plain: Improvement = { scoreBefore, scoreAfter: descended.score(), steps, placement: descended };
  const stepsMax = spend ? movesMax : steps.length;
  if (effort === 0 || stepsMax === 0) return plain;

  const refined = new Placement(spec);
  for (const { vm, to } of steps) refined.move(vm, to);
  refine(refined, { movedMax: Math.min(stepsMax, spec.vms), tries: effort * spec.vms, random, ...rules });
  const ordered = new Placement(spec);
  const others = sequence(ordered, refined.hostOf, { movesMax: stepsMax, ...rules });
  const scoreAfter = ordered.score();
  return scoreAfter < plain.scoreAfter ? { scoreBefore, scoreAfter, steps: others, placement: ordered } : plain;
}
