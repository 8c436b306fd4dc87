import type { HostId } from './host.ts';
import type { VmId } from './vm.ts';

/** A move that an operator does not want: this VM on this host. */
export interface RejectedMove {
  readonly vmId: VmId;
  readonly vmName: string;
  readonly toHostId: HostId;
}

/** An operator said no. */
export interface Rejection {
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
  /** Those of the plan's moves that had not been started. */
  readonly moves: readonly RejectedMove[];
}

/** A move that was to be started and was not: the newest try. */
export interface HeldMove {
  readonly vmId: VmId;
  /** Stable. */
  readonly code: string;
  readonly reason: string;
  readonly atMs: number;
}

/** What became of a plan, beside the migrations that name it. The plan itself never changes. */
export interface PlanCourse {
  readonly planId: string;
  readonly rejection: Rejection | null;
  /** One for each VM. */
  readonly held: readonly HeldMove[];
}

/** A move of a plan that was started. */
export interface StartedMove {
  readonly planId: string;
  readonly vmId: VmId;
  readonly migrationId: string;
}
