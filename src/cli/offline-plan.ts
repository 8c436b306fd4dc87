/** Plans for a cluster in a file, without a controller. What the files mean is imported only when it is asked for. */
import { type Direction, type Policy, type Strategy } from '#core/model/policy.ts';
import type { PlanExplanationResource } from '#wire/plan-api.ts';
import type { OutputForm } from './output.ts';
import { readClusterFile, readHbalInput, writeNew } from './snapshot-files.ts';
import { CliError } from './errors.ts';

export const objectives = ['plimsoll', 'hbal'] as const;
export type Objective = (typeof objectives)[number];

/** As the command line has it. */
export interface OfflineOptions {
  readonly textData: string;
  readonly util?: string;
  readonly saveCluster?: string;
  readonly force: boolean;
  readonly objective: Objective;
  readonly maxMoves?: number;
  readonly effort?: number;
  /** Instead of what the file's policy says. */
  readonly strategy?: Strategy;
  readonly direction?: Direction;
  readonly output: OutputForm;
}

export interface OfflineStep {
  readonly vm: string;
  readonly from: string;
  readonly to: string;
  /** The cluster's score after it. */
  readonly score: number;
  /** Null where the objective has no other reason than its score. */
  readonly reason: string | null;
}

export interface OfflinePlan {
  readonly objective: Objective;
  /** Null where the objective is not the policy's. */
  readonly strategy: Strategy | null;
  readonly direction: Direction | null;
  readonly hosts: number;
  readonly vms: number;
  readonly scoreBefore: number;
  readonly scoreAfter: number;
  /** What the scores are made of, before the first step and after the last one; empty for hbal's. */
  readonly terms: PlanExplanationResource['terms'];
  readonly steps: readonly OfflineStep[];
  /** Of the planning alone, without reading and writing files. */
  readonly cpuSeconds: number;
  /** One sentence; null where there is none but the figures. */
  readonly summary: string | null;
  readonly skipped: readonly { readonly hostId: string; readonly vmName: string | null; readonly code: string; readonly reason: string }[];
  /** Where the cluster after the last step was written to. */
  readonly savedTo: string | null;
  /** What of the file this objective does not know. */
  readonly lost: readonly string[];
}

/** Throws what reading and writing throw, and `usage` for what the objective does not have. */
export async function planOffline(options: OfflineOptions): Promise<OfflinePlan> {
  return options.objective === 'hbal' ? planByHbal(options) : planByPolicy(options);
}

async function planByHbal({ textData, util, saveCluster, force, maxMoves, effort, ...wishes }: OfflineOptions): Promise<OfflinePlan> {
  if (wishes.strategy !== undefined || wishes.direction !== undefined)
    throw new CliError('usage', '--strategy and --direction are of the policy: leave out --objective hbal');
  const { cluster, uses, lost } = await readHbalInput(textData, util ?? null);
  const { planHbal } = await import('#core/exchange/hbal-plan.ts');
  const [plan, cpuSeconds] = timed(() => planHbal(cluster, uses ?? [], { movesMax: maxMoves ?? null, effort: effort ?? null }));
  if (saveCluster !== undefined) {
    const { writeHbalCluster } = await import('#core/exchange/hbal-writer.ts');
    await writeNew(saveCluster, writeHbalCluster(plan.cluster), force);
  }
  return {
    objective: 'hbal',
    strategy: null,
    direction: null,
    hosts: cluster.nodes.length,
    vms: cluster.instances.length,
    scoreBefore: plan.scoreBefore,
    scoreAfter: plan.scoreAfter,
    terms: [],
    steps: plan.steps.map(({ instance, from, to, score }) => ({ vm: instance, from, to, score, reason: null })),
    cpuSeconds,
    summary: null,
    skipped: [],
    savedTo: saveCluster ?? null,
    lost: uses === null ? [...lost, 'no utilisation was given: every instance counts as one whole unit of each load, as for hbal'] : lost,
  };
}

/** One plan of all moves that the policy wants, however many may run at a time. */
async function planByPolicy({ textData, util, saveCluster, maxMoves, strategy, direction }: OfflineOptions): Promise<OfflinePlan> {
  if (saveCluster !== undefined)
    throw new CliError('usage', "--save-cluster writes hbal's format: add --objective hbal, or use 'plimsoll snapshot export'");
  const { snapshot, lost } = await readClusterFile(textData, util ?? null);
  const { makePlan } = await import('#core/planner/make-plan.ts');
  const { termsOfEnds } = await import('#core/planner/account.ts');
  const policy = policyWith(snapshot.policy, strategy, direction);
  const movesPerPlanMax = maxMoves ?? Math.max(1, snapshot.vms.length);
  const wished = { ...snapshot, policy: { ...policy, movesPerPlanMax } };
  const [plan, cpuSeconds] = timed(() => makePlan(wished));
  return {
    objective: 'plimsoll',
    strategy: policy.strategy,
    direction: policy.direction,
    hosts: snapshot.hosts.length,
    vms: snapshot.vms.length,
    scoreBefore: plan.scoreBefore,
    scoreAfter: plan.scoreAfter,
    terms: [...termsOfEnds(wished, plan.moves)],
    steps: plan.moves.map((move) => ({
      vm: move.vmName,
      from: move.fromHostId,
      to: move.toHostId,
      score: move.scoreAfter,
      reason: move.reason,
    })),
    cpuSeconds,
    summary: plan.summary,
    skipped: plan.skipped,
    savedTo: null,
    lost,
  };
}

/** What would be planned if the policy said so. A direction that the file has, and that packing cannot have, is not what was asked for. */
function policyWith(policy: Policy, strategy = policy.strategy, direction?: Direction): Policy {
  if (strategy !== 'pack') return { ...policy, strategy, direction: direction ?? policy.direction };
  if (direction === undefined || direction === 'push') return { ...policy, strategy, direction: 'push' };
  throw new CliError('usage', `--direction ${direction} fills the hosts that the strategy pack empties: leave one of them out`);
}

function timed<Value>(work: () => Value): readonly [value: Value, cpuSeconds: number] {
  const before = process.cpuUsage();
  const value = work();
  const { user, system } = process.cpuUsage(before);
  return [value, (user + system) / 1e6];
}
