/**
 * Where the VM is after its transfer: what both hosts say, asked until it is certain. Nothing is corrected, and none stays, on one answer
 * alone; an abort is for transfers that can still come back; and a wait has an end, save for a VM that runs and only fetches its rest.
 */
import type { Migration, Resolution, VmTruth } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';
import type { EventOf, Step, StepLimits } from './step-events.ts';
import { askAbort, enter, fail, isUnclear, seconds } from './step-record.ts';
import { type Correction, judgeTruth, type TruthVerdict } from './truth.ts';

type Truth = EventOf<'truth'>;

const truthIntervalMs = 1000;
/** Verdict of a source that is watched again, until it has told how its transfer stands. */
const sending = 'sending';
/** The same of one that has taken a post-copy up again, until it says that its memory goes over again. */
const recovering = 'recovering';
/** The same answer from both hosts this often in a row before anything is destroyed, resumed or given up. */
const confirmationsNeeded = 2;
const confirmationsBeforeAlarm = 5;
/** Before a copy is removed whose host calls its job at work: mostly that host is about to do it by itself. */
const confirmationsOfAbandoned = 5;
const relockTriesMax = 3;

/** Asks both hosts, from now on. `cause`: what to report if the VM has stayed; the first one is kept. */
export function resolve(migration: Migration, cause: Refusal | null, nowMs: number): Step {
  const before = migration.resolution ?? unresolved(nowMs, null);
  const goesOn = migration.phase === 'resolving' || before.verdict === sending || before.verdict === recovering;
  const sinceMs = goesOn ? before.sinceMs : nowMs;
  const resolution: Resolution = { ...before, sinceMs, verdict: 'asking', confirmations: 0, cause: before.cause ?? cause };
  return { migration: { ...enter(migration, 'resolving', nowMs), resolution }, effect: { kind: 'ask-truth', delayMs: 0 } };
}

/** As `resolve` after a restart: what was heard before counts for nothing, and neither does the time in which nobody asked. */
export function askAnew(migration: Migration, nowMs: number): Step {
  const before = migration.resolution ?? unresolved(nowMs, null);
  const told = { ...before, destinationEmptyTimes: keptEmptyTimes(before) };
  return resolve({ ...migration, resolution: { ...told, sinceMs: nowMs, workingSinceMs: null, haltedSinceMs: null } }, null, nowMs);
}

export function askAgain(migration: Migration): Step {
  return { migration, effect: { kind: 'ask-truth', delayMs: truthIntervalMs } };
}

export function unresolved(nowMs: number, cause: Refusal | null): Resolution {
  const nothing = { workingSinceMs: null, haltedSinceMs: null, relocked: false, relockTries: 0 };
  return { sinceMs: nowMs, verdict: 'asking', confirmations: 0, ...nothing, cause };
}

/** The VM may have been halted for this, or be halted now: both hosts are asked again. */
export function relocked(migration: Migration, { refusal }: EventOf<'relocked'>, nowMs: number): Step {
  const before = migration.resolution ?? unresolved(nowMs, null);
  const resolution = { ...before, relocked: refusal === null, relockTries: before.relockTries + 1 };
  return resolve({ ...migration, resolution }, null, nowMs);
}

function mayLackLock({ resolution }: Migration): boolean {
  return resolution !== null && !resolution.relocked && resolution.relockTries < relockTriesMax;
}

function lockNote({ resolution }: Migration): string | null {
  if (resolution?.relocked !== false) return null;
  return 'whether it holds its storage lock is not known: suspend and resume it by hand';
}

export function weighTruth(migration: Migration, truth: Truth, nowMs: number, limits: StepLimits): Step {
  if (isSendingImage(migration, truth.source)) return watchAgain(migration, truth, nowMs, limits);
  const known = withEmptyDestination(withWork(migration, truth, nowMs), truth);
  const destination = isKnownEmpty(known, truth) ? ({ kind: 'absent' } as const) : truth.destination;
  const verdict = judgeTruth(truth.source, destination, truth.isRestartable);
  const counted = countVerdict(known, verdict, nowMs);
  const confirmations = counted.resolution?.confirmations ?? 0;
  switch (verdict.kind) {
    case 'on-destination':
      return { migration: enter(counted, 'verifying', nowMs), effect: { kind: 'verify' } };
    case 'wait':
      return isAtWork(counted) ? letWork(counted, truth, nowMs, limits) : waitForTruth(counted, truth, verdict.why, nowMs, limits);
    case 'on-source':
      // Said often enough before its locks were taken again; after that it has to be said once more.
      if (confirmations < (counted.resolution?.relocked === true ? 1 : confirmationsNeeded)) return askAgain(counted);
      if (mayLackLock(counted)) return { migration: counted, effect: { kind: 'relock-source' } };
      return fail(counted, noted(noted(stayedBecause(counted), verdict.note), lockNote(counted)), nowMs);
    case 'recover-post-copy':
    case 'resume-source':
    case 'destroy-source-copy':
    case 'destroy-older-copy':
    case 'destroy-destination-copy':
    case 'destroy-abandoned-copy':
    case 'discard-destination-image':
    case 'take-image-back':
    case 'forget-source-image':
      return putRight(counted, verdict.kind, truth, nowMs, limits);
    case 'unclear':
      if (confirmations < confirmationsBeforeAlarm) return askAgain(counted);
      return fail(counted, verdict.refusal, nowMs);
    default:
      return verdict satisfies never;
  }
}

