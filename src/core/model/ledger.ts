import type { HostId } from './host.ts';
import type { RefusalCode } from './result.ts';
import type { VmId } from './vm.ts';

/**
 * Why a VM moved: the planner's own wish, or a person's, who asked for this one, for its host to be emptied, or for it to be brought back.
 * Cool-downs count them all, and hold up the planner's own only.
 */
export const moveCauses = ['balance', 'operator', 'drain', 'restore'] as const;
export type MoveCause = (typeof moveCauses)[number];

/** One move ever made (or tried) and its outcome: the one source for cool-downs, on every path. */
export interface LedgerEntry {
  readonly migrationId: string;
  readonly vmId: VmId;
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
  readonly cause: MoveCause;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** `moved`: runs on the destination. `stayed`: failed, runs on the source. `unclear`: a person must look. */
  readonly outcome: 'moved' | 'stayed' | 'unclear';
  readonly failureCode: RefusalCode | null;
  /** Sent in the hypervisor's stream, also by a try that failed; null where nobody could tell, and in entries of before. */
  readonly sentBytes: number | null;
}
