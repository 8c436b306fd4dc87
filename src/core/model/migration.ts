import type { ChannelKind, ChannelReading, Proof, TuningRecord } from './channel.ts';
import type { HostId } from './host.ts';
import type { MoveCause } from './ledger.ts';
import type { Refusal } from './result.ts';
import type { VmId, VmState } from './vm.ts';

export type Phase = 'asked' | 'checked' | 'secured' | 'copying' | 'resolving' | 'verifying' | 'done' | 'failed';

/** Progress of the hypervisor's job. Null where the hypervisor does not say. */
export interface Progress {
  readonly elapsedMs: number;
  readonly memoryTotalBytes: number;
  readonly memoryRemainingBytes: number;
  readonly memorySentBytes: number;
  readonly bandwidthBytesPerSecond: number | null;
  readonly dirtyPagesPerSecond: number | null;
  readonly pageSizeBytes: number | null;
  readonly iteration: number | null;
  readonly expectedDowntimeMs: number | null;
}

/** What the source's hypervisor said of a finished job. */
export interface JobOutcome {
  readonly totalMs: number;
  readonly downtimeMs: number | null;
  readonly memorySentBytes: number;
  readonly iterations: number | null;
}

/** What one host knows of the VM, asked when the source's word alone is not enough. */
export type VmTruth =
  | { readonly kind: 'absent' }
  | { readonly kind: 'present'; readonly state: VmState; readonly jobActive: boolean }
  | { readonly kind: 'unreachable' };

export interface MigrationRequest {
  readonly migrationId: string;
  readonly vmId: VmId;
  readonly vmName: string;
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
  readonly cause: MoveCause;
  /** Who asked: an operator's name, or `planner`. */
  readonly askedBy: string;
  /** Who agreed to it: of a plan in mode `approve`, or of a break-glass grant. Null when nobody had to. */
  readonly approvedBy: string | null;
  readonly channelKind: ChannelKind;
  /** The break-glass grant that lets a channel of kind `none` be used. */
  readonly grantId: string | null;
  readonly planId: string | null;
  readonly vmEpoch: number;
  readonly askedAtMs: number;
}

/** How sure the controller is of where the VM is. */
export interface Resolution {
  readonly sinceMs: number;
  /** The newest verdict, and how often in a row both hosts' answers gave it. */
  readonly verdict: string;
  readonly confirmations: number;
  /** What to report if the VM turns out to have stayed on its source. */
  readonly cause: Refusal | null;
}

/** The durable record of a migration. */
export interface Migration {
  readonly request: MigrationRequest;
  readonly phase: Phase;
  readonly phaseSinceMs: number;
  readonly proof: Proof | null;
  readonly progress: Progress | null;
  /** The least memory that was ever left to send, and when: what shows a stall. */
  readonly leastRemaining: { readonly bytes: number; readonly atMs: number } | null;
  readonly outcome: JobOutcome | null;
  readonly tuning: TuningRecord | null;
  /** The source's end of the channel as the transfer began and as it ended. */
  readonly channelBefore: ChannelReading | null;
  readonly channelAfter: ChannelReading | null;
  readonly failure: Refusal | null;
  /** Only while the truth is being established from both hosts. */
  readonly resolution: Resolution | null;
  readonly abortAsked: boolean;
  readonly endedAtMs: number | null;
}
