import type { Policy } from '#core/model/policy.ts';
import { loadOf } from './line.ts';
import type { Load } from './line.ts';
import type { ClusterHost } from './cluster.ts';

/** Sums over hosts from which every term is computed, so that a move costs two hosts and not all of them. */
export interface Totals {
  readonly hosts: number;
  readonly overStartPoints: number;
  readonly overStopPoints: number;
  readonly cpuSum: number;
  readonly cpuSquares: number;
  readonly memorySum: number;
  readonly memorySquares: number;
}

export interface ScoreTerm {
  readonly name: string;
  readonly weight: number;
  readonly of: (totals: Totals) => number;
}

/** What the lines say: the part of the score that justifies a move. */
export const lineTerms: readonly ScoreTerm[] = [
  { name: 'points over the start line', weight: 4, of: (totals) => totals.overStartPoints },
  { name: 'points over the stop line', weight: 1, of: (totals) => totals.overStopPoints },
];

/**
 * The score of a cluster: weight x term, summed; lower is better, 0 is a cluster of equally loaded hosts
 * below their stop lines. Points are percentage points of a host's capacity.
 */
export const scoreTable: readonly ScoreTerm[] = [
  ...lineTerms,
  { name: 'spread of CPU', weight: 1, of: (totals) => deviation(totals.hosts, totals.cpuSum, totals.cpuSquares) },
  { name: 'spread of memory', weight: 0.5, of: (totals) => deviation(totals.hosts, totals.memorySum, totals.memorySquares) },
];

export function scoreOf(totals: Totals, terms: readonly ScoreTerm[] = scoreTable): number {
  let score = 0;
  for (const term of terms) score += term.weight * term.of(totals);
  return score;
}

/** What one host adds to the totals. */
export function partOf(load: Load, policy: Policy): Totals {
  const { cpuPercent, memoryPercent } = load;
  return {
    hosts: 1,
    overStartPoints: Math.max(0, cpuPercent - policy.cpuLine.startPercent) + Math.max(0, memoryPercent - policy.memoryLine.startPercent),
    overStopPoints: Math.max(0, cpuPercent - policy.cpuLine.stopPercent) + Math.max(0, memoryPercent - policy.memoryLine.stopPercent),
    cpuSum: cpuPercent,
    cpuSquares: cpuPercent * cpuPercent,
    memorySum: memoryPercent,
    memorySquares: memoryPercent * memoryPercent,
  };
}

/** `a + sign * b`, term by term. */
export function addTotals(a: Totals, b: Totals, sign: 1 | -1 = 1): Totals {
  return {
    hosts: a.hosts + sign * b.hosts,
    overStartPoints: a.overStartPoints + sign * b.overStartPoints,
    overStopPoints: a.overStopPoints + sign * b.overStopPoints,
    cpuSum: a.cpuSum + sign * b.cpuSum,
    cpuSquares: a.cpuSquares + sign * b.cpuSquares,
    memorySum: a.memorySum + sign * b.memorySum,
    memorySquares: a.memorySquares + sign * b.memorySquares,
  };
}

export const noHosts: Totals = {
  hosts: 0,
  overStartPoints: 0,
  overStopPoints: 0,
  cpuSum: 0,
  cpuSquares: 0,
  memorySum: 0,
  memorySquares: 0,
};

export function totalsOf(hosts: readonly ClusterHost[], policy: Policy): Totals {
  return new RunningTotals(hosts, policy).total;
}

/**
 * The totals of a cluster in which one host after the other changes. Summed in groups of hosts and then over the groups, always anew: a
 * change costs two short sums instead of one over all hosts, and rounding does not pile up over the moves of a long plan.
 */
export class RunningTotals {
  readonly #policy: Policy;
  readonly #parts: Totals[];
  readonly #groups: Totals[];
  readonly #groupSize: number;
  #total: Totals;

  constructor(hosts: readonly ClusterHost[], policy: Policy) {
    this.#policy = policy;
    this.#parts = hosts.map((host) => partOf(loadOf(host), policy));
    this.#groupSize = Math.max(1, Math.ceil(Math.sqrt(hosts.length)));
    this.#groups = Array.from({ length: Math.ceil(hosts.length / this.#groupSize) }, (_, group) => this.#sumOfGroup(group));
    this.#total = sumOf(this.#groups);
  }

  get total(): Totals {
    return this.#total;
  }

  /** `position`: of the host in the list that this was made from. */
  change(position: number, host: ClusterHost): void {
    this.#parts[position] = partOf(loadOf(host), this.#policy);
    const group = Math.floor(position / this.#groupSize);
    this.#groups[group] = this.#sumOfGroup(group);
    this.#total = sumOf(this.#groups);
  }

  #sumOfGroup(group: number): Totals {
    return sumOf(this.#parts.slice(group * this.#groupSize, (group + 1) * this.#groupSize));
  }
}

function sumOf(parts: readonly Totals[]): Totals {
  let totals = noHosts;
  for (const part of parts) totals = addTotals(totals, part);
  return totals;
}

/** Standard deviation from a sum and a sum of squares; rounding may leave a tiny negative variance. */
function deviation(amount: number, sum: number, squares: number): number {
  if (amount === 0) return 0;
  const mean = sum / amount;
  return Math.sqrt(Math.max(0, squares / amount - mean * mean));
}
