import type { ChannelKind, ChannelReading, Proof, TuningRecord } from './channel.ts';
import type { TransferPlan } from './forecast.ts';
import type { HostId } from './host.ts';
import type { MoveCause } from './ledger.ts';
import type { HostCost, Measures } from './measures.ts';
import type { Decision, MethodWish } from './method.ts';
import type { Refusal } from './result.ts';
import type { PostCopyState, VmId, VmState } from './vm.ts';

export type Phase = 'asked' | 'checked' | 'secured' | 'copying' | 'resolving' | 'verifying' | 'done' | 'failed';

/**
 * Where the VM is while the hypervisor works. `stopped`: halted on its source for the last round. `post-copy`: runs on the
 * destination, parts of its memory are still on the source. `post-copy-failed`: the same with the connection lost: it is halted.
 */
export type TransferStage = 'copying' | 'stopped' | 'post-copy' | 'post-copy-failed';

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
  readonly stage: TransferStage;
  /** Percent of its CPU time that auto-converge takes from the VM. */
  readonly throttlePercent: number | null;
}

/** What the source's hypervisor said of a finished job. */
export interface JobOutcome {
  readonly totalMs: number;
  readonly downtimeMs: number | null;
  readonly memorySentBytes: number;
  readonly iterations: number | null;
  /** What protected the bytes, by a channel that is not IPsec; null where nothing did. Absent for IPsec, whose proof tells it. */
  readonly cipher?: string | null;
  /** What the agent adds: how often it began, and the CPU time that the source spent on it. */
  readonly attempts?: number;
  readonly sourceCost?: HostCost | null;
}

/**
 * What a host has of a VM that is moved as a sealed image. On its source: `moving` its transfer is under way here; `kept` saved and not
 * given away, its agent brings it back by itself; `given` saved, and the destination may have been told to start it. On its
 * destination: `offered`, `opened` it may be told to start it; `restoring` the hypervisor is at it; `begun` an earlier process
 * of its agent told the hypervisor to, and nobody heard how that ended.
 */
export type ImageStanding = 'moving' | 'kept' | 'given' | 'offered' | 'opened' | 'restoring' | 'begun';

/** What one host knows of the VM, asked when the source's word alone is not enough. */
export type VmTruth =
  | { readonly kind: 'absent' }
  | { readonly kind: 'present'; readonly state: VmState; readonly jobActive: boolean; readonly postCopy: PostCopyState | null }
  /** The VM does not run here, but there is an image of it. */
  | { readonly kind: 'image'; readonly standing: ImageStanding }
  | { readonly kind: 'unreachable' }
  /** Silent for longer than its lease, with which it ends the VM, as its agent has confirmed: it does not run here any more. */
  | { readonly kind: 'fenced' }
  /** Revoked: its agent may never answer again, and would not be believed. */
  | { readonly kind: 'excluded' };

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
  /** The break-glass grant that lets a channel be used that is not IPsec. */
  readonly grantId: string | null;
  readonly planId: string | null;
  readonly vmEpoch: number;
  readonly wish: MethodWish;
  readonly askedAtMs: number;
}

/** How sure the controller is of where the VM is. */
export interface Resolution {
  readonly sinceMs: number;
  /** The newest verdict, and how often in a row both hosts' answers gave it. */
  readonly verdict: string;
  readonly confirmations: number;
  /** Since when the hypervisor has been at work meanwhile, and since when with the VM halted on its source; null while it is not. */
  readonly workingSinceMs: number | null;
  readonly haltedSinceMs: number | null;
  /** A VM that was halted for its last round and came back may run without its storage lock: whether it has been taken again, and how often that was tried. */
  readonly relocked: boolean;
  readonly relockTries: number;
  /** How often in a row the destination has said that the copy which it had is gone, without having run; not in older records, as 0. */
  readonly destinationEmptyTimes?: number;
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
  /** What was sent when that last changed: a transfer in which nothing moves any more shows by it. */
  readonly lastMoved: { readonly sentBytes: number; readonly atMs: number } | null;
  readonly outcome: JobOutcome | null;
  /** How the transfer was to be made; null before it was chosen. */
  readonly plan: TransferPlan | null;
  /** What the choice of the method and the autopilot decided, oldest first. */
  readonly decisions: readonly Decision[];
  /** What it cost, as seen from both hosts and from outside; null until it is known. */
  readonly measures: Measures | null;
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
