/**
 * One migration as a pure state machine. It executes nothing: `step` takes what happened and returns the new
 * record and the one effect to perform next. The executor makes the record durable before it performs the
 * effect, so after a crash `recover` knows what may have been begun.
 *
 *   asked --check--> checked --secure--> secured --start-transfer--> copying <--watch-transfer--+
 *     |                 |                   |                           |  \____________________|
 *     | refused         | refused           | refused                   | completed, failed or lost
 *     v                 v                   v                           v
 *   failed <------------------------------------- on source ----- resolving --ask-truth--> (truth.ts)
 *                                                                       | on destination
 *                                                                       v
 *                                                 done <--verified-- verifying
 */
import type { ChannelReading, Proof, TuningRecord } from '#core/model/channel.ts';
import type { JobOutcome, Migration, MigrationRequest, Phase, Progress, VmTruth } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';
import { type Correction, judgeTruth, type TruthVerdict } from './truth.ts';

export type MigrationEvent =
  | { readonly kind: 'checked' }
  /** `proof` is null only for a channel that is not IPsec. */
  | { readonly kind: 'secured'; readonly proof: Proof | null; readonly tuning: TuningRecord | null }
  | { readonly kind: 'transfer-started'; readonly reading: ChannelReading }
  /** `awaitsPeer`: the source waits for the destination's end of a sealed image, nothing is copied meanwhile. */
  | { readonly kind: 'transfer-running'; readonly progress: Progress | null; readonly awaitsPeer?: boolean }
  /** `reading`: the source's end of the channel when the transfer ended; null when it could not be read. */
  | { readonly kind: 'transfer-completed'; readonly outcome: JobOutcome; readonly reading: ChannelReading | null }
  | { readonly kind: 'transfer-failed'; readonly refusal: Refusal; readonly reading: ChannelReading | null }
  /** Nobody can say how the transfer stands: its agent restarted, or the answer was lost. */
  | { readonly kind: 'transfer-lost'; readonly refusal: Refusal }
  | { readonly kind: 'abort-sent' }
  | { readonly kind: 'truth'; readonly source: VmTruth; readonly destination: VmTruth }
  | { readonly kind: 'corrected' }
  | { readonly kind: 'verified'; readonly reading: ChannelReading | null }
  /** A step before the transfer was refused; no byte of the VM was sent. */
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export type MigrationEffect =
  | { readonly kind: 'check' }
  | { readonly kind: 'secure' }
  | { readonly kind: 'start-transfer' }
  | { readonly kind: 'watch-transfer' }
  | { readonly kind: 'abort-transfer' }
  | { readonly kind: 'ask-truth'; readonly delayMs: number }
  | { readonly kind: Correction }
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
}

const truthIntervalMs = 1000;
/** The same answer from both hosts this often in a row before anything is destroyed, resumed or given up. */
const confirmationsNeeded = 2;
const confirmationsBeforeAlarm = 5;

export function begin(request: MigrationRequest): Step {
  const migration: Migration = {
    request,
    phase: 'asked',
    phaseSinceMs: request.askedAtMs,
    proof: null,
    progress: null,
    leastRemaining: null,
    outcome: null,
    tuning: null,
    channelBefore: null,
    channelAfter: null,
    failure: null,
    resolution: null,
    abortAsked: false,
    endedAtMs: null,
  };
  return { migration, effect: { kind: 'check' } };
}

/** Where to go on after the controller died with this record as the last durable one. */
export function recover(migration: Migration, nowMs: number): Step {
  switch (migration.phase) {
    case 'asked':
    case 'checked':
      return fail(
        migration,
        { code: 'controller-restarted', message: 'the controller restarted before any byte was sent: ask again' },
        nowMs,
      );
    case 'secured':
      return resolve(
        migration,
        { code: 'controller-restarted', message: 'the controller restarted as the transfer was about to begin' },
        nowMs,
      );
    case 'copying':
      return { migration, effect: { kind: 'watch-transfer' } };
    case 'resolving':
      return { migration, effect: { kind: 'ask-truth', delayMs: 0 } };
    case 'verifying':
      return { migration, effect: { kind: 'verify' } };
    case 'done':
    case 'failed':
      return { migration, effect: { kind: 'finish' } };
    default:
      return migration.phase satisfies never;
  }
}

/** Notes that somebody wants it stopped; the machine acts on it at the next event. */
export function askAbort(migration: Migration): Migration {
  return { ...migration, abortAsked: true };
}

