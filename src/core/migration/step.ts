/**
 * One migration as a pure state machine. It executes nothing: `step` takes what happened and returns the new
 * record and the one effect to perform next. The executor makes the record durable before it performs the
 * effect, so after a crash `recover` knows what may have been begun.
 *
 *   asked     -> checked     checked: nothing speaks against it; next: secure
 *   asked     -> failed      refused, aborted, or the controller restarted
 *   checked   -> secured     secured: the channel is proven; next: choose how, then start-transfer
 *   checked   -> failed      refused, aborted, the channel was not proven, or the controller restarted
 *   secured   -> copying     transfer-started; next: watch-transfer, again and again
 *   secured   -> failed      refused, aborted, or the controller restarted before it was chosen how
 *   secured   -> resolving   transfer-lost, or the controller restarted: whether it began is not known
 *   copying   -> resolving   transfer-completed, transfer-failed, transfer-lost: the source's word alone is not believed
 *   resolving -> copying     truth: the source still sends an image, and wants to be watched; recovered: it goes on with a post-copy
 *   resolving -> verifying   truth: on the destination
 *   resolving -> failed      truth: on the source, or a person must look
 *   verifying -> done        verified
 *   verifying -> resolving   the controller restarted: what was true then is asked again
 *
 * What both hosts say is weighed in resolution.ts, by the table in truth.ts; each correction is followed by the next question. An event
 * that does not belong to the phase changes nothing: the phase asks its own question again. A test compares these lines with what
 * the code does.
 */
import type { ChannelReading } from '#core/model/channel.ts';
import type { Decision } from '#core/model/method.ts';
import type { Migration, MigrationRequest, Progress } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';
import { joinedReadings, notedRecovery, wholeOutcome } from './recovered-transfer.ts';
import { askAgain, askAnew, heard, isRecovering, recovered, relocked, resolve, sinceThen, unresolved, weighTruth } from './resolution.ts';
import type { EventOf, MigrationEvent, Step, StepLimits } from './step-events.ts';
import { askAbort, enter, fail, seconds } from './step-record.ts';

export type { MigrationEffect, MigrationEvent, Step, StepLimits } from './step-events.ts';
export { askAbort, outcomeOf } from './step-record.ts';

