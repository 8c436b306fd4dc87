import type { HostId } from './host.ts';
import type { VmId } from './vm.ts';

/** Load of one host before and after a move, in percent of capacity. */
export interface LoadChange {
  readonly hostId: HostId;
  readonly cpuBeforePercent: number;
  readonly cpuAfterPercent: number;
  readonly memoryBeforePercent: number;
  readonly memoryAfterPercent: number;
}

/** What a move is predicted to cost, and to save; null where it is not known. */
export interface MoveCost {
  /** In the hypervisor's stream. */
  readonly bytes: number;
  /** `activity`: by how the VM uses its memory. `memory`: all that it may use, sent once. */
  readonly bytesBy: 'activity' | 'memory';
  readonly durationMs: number | null;
  readonly downtimeMs: number | null;
  /** The class that it was judged by. */
  readonly slaClass: string;
  /** What it must save and what it saves, in core-seconds of shortage; null where it was not chosen for that. */
  readonly priceCoreSeconds: number | null;
  readonly savedCoreSeconds: number | null;
}

/** VMs that affinity rules keep on one host, and that a plan moves there together: the rules are broken from its first such move to its last. */
export interface Together {
  /** By name. */
  readonly rules: readonly string[];
  /** Those that the plan moves, this one among them, in the order of their moves, which follow one another. */
  readonly vmIds: readonly VmId[];
}

/** One VM from A to B with its reason and predicted effect. */
export interface Move {
  readonly vmId: VmId;
  readonly vmName: string;
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
  /** One sentence an operator can check against the figures beside it. */
  readonly reason: string;
  readonly scoreBefore: number;
  readonly scoreAfter: number;
  readonly source: LoadChange;
  readonly destination: LoadChange;
  /** Not there in plans that were made before it was predicted. */
  readonly cost?: MoveCost;
  /** It is made for the sake of this VM, which the plan moves as well: room is made for it, or it changes places with it. */
  readonly forVmId?: VmId;
  /** Not there where the VM moves for itself. */
  readonly together?: Together;
  /** From 1 on. Moves of one round may be made at the same time; not there in plans that were made before there were rounds. */
  readonly round?: number;
  /** The best of what was not chosen; not there where nothing else was looked at, or in earlier plans. */
  readonly alternatives?: readonly Alternative[];
  /** How well it is known what both hosts will do, see `withConfidence`; null where nothing is forecast, not there in earlier plans. */
  readonly confidencePercent?: number | null;
}

/** A move that was not chosen, and what was against it. `less-good`: nothing but that the chosen one was better. */
export interface Alternative {
  readonly vmId: VmId;
  readonly vmName: string;
  readonly toHostId: HostId;
  readonly scoreAfter: number;
  readonly code: SkipCode | 'less-good';
  readonly reason: string;
}

export type SkipCode =
  | 'cool-down'
  | 'in-flight'
  | 'not-running'
  | 'no-target-cpu'
  | 'no-target-memory'
  | 'no-target-fresh'
  | 'gain-too-small'
  | 'stale-sample'
  | 'quarantined'
  | 'not-sustained'
  | 'only-vm'
  | 'limit-reached'
  | 'rule-pin'
  | 'rule-affinity'
  | 'rule-anti-affinity'
  | 'rule-ignore'
  | 'rule-window'
  | 'cordoned'
  | 'refused'
  | 'rejected'
  | 'unfit'
  | 'headroom'
  | 'returned'
  | 'class-never'
  | 'class-approve-only'
  | 'downtime-limit'
  | 'copy-too-long'
  | 'budget-vm'
  | 'budget-tenant'
  | 'budget-cluster'
  | 'budget-bytes'
  | 'not-pulled';

/** What was looked at and left alone, with the reason. `vmId` is null when the whole host was left alone. */
export interface Skip {
  readonly hostId: HostId;
  readonly vmId: VmId | null;
  readonly vmName: string | null;
  readonly code: SkipCode;
  readonly reason: string;
}

/**
 * `moves`: the plan has moves. `balanced`: no host is over its line, no VM is placed against a rule. `no-beneficial-move`: a host is
 * over the line, or a VM is placed against a rule, but no move would help enough. `frozen`: what would have to be known is stale.
 */
export type Verdict = 'moves' | 'balanced' | 'no-beneficial-move' | 'frozen';

/** What the planner itself decides; ids, times and approval are the controller's. */
export interface PlanDraft {
  readonly verdict: Verdict;
  readonly summary: string;
  readonly scoreBefore: number;
  readonly scoreAfter: number;
  /** Ordered: each move is judged on the cluster as the moves before it leave it. */
  readonly moves: readonly Move[];
  readonly skipped: readonly Skip[];
}

/** What a move was planned for. None of it: for something that only its plan's strategy knows. */
export interface MoveAim {
  readonly cpu: boolean;
  readonly memory: boolean;
  readonly rule: boolean;
}

/** One term of the score of the whole cluster, unweighted: before the first move of a plan, and after each. */
export interface TermCourse {
  readonly name: string;
  readonly weight: number;
  readonly values: readonly number[];
}

/** What is kept with a plan so that it can be explained, and judged again before each move. */
export interface PlanAccount {
  readonly terms: readonly TermCourse[];
  /** One for each move. */
  readonly aims: readonly MoveAim[];
}

export interface Plan extends PlanDraft {
  readonly planId: string;
  /** The plan before this one; null for the first. */
  readonly parentPlanId: string | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** A plan of before there was one has none. */
  readonly account?: PlanAccount;
}