export function step(migration: Migration, event: MigrationEvent, nowMs: number, limits: StepLimits): Step {
  switch (event.kind) {
    case 'refused':
      return fail(migration, event.refusal, nowMs);
    case 'checked':
      return unlessAborted(migration, nowMs, () => ({ migration: enter(migration, 'checked', nowMs), effect: { kind: 'secure' } }));
    case 'secured':
      return unlessAborted(migration, nowMs, () => secured(migration, event, nowMs));
    case 'transfer-started':
      return {
        migration: { ...enter(migration, 'copying', nowMs), channelBefore: event.reading },
        effect: { kind: 'watch-transfer' },
      };
    case 'transfer-running':
      return watch(migration, event, nowMs, limits);
    case 'abort-sent':
      return migration.phase === 'resolving' ? askAgain(migration) : { migration, effect: { kind: 'watch-transfer' } };
    case 'transfer-completed':
      return resolve({ ...withReading(migration, event.reading), outcome: event.outcome }, null, nowMs);
    case 'transfer-failed':
      return resolve(withReading(migration, event.reading), event.refusal, nowMs);
    case 'transfer-lost':
      return resolve(migration, event.refusal, nowMs);
    case 'truth':
      if (isSendingImage(migration, event.source)) return watchAgain(migration, nowMs);
      return decide(migration, judgeTruth(event.source, event.destination), nowMs, limits, isMoving(event.source));
    case 'corrected':
      return resolve(migration, migration.resolution?.cause ?? null, nowMs);
    case 'verified':
      return {
        migration: {
          ...enter(withReading(migration, event.reading), 'done', nowMs),
          failure: null,
          resolution: null,
          endedAtMs: nowMs,
        },
        effect: { kind: 'finish' },
      };
    default:
      return event satisfies never;
  }
}

/** No proof, no bytes: whoever performs the effect cannot pass this by. */
function secured(migration: Migration, event: Extract<MigrationEvent, { kind: 'secured' }>, nowMs: number): Step {
  if (event.proof === null && migration.request.channelKind === 'ipsec') {
    return fail(migration, { code: 'proof-missing', message: 'the IPsec channel was not proven: nothing was sent' }, nowMs);
  }
  const { proof, tuning } = event;
  return { migration: { ...enter(migration, 'secured', nowMs), proof, tuning }, effect: { kind: 'start-transfer' } };
}

/**
 * The reading nearest to the transfer's end stands: the one that ended it, made before the channel is taken down. A later one
 * counts only where there is none yet.
 */
function withReading(migration: Migration, reading: ChannelReading | null): Migration {
  return reading === null || (migration.channelAfter?.sa ?? null) !== null ? migration : { ...migration, channelAfter: reading };
}

function watch(
  migration: Migration,
  event: Extract<MigrationEvent, { kind: 'transfer-running' }>,
  nowMs: number,
  limits: StepLimits,
): Step {
  const { progress } = event;
  const least = migration.leastRemaining;
  const remaining = progress?.memoryRemainingBytes ?? null;
  const better = least === null || (remaining !== null && remaining < least.bytes);
  const waited = least !== null && event.awaitsPeer === true ? { ...least, atMs: nowMs } : least;
  const leastRemaining = better || waited === null ? { bytes: remaining ?? Number.MAX_SAFE_INTEGER, atMs: nowMs } : waited;
  const watched: Migration = { ...migration, progress: progress ?? migration.progress, leastRemaining };
  if (watched.abortAsked) return { migration: watched, effect: { kind: 'abort-transfer' } };
  if (nowMs - leastRemaining.atMs > limits.noProgressMsMax) {
    const cause: Refusal = {
      code: 'migration-stalled',
      message: `no progress for ${Math.round(limits.noProgressMsMax / 1000)} s: the VM writes faster than the channel carries`,
    };
    const stalled: Migration = { ...askAbort(watched), resolution: { sinceMs: nowMs, verdict: 'stalled', confirmations: 0, cause } };
    return { migration: stalled, effect: { kind: 'abort-transfer' } };
  }
  return { migration: watched, effect: { kind: 'watch-transfer' } };
}

function resolve(migration: Migration, cause: Refusal | null, nowMs: number): Step {
  const kept = migration.resolution?.cause ?? null;
  const resolution = { sinceMs: migration.resolution?.sinceMs ?? nowMs, verdict: 'asking', confirmations: 0, cause: kept ?? cause };
  return { migration: { ...enter(migration, 'resolving', nowMs), resolution }, effect: { kind: 'ask-truth', delayMs: 0 } };
}