/** Where the hosts have said often enough that this is needed. */
function putRight(counted: Migration, kind: Correction, truth: Truth, nowMs: number, limits: StepLimits): Step {
  const needed = kind === 'destroy-abandoned-copy' ? confirmationsOfAbandoned : confirmationsNeeded;
  if ((counted.resolution?.confirmations ?? 0) < needed) return askAgain(counted);
  // Twice as long as the mere wait: what is found at its very end is still put right.
  if (waitedMs(counted, nowMs) > 2 * patienceMs(kind, truth, limits)) return fail(counted, leftAsItIs(kind), nowMs);
  return { migration: counted, effect: { kind } };
}

/**
 * A source that sends a sealed image asks the destination's end through whoever watches it; unwatched it would give up. With an abort
 * asked for it is told so instead.
 */
function isSendingImage({ abortAsked }: Migration, source: VmTruth): boolean {
  return !abortAsked && source.kind === 'image' && source.standing === 'moving';
}

/** A source that says so to this question, and something else to whoever watches it, is not asked in turns for ever. */
function watchAgain(migration: Migration, truth: Truth, nowMs: number, limits: StepLimits): Step {
  const resolution = migration.resolution ?? unresolved(nowMs, null);
  const why = 'the source says that it is sending the VM as an image, and that its transfer is over';
  if (nowMs - resolution.sinceMs > limits.truthWaitMsMax) return waitForTruth(migration, truth, why, nowMs, limits);
  const watched: Migration = { ...enter(migration, 'copying', nowMs), resolution: { ...resolution, verdict: sending } };
  return { migration: watched, effect: { kind: 'watch-transfer' } };
}

/** Only after it was asked for. Since when the hosts have lost each other stays known: what fails again at once does not go on for ever. */
export function recovered(migration: Migration, nowMs: number): Step {
  const { resolution } = migration;
  if (resolution?.verdict !== 'recover-post-copy' || resolution.confirmations < confirmationsNeeded) return askAgain(migration);
  const watched: Migration = { ...enter(migration, 'copying', nowMs), resolution: { ...resolution, verdict: recovering } };
  return { migration: watched, effect: { kind: 'watch-transfer' } };
}

/** For `resolve`: the loss began then, and not when it is acted upon. */
export function sinceThen(atMs: number): Resolution {
  return { ...unresolved(atMs, null), verdict: recovering };
}

export function isRecovering({ resolution }: Migration): boolean {
  return resolution?.verdict === recovering;
}

/** The source has told whoever watches it how its transfer stands; `isBack`: one that was taken up again goes on. */
export function heard(migration: Migration, isBack: boolean): Migration {
  return migration.resolution?.verdict === sending || isBack ? { ...migration, resolution: null } : migration;
}

/** Notes since when the source's hypervisor is at work, and since when with the VM halted. */
function withWork(migration: Migration, { source }: Truth, nowMs: number): Migration {
  const resolution = migration.resolution ?? unresolved(nowMs, null);
  const works = isMoving(source);
  const isHalted = works && source.kind === 'present' && source.state === 'paused' && source.postCopy === null;
  const workingSinceMs = works ? (resolution.workingSinceMs ?? nowMs) : null;
  const haltedSinceMs = isHalted ? (resolution.haltedSinceMs ?? nowMs) : null;
  return { ...migration, resolution: { ...resolution, workingSinceMs, haltedSinceMs } };
}

/**
 * Notes how often in a row the destination has said that it has no copy any more. Before the first byte was sent it may be about to get
 * one; in post-copy the VM has run there.
 */
function withEmptyDestination(migration: Migration, { destination }: Truth): Migration {
  const { resolution, lastMoved, progress } = migration;
  if (resolution === null || (lastMoved?.sentBytes ?? 0) === 0 || (progress?.stage ?? 'copying').startsWith('post-copy')) return migration;
  return { ...migration, resolution: { ...resolution, destinationEmptyTimes: emptyTimesAfter(resolution, destination) } };
}

function emptyTimesAfter(resolution: Resolution, destination: VmTruth): number {
  switch (destination.kind) {
    case 'absent':
      return (resolution.destinationEmptyTimes ?? 0) + 1;
    case 'unreachable':
    case 'fenced':
    case 'excluded':
      return keptEmptyTimes(resolution);
    case 'present':
    case 'image':
      return isEnded(destination) ? keptEmptyTimes(resolution) : 0;
    default:
      return destination satisfies never;
  }
}

/** What has not been said often enough yet begins anew after a silence: two words far from each other are not in a row. */
function keptEmptyTimes({ destinationEmptyTimes = 0 }: Resolution): number {
  return destinationEmptyTimes >= confirmationsNeeded ? destinationEmptyTimes : 0;
}

