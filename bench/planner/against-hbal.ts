/** Ganeti's hbal and Plimsoll on the same clusters, by hbal's own score, which hbal itself gives to both results. */
import { type HbalPlan, planHbal } from '#core/exchange/hbal-plan.ts';
import { cpuSecondsOfCommand, type HbalRun, runHbal, scoreByHbal } from './hbal.ts';
import { type HotCluster, hotCluster } from './hot-cluster.ts';
import { median } from './median.ts';

const vmsPerHost = 10;
/** Of the same planning, once the code is warm as it is in a controller. */
const repetitions = 15;
const thoroughEffort = 20_000;

export interface Pair {
  readonly seed: number;
  readonly hbal: HbalRun;
  readonly quick: Measured;
  /** Of the quick search as a command of its own, cold. */
  readonly commandCpuSeconds: number;
  /** With as many moves as hbal, and with twice as many; null where hbal was stopped before its end. */
  readonly same: Measured;
  readonly twice: Measured;
}

export interface Measured {
  readonly moves: number;
  /** By hbal. */
  readonly score: number;
  readonly cpuSeconds: number;
}

/** `hbalMovesMax`: hbal is stopped there, and so is Plimsoll. */
export function compare(hosts: number, seed: number, hbalMovesMax: number | null): Pair {
  const given = hotCluster(hosts, vmsPerHost, seed);
  const hbal = runHbal(given.cluster, given.uses, hbalMovesMax);
  const own = planHbal(given.cluster, given.uses, { movesMax: 1, effort: 0 }).scoreBefore;
  // hbal prints eight digits.
  if (Math.abs(own - hbal.scoreBefore) > 1e-8) throw new Error(`hbal's score is ${hbal.scoreBefore}, here it comes out as ${own}`);
  return {
    seed,
    hbal,
    quick: measured(given, { movesMax: hbalMovesMax, effort: null }, repetitions),
    commandCpuSeconds: cpuSecondsOfCommand(given.cluster, given.uses),
    same: measured(given, { movesMax: hbal.moves, effort: thoroughEffort }, 1),
    twice: measured(given, { movesMax: 2 * hbal.moves, effort: thoroughEffort }, 1),
  };
}

function measured({ cluster, uses }: HotCluster, options: Parameters<typeof planHbal>[2], times: number): Measured {
  const seconds: number[] = [];
  let plan: HbalPlan | null = null;
  for (let count = 0; count < times; count += 1) {
    const before = process.cpuUsage();
    plan = planHbal(cluster, uses, options);
    const { user, system } = process.cpuUsage(before);
    seconds.push((user + system) / 1e6);
  }
  if (plan === null) throw new RangeError('nothing was measured');
  const score = scoreByHbal(plan.cluster, uses);
  if (Math.abs(score - plan.scoreAfter) > 1e-7) throw new Error(`hbal scores the result ${score}, Plimsoll said ${plan.scoreAfter}`);
  return { moves: plan.steps.length, score, cpuSeconds: median(seconds) };
}

export function printPairs(hosts: number, pairs: readonly Pair[], hbalMovesMax: number | null): boolean {
  const of = (value: (pair: Pair) => number) => median(pairs.map(value));
  const quick = {
    cpu: of(({ hbal, quick: own }) => hbal.cpuSeconds / own.cpuSeconds),
    score: of(({ hbal, quick: own }) => own.score / hbal.scoreAfter),
    moves: of(({ hbal, quick: own }) => own.moves / hbal.moves),
  };
  const command = of(({ hbal, commandCpuSeconds }) => hbal.cpuSeconds / commandCpuSeconds);
  const [same, twice] = [
    of(({ hbal, same: own }) => own.score / hbal.scoreAfter),
    of(({ hbal, twice: own }) => own.score / hbal.scoreAfter),
  ];
  const isWhole = hbalMovesMax === null;
  console.log(`\n${hosts} hosts, ${hosts * vmsPerHost} VMs${isWhole ? '' : `, the first ${hbalMovesMax} moves`}; scores are hbal's own`);
  console.log(
    '  seed   hbal: moves  score     CPU s     quick: moves  score     CPU s     same moves: score  CPU s   twice: score   CPU s',
  );
  for (const { seed, hbal, quick: q, same: s, twice: t } of pairs) {
    const cells = [
      String(seed).padStart(6),
      String(hbal.moves).padStart(13),
      hbal.scoreAfter.toFixed(5),
      hbal.cpuSeconds.toFixed(2).padStart(8),
      String(q.moves).padStart(16),
      q.score.toFixed(5),
      q.cpuSeconds.toFixed(5),
      s.score.toFixed(5).padStart(19),
      s.cpuSeconds.toFixed(2).padStart(6),
      t.score.toFixed(5).padStart(14),
      t.cpuSeconds.toFixed(2).padStart(6),
    ];
    console.log(cells.join('  '));
  }
  console.log(
    `  CPU of hbal / quick                    ${quick.cpu.toFixed(0)} x      (at least 1000 once the code is warm, with score and moves at most 1)`,
  );
  if (isWhole)
    console.log(`  the same, plimsoll plan as a command   ${command.toFixed(0)} x      (no limit: Node.js starts, and its code is cold)`);
  console.log(`  score and moves of quick / hbal        ${quick.score.toFixed(2)}, ${quick.moves.toFixed(2)}`);
  if (isWhole) console.log(`  score with the same moves / hbal       ${same.toFixed(2)}         (at most 0.60)`);
  if (isWhole) console.log(`  score with twice the moves / hbal      ${twice.toFixed(2)}         (at most 0.40)`);
  return quick.cpu >= 1000 && quick.score <= 1 && quick.moves <= 1 && (!isWhole || (same <= 0.6 && twice <= 0.4));
}
