/** Plans for a cluster of hbal by hbal's own score. */
import { improve } from '#core/placement/improve.ts';
import type { PlacementSpec } from '#core/placement/placement.ts';
import { seededRandom } from '#core/seeded.ts';
import type { HbalCluster, HbalUse } from './hbal-cluster.ts';
import { hbalOfPlacement, placementSpecOfHbal } from './hbal-placement.ts';

export interface HbalStep {
  readonly instance: string;
  readonly from: string;
  readonly to: string;
  /** After it. */
  readonly score: number;
}

export interface HbalPlan {
  readonly scoreBefore: number;
  readonly scoreAfter: number;
  readonly steps: readonly HbalStep[];
  /** As the steps leave it. */
  readonly cluster: HbalCluster;
}

export interface HbalPlanOptions {
  /** Exactly as many as help are made, up to this; null: as long as each is worth it. */
  readonly movesMax: number | null;
  /** Changes tried for each instance once the steps are found, to make better use of them; 0 for none, null for what is quick. */
  readonly effort: number | null;
}

/**
 * Without a limit, a step that lowers the score by less than this share of what it was at first, divided by the square root of the hosts, is
 * not worth its migration: about where hbal comes to rest, in small clusters and in large ones.
 */
const gainShareMin = 0.0022;
const leastGain = 1e-9;
/** More hosts are more to choose from; in a very large cluster all tries together are bounded. */
const quickEffortPerHost = 0.85;
const quickEffortMax = 100;
const quickTriesMax = 500_000;
/** Where few steps are wanted there is less to try. */
const quickTriesPerMove = 3000;

/** Scores and rooms are those of hbal 3.0, see `placementSpecOfHbal`. The same input gives the same plan. */
export function planHbal(cluster: HbalCluster, uses: readonly HbalUse[], { movesMax, effort }: HbalPlanOptions): HbalPlan {
  const spec = placementSpecOfHbal(cluster, uses);
  const found = improve(spec, {
    movesMax: movesMax ?? Number.POSITIVE_INFINITY,
    gainMin: movesMax === null ? gainShareMin / Math.sqrt(Math.max(1, spec.hosts)) : leastGain,
    effort: effort ?? quickEffort(spec, movesMax),
    spend: movesMax !== null,
    random: seededRandom('hbal'),
  });
  const steps = found.steps.map(({ vm, from, to, score }) => ({
    instance: cluster.instances[vm]?.name ?? '',
    from: cluster.nodes[from]?.name ?? '',
    to: cluster.nodes[to]?.name ?? '',
    score,
  }));
  return { scoreBefore: found.scoreBefore, scoreAfter: found.scoreAfter, steps, cluster: hbalOfPlacement(cluster, found.placement) };
}

function quickEffort({ hosts, vms }: PlacementSpec, movesMax: number | null): number {
  const triesMax = Math.min(quickTriesMax, movesMax === null ? Infinity : movesMax * quickTriesPerMove);
  return Math.min(quickEffortMax, Math.ceil(quickEffortPerHost * hosts), Math.floor(triesMax / Math.max(1, vms)));
}