export function begin(request: MigrationRequest): Step {
  const migration: Migration = {
    request,
    phase: 'asked',
    phaseSinceMs: request.askedAtMs,
    proof: null,
    progress: null,
    lastMoved: null,
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
  const restarted = (when: string): Refusal => ({ code: 'controller-restarted', message: `the controller restarted ${when}` });
  switch (migration.phase) {
    case 'asked':
    case 'checked':
      return fail(migration, restarted('before any byte was sent: ask again'), nowMs);
    case 'secured':
      // The choice is durable before the transfer is asked for: without it nobody was asked.
      if (migration.plan === null) return fail(migration, restarted('before it was chosen how to send the VM: ask again'), nowMs);
      return resolve(migration, restarted('as the transfer was about to begin'), nowMs);
    case 'copying':
      return { migration, effect: { kind: 'watch-transfer' } };
    case 'resolving':
    case 'verifying':
      return askAnew(migration, nowMs);
    case 'done':
    case 'failed':
      return { migration, effect: { kind: 'finish' } };
    default:
      return migration.phase satisfies never;
  }
}

/** Never throws, whatever the phase, the event and the numbers in it. */
export function step(migration: Migration, event: MigrationEvent, nowMs: number, limits: StepLimits): Step {
  switch (migration.phase) {
    case 'asked':
      return whileAsked(migration, event, nowMs);
    case 'checked':
      return whileChecked(migration, event, nowMs);
    case 'secured':
      return whileSecured(migration, event, nowMs);
    case 'copying':
      return whileCopying(migration, event, nowMs, limits);
    case 'resolving':
      return whileResolving(migration, event, nowMs, limits);
    case 'verifying':
      return event.kind === 'verified' ? verified(migration, event, nowMs) : { migration, effect: { kind: 'verify' } };
    case 'done':
    case 'failed':
      return { migration, effect: { kind: 'finish' } };
    default:
      return migration.phase satisfies never;
  }
}

function whileAsked(migration: Migration, event: MigrationEvent, nowMs: number): Step {
  if (event.kind === 'refused') return fail(migration, event.refusal, nowMs);
  if (migration.abortAsked) return abortedBefore(migration, nowMs);
  if (event.kind === 'checked') return { migration: enter(migration, 'checked', nowMs), effect: { kind: 'secure' } };
  return { migration, effect: { kind: 'check' } };
}

/** No proof, no bytes: whoever performs the effect cannot pass this by. */
function whileChecked(migration: Migration, event: MigrationEvent, nowMs: number): Step {
  if (event.kind === 'refused') return fail(migration, event.refusal, nowMs);
  if (migration.abortAsked) return abortedBefore(migration, nowMs);
  if (event.kind !== 'secured') return { migration, effect: { kind: 'secure' } };
  const { proof, tuning } = event;
  if (proof === null && migration.request.channelKind === 'ipsec') {
    return fail(migration, { code: 'proof-missing', message: 'the IPsec channel was not proven: nothing was sent' }, nowMs);
  }
  return { migration: { ...enter(migration, 'secured', nowMs), proof, tuning }, effect: { kind: 'choose' } };
}

/** With a plan the transfer has been asked for, and may be under way. */
function whileSecured(migration: Migration, event: MigrationEvent, nowMs: number): Step {
  if (event.kind === 'refused') return fail(migration, event.refusal, nowMs);
  if (migration.plan === null) {
    if (migration.abortAsked) return abortedBefore(migration, nowMs);
    if (event.kind !== 'chosen') return { migration, effect: { kind: 'choose' } };
    return { migration: { ...migration, plan: event.plan, decisions: event.decisions }, effect: { kind: 'start-transfer' } };
  }
  if (event.kind === 'transfer-started') {
    return { migration: { ...enter(migration, 'copying', nowMs), channelBefore: event.reading }, effect: { kind: 'watch-transfer' } };
  }
  const unknown: Refusal = { code: 'internal', message: 'whether the transfer began is not known' };
  return resolve(migration, event.kind === 'transfer-lost' ? event.refusal : unknown, nowMs);
}

function whileCopying(migration: Migration, event: MigrationEvent, nowMs: number, limits: StepLimits): Step {
  switch (event.kind) {
    case 'transfer-running':
      return watch(migration, event, nowMs, limits);
    case 'transfer-completed':
      return resolve(completed(migration, event, nowMs), null, nowMs);
    case 'transfer-failed':
      return resolve(ended(migration, event), event.refusal, nowMs);
    case 'transfer-lost':
      return resolve(migration, event.refusal, nowMs);
    case 'abort-sent':
    case 'checked':
    case 'secured':
    case 'chosen':
    case 'transfer-started':
    case 'truth':
    case 'corrected':
    case 'recovered':
    case 'relocked':
    case 'verified':
    case 'refused':
      return { migration, effect: { kind: 'watch-transfer' } };
    default:
      return event satisfies never;
  }
}

function whileResolving(migration: Migration, event: MigrationEvent, nowMs: number, limits: StepLimits): Step {
  if (event.kind === 'truth') return weighTruth(migration, event, nowMs, limits);
  if (event.kind === 'corrected') return resolve(migration, null, nowMs);
  if (event.kind === 'recovered') return recovered(migration, nowMs);
  if (event.kind === 'relocked') return relocked(migration, event, nowMs);
  return askAgain(migration);
}

function verified(migration: Migration, { reading, measures }: EventOf<'verified'>, nowMs: number): Step {
  const done = enter(withReading(migration, reading), 'done', nowMs);
  return { migration: { ...done, measures, failure: null, resolution: null, endedAtMs: nowMs }, effect: { kind: 'finish' } };
}

function completed(migration: Migration, event: EventOf<'transfer-completed'>, nowMs: number): Migration {
  const whole = ended(isRecovering(migration) ? notedRecovery(migration, nowMs) : migration, event);
  return { ...whole, outcome: wholeOutcome(whole, event.outcome) };
}

function ended(migration: Migration, { reading, decisions }: EventOf<'transfer-completed' | 'transfer-failed'>): Migration {
  return withDecisions({ ...migration, channelAfter: joinedReadings(migration.channelAfter, reading) }, decisions);
}

/** The autopilot tells all of its decisions each time, unless its agent has died and knows them no more. Those of the choice stand before them. */
function withDecisions(migration: Migration, ofPilot: readonly Decision[]): Migration {
  const known = migration.decisions.filter(({ by }) => by === 'autopilot');
  if (ofPilot.length < known.length) return migration;
  const chosen = migration.decisions.filter(({ by }) => by === 'choice');
  const recoveries = migration.decisions.filter(({ by }) => by === 'recovery');
  const later = [...recoveries, ...ofPilot].toSorted((one, other) => one.atMs - other.atMs);
  return { ...migration, decisions: [...chosen, ...later] };
}

/** The reading that the transfer ended with stands, made before the channel is taken down. A later one counts only where there is none. */
function withReading(migration: Migration, reading: ChannelReading | null): Migration {
  return reading === null || (migration.channelAfter?.sa ?? null) !== null ? migration : { ...migration, channelAfter: reading };
}

function watch(migration: Migration, event: EventOf<'transfer-running'>, nowMs: number, limits: StepLimits): Step {
  const isBack = isRecovering(migration) && event.progress?.stage === 'post-copy';
  // What is told before it is back is of a job that has sent nothing yet.
  const progress = isRecovering(migration) && !isBack ? migration.progress : (event.progress ?? migration.progress);
  const lastMoved = movedOf(migration, event, nowMs);
  const told = heard(isBack ? notedRecovery(migration, nowMs) : migration, isBack);
  const watched: Migration = { ...withDecisions(told, event.decisions), progress, lastMoved };
  if (isRecovering(watched) && nowMs - migration.phaseSinceMs > recoveringMsMax) return resolve(watched, null, nowMs);
  if (progress !== null && !isRecovering(migration) && isHalfNoticed(progress, nowMs - lastMoved.atMs))
    return resolve({ ...watched, resolution: sinceThen(lastMoved.atMs) }, halfNoticed, nowMs);
  // Half of its memory is on each host: an abort would lose it.
  if (isRecovering(migration) || progress?.stage === 'post-copy' || progress?.stage === 'post-copy-failed')
    return { migration: watched, effect: { kind: 'watch-transfer' } };
  if (watched.abortAsked) return { migration: watched, effect: { kind: 'abort-transfer' } };
  if (nowMs - lastMoved.atMs > limits.noProgressMsMax) {
    const cause: Refusal = {
      code: 'migration-stalled',
      message: `not a byte has moved for ${seconds(limits.noProgressMsMax)} s: look at the channel and at the destination`,
    };
    const stalled: Migration = { ...askAbort(watched), resolution: { ...unresolved(nowMs, cause), verdict: 'stalled' } };
    return { migration: stalled, effect: { kind: 'abort-transfer' } };
  }
  return { migration: watched, effect: { kind: 'watch-transfer' } };
}

/**
 * The source has noticed that the connection of its post-copy is gone, and its hypervisor still waits for the destination's word: that
 * one has not noticed (seen with libvirt 9.0 where only the source's end was reset), and nobody but us would tell it.
 */
function isHalfNoticed({ stage }: Progress, quietMs: number): boolean {
  return stage === 'post-copy-failed' && quietMs > halfNoticedMs;
}

/** Twice as long as a driver tries. One whose hypervisor hangs meanwhile does not end by itself. */
const recoveringMsMax = 60_000;
const halfNoticedMs = 3000;
const halfNoticed: Refusal = {
  code: 'post-copy-broken',
  message: 'the source has lost its connection in post-copy, and the destination has not noticed: they are brought together again',
};

/**
 * What shows a stall, should the autopilot be silent. A VM that writes faster than the channel carries is the autopilot's: here any
 * byte counts. While the source waits for the destination's end, time does not.
 */
function movedOf(migration: Migration, { progress, awaitsPeer }: EventOf<'transfer-running'>, nowMs: number): LastMoved {
  const last = migration.lastMoved;
  const sentBytes = progress?.memorySentBytes ?? last?.sentBytes ?? 0;
  return last === null || sentBytes !== last.sentBytes || awaitsPeer === true ? { sentBytes, atMs: nowMs } : last;
}

type LastMoved = NonNullable<Migration['lastMoved']>;

function abortedBefore(migration: Migration, nowMs: number): Step {
  return fail(migration, { code: 'aborted', message: 'aborted on request before any byte was sent' }, nowMs);
}
