/** What can happen to a migration, what is to be done next, and the limits that this is decided by. */
import type { ChannelReading, Proof, TuningRecord } from '#core/model/channel.ts';
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Measures } from '#core/model/measures.ts';
import type { Decision } from '#core/model/method.ts';
import type { JobOutcome, Migration, Progress, VmTruth } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';
import type { Correction } from './truth.ts';

export type MigrationEvent =
  | { readonly kind: 'checked' }
  /** `proof` is null only for a channel that is not IPsec. */
  | { readonly kind: 'secured'; readonly proof: Proof | null; readonly tuning: TuningRecord | null }
  | { readonly kind: 'chosen'; readonly plan: TransferPlan; readonly decisions: readonly Decision[] }
  | { readonly kind: 'transfer-started'; readonly reading: ChannelReading }
  /**
   * `awaitsPeer`: the source waits for the destination's end of a sealed image, nothing is copied meanwhile. `decisions`: all that the
   * autopilot has decided so far.
   */
  | {
      readonly kind: 'transfer-running';
      readonly progress: Progress | null;
      readonly awaitsPeer?: boolean;
      readonly decisions: readonly Decision[];
    }
  /** `reading`: the source's end of the channel when the transfer ended; null when it could not be read. */
  | {
      readonly kind: 'transfer-completed';
      readonly outcome: JobOutcome;
      readonly reading: ChannelReading | null;
      readonly decisions: readonly Decision[];
    }
  | {
      readonly kind: 'transfer-failed';
      readonly refusal: Refusal;
      readonly reading: ChannelReading | null;
      readonly decisions: readonly Decision[];
    }
  /** Nobody can say how the transfer stands: its agent restarted, or the answer was lost. */
  | { readonly kind: 'transfer-lost'; readonly refusal: Refusal }
  | { readonly kind: 'abort-sent' }
  /** `isRestartable`: the VM is started again by itself when it runs nowhere. */
  | { readonly kind: 'truth'; readonly source: VmTruth; readonly destination: VmTruth; readonly isRestartable: boolean }
  | { readonly kind: 'corrected' }
  /** The source has taken a post-copy that failed up again: it wants to be watched as after its start. */
  | { readonly kind: 'recovered' }
  /** `refusal`: why the storage lock of the VM, which runs on its source, was not taken again; null when it was. */
  | { readonly kind: 'relocked'; readonly refusal: Refusal | null }
  | { readonly kind: 'verified'; readonly reading: ChannelReading | null; readonly measures: Measures | null }
  /** A step before the transfer was refused; no byte of the VM was sent. */
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export type EventOf<Kind extends MigrationEvent['kind']> = Extract<MigrationEvent, { readonly kind: Kind }>;

export type MigrationEffect =
  | { readonly kind: 'check' }
  | { readonly kind: 'secure' }
  /** Measures what is not known yet, and chooses how the transfer is made. */
  | { readonly kind: 'choose' }
  | { readonly kind: 'start-transfer' }
  | { readonly kind: 'watch-transfer' }
  | { readonly kind: 'abort-transfer' }
  | { readonly kind: 'ask-truth'; readonly delayMs: number }
  | { readonly kind: Correction }
  /** Takes the storage locks of the VM on its source again. */
  | { readonly kind: 'relock-source' }
  | { readonly kind: 'verify' }
  | { readonly kind: 'finish' };

export interface Step {
  readonly migration: Migration;
  readonly effect: MigrationEffect;
}

export interface StepLimits {
  /** Without new progress for this long the transfer is aborted. */
  readonly noProgressMsMax: number;
  /** How long the truth may stay out of reach before a person is asked. */
  readonly truthWaitMsMax: number;
  /** A VM that the hypervisor keeps halted for its last round this long, with nobody at its side, is brought back. */
  readonly switchOverMsMax: number;
  /** A transfer whose agent has died may go on by itself for this long, and two halves of a VM may wait this long for each other. */
  readonly unattendedMsMax: number;
}