function decide(migration: Migration, verdict: TruthVerdict, nowMs: number, limits: StepLimits, sourceMoving: boolean): Step {
  const counted = countVerdict(migration, verdict, nowMs);
  const confirmations = counted.resolution?.confirmations ?? 0;
  switch (verdict.kind) {
    case 'on-destination':
      return { migration: enter(counted, 'verifying', nowMs), effect: { kind: 'verify' } };
    case 'wait':
      return waitForTruth(counted, verdict.why, nowMs, limits, sourceMoving);
    case 'on-source':
      if (confirmations < confirmationsNeeded) return askAgain(counted);
      return fail(counted, noted(stayedBecause(counted), verdict.note), nowMs);
    case 'resume-source':
    case 'destroy-source-copy':
    case 'destroy-destination-copy':
    case 'discard-destination-image':
    case 'take-image-back':
    case 'forget-source-image':
      if (confirmations < confirmationsNeeded) return askAgain(counted);
      // Twice as long as the mere wait: what is found at its very end is still put right.
      if (waitedMs(counted, nowMs) > 2 * limits.truthWaitMsMax) return fail(counted, leftAsItIs(verdict.kind), nowMs);
      return { migration: counted, effect: { kind: verdict.kind } };
    case 'unclear':
      if (confirmations < confirmationsBeforeAlarm) return askAgain(counted);
      return fail(counted, verdict.refusal, nowMs);
    default:
      return verdict satisfies never;
  }
}

function waitForTruth(migration: Migration, why: string, nowMs: number, limits: StepLimits, sourceMoving: boolean): Step {
  if (sourceMoving) {
    // The transfer may take as long as it needs: the wait for the truth begins when it is over.
    const moving = { ...migration, resolution: migration.resolution && { ...migration.resolution, sinceMs: nowMs } };
    return migration.abortAsked ? { migration: moving, effect: { kind: 'abort-transfer' } } : askAgain(moving);
  }
  if (waitedMs(migration, nowMs) > limits.truthWaitMsMax) {
    return fail(
      migration,
      { code: 'truth-unknown', message: `where the VM runs could not be established: ${why}; look on both hosts` },
      nowMs,
    );
  }
  return askAgain(migration);
}

function waitedMs({ resolution }: Migration, nowMs: number): number {
  return resolution === null ? 0 : nowMs - resolution.sinceMs;
}

/** What the hosts refuse to put right again and again is a person's. */
function leftAsItIs(correction: string): Refusal {
  return {
    code: 'truth-unknown',
    message: `the hosts do not carry out '${correction}', where the VM runs is not settled; look on both hosts`,
  };
}

function countVerdict(migration: Migration, verdict: TruthVerdict, nowMs: number): Migration {
  const before = migration.resolution;
  const confirmations = before?.verdict === verdict.kind ? before.confirmations + 1 : 1;
  return {
    ...migration,
    resolution: { sinceMs: before?.sinceMs ?? nowMs, verdict: verdict.kind, confirmations, cause: before?.cause ?? null },
  };
}

function stayedBecause(migration: Migration): Refusal {
  const cause = migration.resolution?.cause ?? null;
  if (migration.abortAsked && cause?.code !== 'migration-stalled') {
    return { code: 'aborted', message: 'aborted on request; the VM runs on its source' };
  }
  if (cause !== null && isUnclear(cause.code))
    return { code: 'migration-failed', message: `${cause.message}; since then: the VM runs on its source` };
  return cause ?? { code: 'migration-failed', message: 'the hypervisor called it complete, but the VM still runs on its source' };
}

function noted({ code, message }: Refusal, note: string | null): Refusal {
  return { code, message: note === null ? message : `${message}; ${note}` };
}

function isMoving(truth: VmTruth): boolean {
  return truth.kind === 'present' ? truth.jobActive : truth.kind === 'image' && truth.standing === 'moving';
}

/** A source that sends a sealed image asks the destination's end through whoever watches it; unwatched it would give up. */
function isSendingImage({ abortAsked }: Migration, source: VmTruth): boolean {
  return !abortAsked && source.kind === 'image' && source.standing === 'moving';
}

function watchAgain(migration: Migration, nowMs: number): Step {
  return { migration: { ...enter(migration, 'copying', nowMs), resolution: null }, effect: { kind: 'watch-transfer' } };
}

function askAgain(migration: Migration): Step {
  return { migration, effect: { kind: 'ask-truth', delayMs: truthIntervalMs } };
}

function unlessAborted(migration: Migration, nowMs: number, next: () => Step): Step {
  if (!migration.abortAsked) return next();
  return fail(migration, { code: 'aborted', message: 'aborted on request before any byte was sent' }, nowMs);
}

function fail(migration: Migration, failure: Refusal, nowMs: number): Step {
  return { migration: { ...enter(migration, 'failed', nowMs), failure, endedAtMs: nowMs }, effect: { kind: 'finish' } };
}

function enter(migration: Migration, phase: Phase, nowMs: number): Migration {
  return phase === migration.phase ? migration : { ...migration, phase, phaseSinceMs: nowMs };
}

/** What the ledger says of a migration that has ended. */
export function outcomeOf(migration: Migration): 'moved' | 'stayed' | 'unclear' {
  if (migration.phase === 'done') return 'moved';
  return migration.failure !== null && isUnclear(migration.failure.code) ? 'unclear' : 'stayed';
}

function isUnclear(code: Refusal['code']): boolean {
  return code === 'two-copies' || code === 'zero-copies' || code === 'truth-unknown';
}
