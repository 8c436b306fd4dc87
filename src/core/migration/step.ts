/**
 * One migration as a pure state machine. It executes nothing: `step` takes what happened and returns the new
 * record and the one effect to perform next. The executor makes the record durable before it performs the
 * effect, so after a crash `recover` knows what may have been begun.
 *
 *   asked     -> checked     checked: nothing speaks against it; next: secure
 *   asked     -> failed      refused
 *   checked   -> secured     secured: the channel is proven; next: choose how, then start-transfer
 *   checked   -> failed      refused, or the channel was not proven
 *   secured   -> copying     transfer-started; next: watch-transfer, again and again
 *   secured   -> failed      refused
 *   secured   -> resolving   transfer-lost: whether it began is not known
 *   copying   -> resolving   transfer-completed, transfer-failed, transfer-lost: the source's word alone is not believed
 *   resolving -> copying     truth: the source still sends an image, and wants to be watched
 *   resolving -> verifying   truth: on the destination
 *   resolving -> failed      truth: on the source, or a person must look
 *   verifying -> done        verified
 *
 * What both hosts say is judged in truth.ts; each correction is followed by the next question. A test compares these lines with
 * what the code does.
 */
import type { ChannelReading, Proof, TuningRecord } from '#core/model/channel.ts';
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Measures } from '#core/model/measures.ts';
import type { Decision } from '#core/model/method.ts';
import type { JobOutcome, Migration, MigrationRequest, Phase, Progress, Resolution, VmTruth } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';
import { type Correction, judgeTruth, type TruthVerdict } from './truth.ts';

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
  | { readonly kind: 'truth'; readonly source: VmTruth; readonly destination: VmTruth }
  | { readonly kind: 'corrected' }
  | { readonly kind: 'verified'; readonly reading: ChannelReading | null; readonly measures: Measures | null }
  /** A step before the transfer was refused; no byte of the VM was sent. */
  | { readonly kind: 'refused'; readonly refusal: Refusal };

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
  /** A transfer whose agent has died may go on by itself for this long. */
  readonly unattendedMsMax: number;
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
    plan: null,
    decisions: [],
    measures: null,
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
    case 'chosen':
      return unlessAborted(migration, nowMs, () => ({
        migration: { ...migration, plan: event.plan, decisions: event.decisions },
        effect: { kind: 'start-transfer' },
      }));
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
      return resolve({ ...withDecisions(withReading(migration, event.reading), event.decisions), outcome: event.outcome }, null, nowMs);
    case 'transfer-failed':
      return resolve(withDecisions(withReading(migration, event.reading), event.decisions), event.refusal, nowMs);
    case 'transfer-lost':
      return resolve(migration, event.refusal, nowMs);
    case 'truth':
      if (isSendingImage(migration, event.source)) return watchAgain(migration, nowMs);
      return decide(withWork(migration, event.source, nowMs), judgeTruth(event.source, event.destination), nowMs, limits);
    case 'corrected':
      return resolve(migration, migration.resolution?.cause ?? null, nowMs);
    case 'verified':
      return {
        migration: {
          ...enter(withReading(migration, event.reading), 'done', nowMs),
          measures: event.measures,
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
  return { migration: { ...enter(migration, 'secured', nowMs), proof, tuning }, effect: { kind: 'choose' } };
}

/** The autopilot tells all of its decisions each time; those of the choice stand before them. */
function withDecisions(migration: Migration, ofPilot: readonly Decision[]): Migration {
  return { ...migration, decisions: [...migration.decisions.filter(({ by }) => by === 'choice'), ...ofPilot] };
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
  const watched: Migration = { ...withDecisions(migration, event.decisions), progress: progress ?? migration.progress, leastRemaining };
  // Half of its memory is on each host: an abort would lose it.
  if (progress?.stage === 'post-copy' || progress?.stage === 'post-copy-failed')
    return { migration: watched, effect: { kind: 'watch-transfer' } };
  if (watched.abortAsked) return { migration: watched, effect: { kind: 'abort-transfer' } };
  if (nowMs - leastRemaining.atMs > limits.noProgressMsMax) {
    const cause: Refusal = {
      code: 'migration-stalled',
      message: `no progress for ${seconds(limits.noProgressMsMax)} s: the VM writes faster than the channel carries`,
    };
    const stalled: Migration = { ...askAbort(watched), resolution: { ...unresolved(nowMs, cause), verdict: 'stalled' } };
    return { migration: stalled, effect: { kind: 'abort-transfer' } };
  }
  return { migration: watched, effect: { kind: 'watch-transfer' } };
}

function resolve(migration: Migration, cause: Refusal | null, nowMs: number): Step {
  const kept = migration.resolution?.cause ?? null;
  const resolution = { ...(migration.resolution ?? unresolved(nowMs, null)), verdict: 'asking', confirmations: 0, cause: kept ?? cause };
  return { migration: { ...enter(migration, 'resolving', nowMs), resolution }, effect: { kind: 'ask-truth', delayMs: 0 } };
}

function unresolved(nowMs: number, cause: Refusal | null): Resolution {
  return { sinceMs: nowMs, verdict: 'asking', confirmations: 0, workingSinceMs: null, haltedSinceMs: null, cause };
}

/** Notes since when the source's hypervisor is at work, and since when with the VM halted. */
function withWork(migration: Migration, source: VmTruth, nowMs: number): Migration {
  const resolution = migration.resolution ?? unresolved(nowMs, null);
  const works = isMoving(source);
  const isHalted = works && source.kind === 'present' && source.state === 'paused' && source.postCopy === null;
  const workingSinceMs = works ? (resolution.workingSinceMs ?? nowMs) : null;
  const haltedSinceMs = isHalted ? (resolution.haltedSinceMs ?? nowMs) : null;
  return { ...migration, resolution: { ...resolution, workingSinceMs, haltedSinceMs } };
}

function decide(migration: Migration, verdict: TruthVerdict, nowMs: number, limits: StepLimits): Step {
  const counted = countVerdict(migration, verdict, nowMs);
  const confirmations = counted.resolution?.confirmations ?? 0;
  switch (verdict.kind) {
    case 'on-destination':
      return { migration: enter(counted, 'verifying', nowMs), effect: { kind: 'verify' } };
    case 'wait':
      return waitForTruth(counted, verdict.why, nowMs, limits);
    case 'on-source':
      if (confirmations < confirmationsNeeded) return askAgain(counted);
      return fail(counted, noted(stayedBecause(counted), verdict.note), nowMs);
    case 'recover-post-copy':
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

function waitForTruth(migration: Migration, why: string, nowMs: number, limits: StepLimits): Step {
  const { resolution } = migration;
  if (resolution !== null && resolution.workingSinceMs !== null) {
    // The wait for the truth begins when the transfer is over.
    const moving = withCause({ ...migration, resolution: { ...resolution, sinceMs: nowMs } }, tooLong(resolution, nowMs, limits));
    return moving.abortAsked ? { migration: moving, effect: { kind: 'abort-transfer' } } : askAgain(moving);
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

/** Why a transfer that nobody steers any more is given up; null while it may go on. */
function tooLong({ workingSinceMs, haltedSinceMs }: Resolution, nowMs: number, limits: StepLimits): Refusal | null {
  if (haltedSinceMs !== null && nowMs - haltedSinceMs > limits.switchOverMsMax) {
    const message = `the VM was halted for its last round for ${seconds(nowMs - haltedSinceMs)} s without coming to an end`;
    return { code: 'switch-over-stalled', message };
  }
  if (workingSinceMs !== null && nowMs - workingSinceMs > limits.unattendedMsMax) {
    const message = `the transfer went on for ${seconds(nowMs - workingSinceMs)} s after its agent had died, without coming to an end`;
    return { code: 'migration-stalled', message };
  }
  return null;
}

/** Asks for the abort for this cause, unless it was asked for already. */
function withCause(migration: Migration, cause: Refusal | null): Migration {
  if (cause === null || migration.abortAsked || migration.resolution === null) return migration;
  return { ...askAbort(migration), resolution: { ...migration.resolution, cause } };
}

function seconds(ms: number): number {
  return Math.round(ms / 1000);
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
  return { ...migration, resolution: { ...(before ?? unresolved(nowMs, null)), verdict: verdict.kind, confirmations } };
}

function stayedBecause(migration: Migration): Refusal {
  const cause = migration.resolution?.cause ?? null;
  if (migration.abortAsked && !isOwnAbort(cause?.code)) {
    return { code: 'aborted', message: 'aborted on request; the VM runs on its source' };
  }
  if (cause !== null && isUnclear(cause.code))
    return { code: 'migration-failed', message: `${cause.message}; since then: the VM runs on its source` };
  return cause ?? { code: 'migration-failed', message: 'the hypervisor called it complete, but the VM still runs on its source' };
}

/** Nobody asked for these aborts but the machine itself. */
function isOwnAbort(code: Refusal['code'] | undefined): boolean {
  return code === 'migration-stalled' || code === 'switch-over-stalled' || code === 'not-converging';
}

function noted({ code, message }: Refusal, note: string | null): Refusal {
  return { code, message: note === null ? message : `${message}; ${note}` };
}

function isMoving(truth: VmTruth): boolean {
  return truth.kind === 'present' ? truth.jobActive || truth.postCopy === 'active' : truth.kind === 'image' && truth.standing === 'moving';
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
  return code === 'two-copies' || code === 'zero-copies' || code === 'memory-lost' || code === 'truth-unknown';
}
