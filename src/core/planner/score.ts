import type { Policy } from '#core/model/policy.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import { pressurePointsOf } from './pressure.ts';

/**
 * Sums over hosts from which every term is computed, so that a move costs two hosts and not all of them; and the two terms that no host has
 * by itself, which are counted by where the VMs are (see `PlacementTally`).
 */
export interface Totals extends PlacementCounts {
  readonly hosts: number;
  readonly overStartPoints: number;
  readonly overStopPoints: number;
  readonly cpuSum: number;
  readonly cpuSquares: number;
  readonly memorySum: number;
  readonly memorySquares: number;
  readonly networkMisplacedPercent: number;
  readonly diskMisplacedPercent: number;
  readonly pressurePoints: number;
}

export interface PlacementCounts {
  readonly brokenRules: number;
  readonly headroomShortPercent: number;
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

/** What a move has to gain in: the resources that have lines. The others choose between moves that do, and hold none up by being large. */
export const gainTerms: readonly ScoreTerm[] = [
  ...lineTerms,
  { name: 'spread of CPU', weight: 1, of: (totals) => deviation(totals.hosts, totals.cpuSum, totals.cpuSquares) },
  { name: 'spread of memory', weight: 0.5, of: (totals) => deviation(totals.hosts, totals.memorySum, totals.memorySquares) },
];

/**
 * The score of a cluster: weight x term, summed; lower is better, 0 is a cluster of equally loaded hosts below their stop lines, with no rule
 * broken. Points are percentage points of a host's capacity. What they are of elsewhere, and why the weights are what they are:
 *
 * - Network and disk have no capacity that could be known (bonds, virtual cards, storage behind a network), so their spread is the share of
 *   all traffic that would have to be elsewhere for each host to have as much (`traffic.ts`): 0 to 100 whatever the rates, and as a move
 *   takes along what it takes, what it leaves can be told. Modest, because lines of CPU and memory are why anything moves.
 * - Pressure is counted above what is usual on a busy host, and predicted with the use of its resource (`pressure.ts`).
 * - A broken rule weighs more than any load that one move can shift, so that mending it always lowers the score. Which move relieves a host
 *   is not chosen by it: the rules close what would break one, and mending has moves of its own.
 * - Headroom counts what would find no room if a host were lost, in percent of the memory of a mean host.
 */
export const scoreTable: readonly ScoreTerm[] = [
  ...gainTerms,
  { name: 'spread of network', weight: 0.2, of: (totals) => totals.networkMisplacedPercent },
  { name: 'spread of disk', weight: 0.2, of: (totals) => totals.diskMisplacedPercent },
  { name: 'pressure', weight: 0.2, of: (totals) => totals.pressurePoints },
  { name: 'rule violations', weight: 200, of: (totals) => totals.brokenRules },
  { name: 'headroom lacking', weight: 1, of: (totals) => totals.headroomShortPercent },
];

export function scoreOf(totals: Totals, terms: readonly ScoreTerm[] = scoreTable): number {
  let score = 0;
  for (const term of terms) score += term.weight * term.of(totals);
  return score;
}

/** What of a host its part of the score is made of. */
type ScoredHost = Pick<
  ClusterHost,
  'capacity' | 'cpuUsedCores' | 'memoryUsedBytes' | 'networkAbovePercent' | 'diskAbovePercent' | 'pressure'
>;

/** What one host adds to the totals. */
export function partOf(host: ScoredHost, policy: Policy): Totals {
  return partAt(host, policy, host.cpuUsedCores, host.memoryUsedBytes, host.networkAbovePercent, host.diskAbovePercent);
}

/** The same of a target with a VM on it: the arithmetic of `withVm`, without building the host. */
export function partWith(host: ScoredHost, vm: ClusterVm, policy: Policy): Totals {
  return partAt(
    host,
    policy,
    host.cpuUsedCores + vm.cpuUsedCores,
    host.memoryUsedBytes + vm.memoryBytes,
    host.networkAbovePercent === null ? null : host.networkAbovePercent + vm.networkPercent,
    host.diskAbovePercent === null ? null : host.diskAbovePercent + vm.diskPercent,
  );
}

/** Plain arguments, because this is asked for each candidate. */
function partAt(
  { capacity, pressure }: ScoredHost,
  { cpuLine, memoryLine }: Policy,
  cpuUsedCores: number,
  memoryUsedBytes: number,
  networkAbovePercent: number | null,
  diskAbovePercent: number | null,
): Totals {
  const cpuPercent = (cpuUsedCores / capacity.cpuCores) * 100;
  const memoryPercent = (memoryUsedBytes / capacity.memoryBytes) * 100;
  return {
    hosts: 1,
    overStartPoints: Math.max(0, cpuPercent - cpuLine.startPercent) + Math.max(0, memoryPercent - memoryLine.startPercent),
    overStopPoints: Math.max(0, cpuPercent - cpuLine.stopPercent) + Math.max(0, memoryPercent - memoryLine.stopPercent),
    cpuSum: cpuPercent,
    cpuSquares: cpuPercent * cpuPercent,
    memorySum: memoryPercent,
    memorySquares: memoryPercent * memoryPercent,
    // What is too much on one host is too little on others: counted once.
    networkMisplacedPercent: Math.abs(networkAbovePercent ?? 0) / 2,
    diskMisplacedPercent: Math.abs(diskAbovePercent ?? 0) / 2,
    pressurePoints: pressurePointsOf(pressure, cpuUsedCores, memoryUsedBytes, diskAbovePercent ?? 0),
    brokenRules: 0,
    headroomShortPercent: 0,
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
    networkMisplacedPercent: a.networkMisplacedPercent + sign * b.networkMisplacedPercent,
    diskMisplacedPercent: a.diskMisplacedPercent + sign * b.diskMisplacedPercent,
    pressurePoints: a.pressurePoints + sign * b.pressurePoints,
    brokenRules: a.brokenRules + sign * b.brokenRules,
    headroomShortPercent: a.headroomShortPercent + sign * b.headroomShortPercent,
  };
}

/** `totals` where a host that was the one part is the other one now: in one go, because this is asked for each candidate. */
export function exchanged(totals: Totals, was: Totals, is: Totals): Totals {
  return {
    hosts: totals.hosts - was.hosts + is.hosts,
    overStartPoints: totals.overStartPoints - was.overStartPoints + is.overStartPoints,
    overStopPoints: totals.overStopPoints - was.overStopPoints + is.overStopPoints,
    cpuSum: totals.cpuSum - was.cpuSum + is.cpuSum,
    cpuSquares: totals.cpuSquares - was.cpuSquares + is.cpuSquares,
    memorySum: totals.memorySum - was.memorySum + is.memorySum,
    memorySquares: totals.memorySquares - was.memorySquares + is.memorySquares,
    networkMisplacedPercent: totals.networkMisplacedPercent - was.networkMisplacedPercent + is.networkMisplacedPercent,
    diskMisplacedPercent: totals.diskMisplacedPercent - was.diskMisplacedPercent + is.diskMisplacedPercent,
    pressurePoints: totals.pressurePoints - was.pressurePoints + is.pressurePoints,
    brokenRules: totals.brokenRules - was.brokenRules + is.brokenRules,
    headroomShortPercent: totals.headroomShortPercent - was.headroomShortPercent + is.headroomShortPercent,
  };
}

export const noCounts: PlacementCounts = { brokenRules: 0, headroomShortPercent: 0 };

export const noHosts: Totals = {
  hosts: 0,
  overStartPoints: 0,
  overStopPoints: 0,
  cpuSum: 0,
  cpuSquares: 0,
  memorySum: 0,
  memorySquares: 0,
  networkMisplacedPercent: 0,
  diskMisplacedPercent: 0,
  pressurePoints: 0,
  ...noCounts,
};

export function totalsOf(hosts: readonly ClusterHost[], policy: Policy, counts: PlacementCounts = noCounts): Totals {
  return new RunningTotals(hosts, policy, counts).total;
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

  constructor(hosts: readonly ClusterHost[], policy: Policy, counts: PlacementCounts = noCounts) {
    this.#policy = policy;
    this.#parts = hosts.map((host) => partOf(host, policy));
    this.#groupSize = Math.max(1, Math.ceil(Math.sqrt(hosts.length)));
    this.#groups = Array.from({ length: Math.ceil(hosts.length / this.#groupSize) }, (_, group) => this.#sumOfGroup(group));
    this.#total = { ...sumOf(this.#groups), ...counts };
  }

  get total(): Totals {
    return this.#total;
  }

  /** `position`: of the host in the list that this was made from. */
  change(position: number, host: ClusterHost): void {
    this.#parts[position] = partOf(host, this.#policy);
    const group = Math.floor(position / this.#groupSize);
    this.#groups[group] = this.#sumOfGroup(group);
    const { brokenRules, headroomShortPercent } = this.#total;
    this.#total = { ...sumOf(this.#groups), brokenRules, headroomShortPercent };
  }

  /** What is counted by where the VMs are. */
  count({ brokenRules, headroomShortPercent }: PlacementCounts): void {
    this.#total = { ...this.#total, brokenRules, headroomShortPercent };
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
