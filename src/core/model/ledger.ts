import type { HostId } from './host.ts';
import type { RefusalCode } from './result.ts';
import type { VmId } from './vm.ts';

/** Why a VM moved: the planner's own wish, or a person's. Cool-downs count both. */
export type MoveCause = 'balance' | 'operator';

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
}