/**
 * A destination that is silent, or was restarted, may have run the VM until then, and a halted copy on the source would be older: not so
 * where the destination's copy was gone before, because nobody but this migration brings it another one.
 */
function isKnownEmpty({ resolution }: Migration, { source, destination }: Truth): boolean {
  if ((resolution?.destinationEmptyTimes ?? 0) < confirmationsNeeded) return false;
  if (source.kind !== 'present' || source.jobActive || source.postCopy !== null) return false;
  if (source.state !== 'paused' && source.state !== 'running') return false;
  return destination.kind === 'unreachable' || destination.kind === 'fenced' || isEnded(destination);
}

function isEnded(truth: VmTruth): boolean {
  return truth.kind === 'present' && truth.state === 'crashed' && !truth.jobActive && truth.postCopy === null;
}

/** The hypervisor calls a post-copy that failed a job at work too, but that one only waits. */
function isMoving(truth: VmTruth): boolean {
  if (truth.kind === 'image') return truth.standing === 'moving';
  return truth.kind === 'present' && truth.postCopy !== 'failed' && (truth.jobActive || truth.postCopy === 'active');
}

function isAtWork({ resolution }: Migration): boolean {
  return (resolution?.workingSinceMs ?? null) !== null;
}

/** The same verdict as before counts; of two calls for a person only the same call. */
function countVerdict(migration: Migration, verdict: TruthVerdict, nowMs: number): Migration {
  const before = migration.resolution ?? unresolved(nowMs, null);
  const name = verdict.kind === 'unclear' ? verdict.refusal.code : verdict.kind;
  const confirmations = before.verdict === name ? before.confirmations + 1 : 1;
  return { ...migration, resolution: { ...before, verdict: name, confirmations } };
}

/** The hypervisor is at work and nobody steers it: what went on too long is aborted, unless half of the memory is over there. */
function letWork(migration: Migration, truth: Truth, nowMs: number, limits: StepLimits): Step {
  const resolution = migration.resolution ?? unresolved(nowMs, null);
  // The wait for the truth begins when the transfer is over.
  const moving: Migration = { ...migration, resolution: { ...resolution, sinceMs: nowMs } };
  if (isSplit(truth)) return askAgain(moving);
  const told = withCause(moving, tooLong(resolution, nowMs, limits));
  if (!told.abortAsked) return askAgain(told);
  const workedMs = nowMs - (resolution.workingSinceMs ?? nowMs);
  if (workedMs > limits.unattendedMsMax + limits.truthWaitMsMax) return fail(told, doesNotEnd(workedMs), nowMs);
  return { migration: told, effect: { kind: 'abort-transfer' } };
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

function doesNotEnd(workedMs: number): Refusal {
  return {
    code: 'truth-unknown',
    message: `the source's hypervisor has been at work for ${seconds(workedMs)} s and does not carry out the abort; look on both hosts`,
  };
}

function waitForTruth(migration: Migration, truth: Truth, why: string, nowMs: number, limits: StepLimits): Step {
  if (waitedMs(migration, nowMs) <= waitMsMax(truth, limits)) return askAgain(migration);
  const advice = isSplit(truth)
    ? "half of the VM's memory is on each host: bring both back, recover its post-copy by hand, and destroy neither"
    : 'look on both hosts';
  return fail(migration, { code: 'truth-unknown', message: `where the VM runs could not be established: ${why}; ${advice}` }, nowMs);
}

/** Nobody can do better than wait for the other half; only where the VM is whole is a person called early. */
function waitMsMax(truth: Truth, { truthWaitMsMax, unattendedMsMax }: StepLimits): number {
  return isSplit(truth) ? Math.max(truthWaitMsMax, unattendedMsMax) : truthWaitMsMax;
}

/** Halves are brought together as long as they may wait for each other; every other correction is quick, or is refused. */
function patienceMs(correction: Correction, truth: Truth, limits: StepLimits): number {
  return correction === 'recover-post-copy' ? waitMsMax(truth, limits) : limits.truthWaitMsMax;
}

function isSplit({ source, destination }: Truth): boolean {
  return [source, destination].some((truth) => truth.kind === 'present' && truth.postCopy !== null);
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

function stayedBecause(migration: Migration): Refusal {
  const cause = migration.resolution?.cause ?? null;
  if (migration.abortAsked && !outlivesAbort(cause?.code)) {
    return { code: 'aborted', message: 'aborted on request; the VM runs on its source' };
  }
  if (cause !== null && isUnclear(cause.code))
    return { code: 'migration-failed', message: `${cause.message}; since then: the VM runs on its source` };
  return cause ?? { code: 'migration-failed', message: 'the hypervisor called it complete, but the VM still runs on its source' };
}

/** The machine's own aborts, which nobody asked for, and what must be told whoever asked for what meanwhile. */
function outlivesAbort(code: Refusal['code'] | undefined): boolean {
  return code === 'migration-stalled' || code === 'switch-over-stalled' || code === 'not-converging' || code === 'plain-text-seen';
}

function noted({ code, message }: Refusal, note: string | null): Refusal {
  return { code, message: note === null ? message : `${message}; ${note}` };
}
