/** Small clusters that a solver can settle: how far the planner's number of moves is from the fewest, and whether it leaves what it need not. */
import type { Strategy } from '#core/model/policy.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { applied } from '#core/planner/applied-plan.ts';
import { exampleSnapshot } from '#core/planner/examples.ts';
import { fillLimit, loadOf } from '#core/planner/line.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { seededRandom } from '#core/seeded.ts';
import { median } from './median.ts';
import { type Answer, fewestMoves } from './solver.ts';

const hostCount = 6;
const hostCores = 16;
const startPercent = 80;
const plansMax = 30;
const betweenPlansMs = 60_000;

/** Two hosts of six are over their line; `meanPercent`: of the CPU of all. The fuller, the harder to find room. */
function smallCluster(seed: number, meanPercent: number, strategy: Strategy): Snapshot {
  const random = seededRandom(`small-${meanPercent}-${seed}`);
  const hot = 90 + 20 * random.fraction();
  const rest = (hostCount * meanPercent - 2 * hot) / (hostCount - 2);
  const hosts = Array.from({ length: hostCount }, (_, index) => {
    const shares = Array.from({ length: 8 }, () => 0.2 + random.fraction());
    const total = shares.reduce((sum, share) => sum + share, 0);
    const usedCores = (hostCores * (index < 2 ? hot : rest)) / 100;
    const vms = shares.map((share, number) => ({
      id: `vm-${index}-${number}`,
      cores: (usedCores * share) / total,
      gib: 4 * (1 + Math.floor(random.fraction() * 4)),
    }));
    return { id: `host-${index}`, cores: hostCores, gib: 112, vms };
  });
  // Nothing but lines and room counts here: a VM may move again, and go back.
  const calm = { coolDownMs: 0, coolDownMsMax: 0, returnMsMin: 0, smoothingHalfLifeMs: 0, sustainedRounds: 1 };
  const budgets = { vmMovesPerDay: 0, tenantMovesPerHour: 0, clusterMovesPerHour: 0, gibPerHour: 0 };
  // One line: relief ends where it begins, so that the fewest moves are asked for.
  const cpuLine = { startPercent, stopPercent: startPercent };
  const memoryLine = { startPercent: 100, stopPercent: 100 };
  return exampleSnapshot(hosts, {
    policy: {
      ...calm,
      budgets,
      strategy,
      cpuLine,
      memoryLine,
      minimumGainPercent: 0,
      movesPerPlanMax: 100,
      balance: { shortageMs: 200_000, coreSecondsPerGib: 0 },
    },
  });
}

interface Played {
  readonly moves: number;
  readonly overLine: number;
  readonly overFull: number;
}

/** Plan after plan, each carried out, until there is nothing to plan. */
function play(first: Snapshot): Played {
  let snapshot = first;
  let moves = 0;
  for (let count = 0; count < plansMax; count += 1) {
    const plan = makePlan(snapshot);
    if (plan.moves.length === 0) break;
    moves += plan.moves.length;
    snapshot = applied(snapshot, plan, betweenPlansMs);
  }
  const loads = snapshot.hosts.map((host) => loadOf(host).cpuPercent);
  return {
    moves,
    overLine: loads.filter((cpuPercent) => cpuPercent > startPercent + 1e-6).length,
    overFull: loads.filter((cpuPercent) => cpuPercent > 100 + 1e-6).length,
  };
}

/** No host over the start line; one that is below it is not filled beyond what the planner fills to. */
function optimumOf(snapshot: Snapshot): Answer {
  const fill = fillLimit(snapshot.policy).cpuPercent;
  const limits = new Map(
    snapshot.hosts.map((host) => {
      const { cpuPercent } = loadOf(host);
      return [host.hostId, (hostCores * (cpuPercent > startPercent ? startPercent : Math.max(fill, cpuPercent))) / 100];
    }),
  );
  return fewestMoves({ snapshot, limits });
}

/** Prints it; false when a host is left over 100 % where HiGHS has found a packing below the lines. */
export function measureOptimum(seeds: number): boolean {
  const kept: boolean[] = [];
  for (const meanPercent of [60, 70, 76, 78]) {
    for (const strategy of ['lines', 'balance', 'threshold'] as const) {
      const cases = Array.from({ length: seeds }, (_, seed) => smallCluster(seed + 1, meanPercent, strategy));
      const played = cases.map((snapshot) => ({ ours: play(snapshot), optimum: optimumOf(snapshot) }));
      kept.push(printCase(`${meanPercent} % CPU`, strategy, played));
    }
  }
  return kept.every(Boolean);
}

function printCase(load: string, strategy: string, played: readonly { readonly ours: Played; readonly optimum: Answer }[]): boolean {
  const possible = played.flatMap(({ ours, optimum }) => (optimum.kind === 'possible' ? [{ ours, optimum }] : []));
  const solved = possible.filter(({ ours }) => ours.overLine === 0);
  const left = possible.filter(({ ours }) => ours.overFull > 0).length;
  const impossible = played.filter(({ optimum }) => optimum.kind === 'impossible').length;
  const open = played.filter(({ optimum }) => optimum.kind === 'open').length;
  const gaps = solved.map(({ ours, optimum }) => ours.moves - optimum.movesMin);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const [moves, fewest] = [sum(solved.map(({ ours }) => ours.moves)), sum(solved.map(({ optimum }) => optimum.movesMin))];
  console.log(
    [
      `${load} by ${strategy}`.padEnd(22),
      `HiGHS: possible in ${possible.length} of ${played.length}${impossible > 0 ? `, proven impossible in ${impossible}` : ''}${open > 0 ? `, open in ${open}` : ''}`,
      `all below the line in ${solved.length} of ${possible.length}`,
      `over 100 % left in ${left}`,
      `moves ${moves}, fewest ${fewest}: ${(moves / fewest).toFixed(2)} times, gap at most ${Math.max(0, ...gaps)}, median ${gaps.length === 0 ? 0 : median(gaps)}`,
    ].join('; '),
  );
  return left === 0;
}
