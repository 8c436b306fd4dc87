/**
 * Brings a transfer to its end: a pure state machine, fed with the hypervisor's readings on the source's agent. It executes nothing.
 *
 *   watching   -> watching    set-downtime, post-copy, stop: the transfer stalled, and the ladder's next rung changes it under way
 *   watching   -> restarting  restart: the next rung needs a new transfer
 *   restarting -> watching    restarted, refused: the new transfer has begun, or the hypervisor does not begin it
 *   watching   -> over        give-up: the ladder has no further rung (`not-converging`), or no byte leaves (`migration-stalled`)
 *   restarting -> over        give-up: the new transfer does not begin
 *   watching, restarting -> over   cancel-switch-over: the VM is stopped and nothing moves, or for longer than accepted
 *
 * A rung is taken when a pre-copy stalls: bytes flow, and for `patienceMs` and three whole rounds none has left less than the best
 * before. The first pass over the memory is never a stall, and while auto-converge slows the VM down further it is given three rounds
 * after each step: QEMU takes a step after every second one. All that has its end at `stuckMsMax`. Without any byte for that long it is the link, no rung helps, and it is waited for. Once the
 * VM runs on its destination (post-copy) nothing is aborted or begun again: that would destroy it.
 *
 * Each rung is taken once in a migration, whatever begins again; raising the downtime takes up to four steps. What the hypervisor
 * refuses is asked for five times, and then the next rung is taken.
 */
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Progress } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';
import { againAfterMs, askPostCopy, climb, onNextRung, refusalsMax, settleMs } from './autopilot-ladder.ts';
import { amount, noReadings, read } from './autopilot-readings.ts';
import {
  decided,
  defaultLimits,
  ended,
  firstState,
  freshAttempt,
  type PilotAction,
  type PilotLimits,
  type PilotState,
  type PilotStep,
  stopsTheVm,
  wait,
} from './autopilot-state.ts';
import { figures, size, span } from './autopilot-words.ts';
import { standstillAt } from './downtime-limit.ts';

export { ladderOptions } from './autopilot-ladder.ts';
export type { PilotAction, PilotLimits, PilotState, PilotStep } from './autopilot-state.ts';

/** Lines about a link that comes and goes, in one migration. */
const quietNotesMax = 10;
const endingRefusalsMax = 30;
/** Rounds, or seconds of shorter ones, that must have left no less. */
const patienceLaps = 3;

/** For a transfer that is beginning now, with the plan's options. */
export function startPilot(plan: TransferPlan, nowMs: number, limits: PilotLimits = defaultLimits): PilotState {
  return firstState(plan, nowMs, limits);
}

/**
 * To be called about four times per second, with null when the hypervisor said nothing new; time in which nobody calls counts for
 * 5 s at most. Not to be called while a sealed image waits for its destination. Total: any numbers give an answer.
 */
export function pilot(state: PilotState, progress: Progress | null, nowMs: number): PilotStep {
  const seen = observe(state, progress, nowMs);
  const { untold } = seen;
  if (untold !== null) return { state: { ...seen, untold: null }, action: { kind: 'continue' }, decision: untold };
  if (seen.isHandedOver) return watchPostCopy(seen);
  if (seen.phase === 'over') return endAgain(seen);
  return watchSwitchOver(seen) ?? watchRestart(seen) ?? watchLink(seen) ?? watchAsked(seen) ?? goPostCopy(seen) ?? watchRounds(seen);
}

/** The transfer of a `restart` has begun. */
export function restarted(state: PilotState, nowMs: number): PilotState {
  const seen = observe(state, null, nowMs);
  const action = seen.last?.action;
  if (seen.phase !== 'restarting' || action?.kind !== 'restart') return seen;
  return {
    ...seen,
    ...freshAttempt,
    options: action.options,
    attempt: seen.attempt + 1,
    phase: 'watching',
    phaseSinceMs: 0,
    readings: noReadings,
    last: null,
    quietNoted: false,
  };
}

/**
 * The hypervisor refused what the autopilot chose last, and the transfer goes on as it was; a refused end is asked for again. What
 * follows comes with the next readings.
 */
export function actionFailed(state: PilotState, action: PilotAction, refusal: Refusal, nowMs: number): PilotState {
  const { state: next, decision } = refused(observe(state, null, nowMs), action, refusal);
  return decision === null ? next : { ...next, untold: decision };
}

function refused(seen: PilotState, action: PilotAction, refusal: Refusal): PilotStep {
  const { last, ending, readings } = seen;
  if (last === null || last.action.kind !== action.kind) return wait(seen);
  if (ending !== null) {
    const refusals = ending.refusals + 1;
    const againAtMs = refusals > endingRefusalsMax ? null : readings.timeMs + againAfterMs;
    const next = { ...seen, ending: { ...ending, againAtMs, refusals } };
    return refusals > 1 ? wait(next) : noted(next, `${action.kind} refused`, `${refusal.message}; it is asked for again`);
  }
  const waiting: PilotState = { ...seen, last: null, asked: null, readings: { ...readings, stalledMs: readings.stalledMs ?? 0 } };
  if (action.kind === 'post-copy') return postCopyRefused(waiting, refusal);
  return rungRefused({ ...waiting, ...last.before, phase: 'watching' }, action, refusal);
}

function observe(state: PilotState, progress: Progress | null, nowMs: number): PilotState {
  const passedMs = amount(nowMs - state.nowMs);
  const readings = read(state.readings, progress, passedMs);
  const { stage } = readings;
  return {
    ...state,
    nowMs: Number.isFinite(nowMs) ? Math.max(nowMs, state.nowMs) : state.nowMs,
    readings,
    isHandedOver: state.isHandedOver || stage === 'post-copy' || stage === 'post-copy-failed',
    quietNoted: state.quietNoted && readings.flowedAtMs === state.readings.flowedAtMs,
  };
}

function noted(state: PilotState, action: string, reason: string): PilotStep {
  return decided(state, { kind: 'continue' }, { action, reason });
}

function quietMsOf({ readings }: PilotState): number {
  return readings.timeMs - Math.max(readings.flowedAtMs, readings.stoppedAtMs ?? 0);
}

/** The VM waits for memory that is on its source: nothing but the link can help. */
function watchPostCopy(state: PilotState): PilotStep {
  if (state.readings.stage !== 'post-copy' || quietMsOf(state) < state.policy.patienceMs) return wait(state);
  return noteQuiet(state, 'the VM runs on its destination without all of its memory, so nothing is aborted');
}

function noteQuiet(state: PilotState, consequence: string): PilotStep {
  if (state.quietNoted || state.quietNotes >= quietNotesMax) return wait(state);
  const { carriedBytes, remainingBytes } = state.readings;
  const what = carriedBytes > 0 ? 'no byte has left' : 'not one byte has left yet';
  const left = remainingBytes === null ? '' : ` with ${size(remainingBytes)} to go`;
  const next = { ...state, quietNoted: true, quietNotes: state.quietNotes + 1 };
  return noted(
    next,
    'wait for the link',
    `${what} for ${span(quietMsOf(state))}${left}: it is the link or the destination; ${consequence}`,
  );
}

/** A switch-over into a black hole stays stopped until it is cancelled; then the VM ran again within 0.3 s (measured). */
function watchSwitchOver(state: PilotState): PilotStep | null {
  const { readings, options, policy, stopMsAccepted } = state;
  if (readings.stage !== 'stopped' && !stopsTheVm(options)) return null;
  // A hypervisor that took the order to go post-copy may have handed over by now, and says so with its next reading.
  if (state.asked?.kind === 'post-copy' && (!readings.isFresh || readings.timeMs - state.asked.atMs < settleMs)) return wait(state);
  const quietMsMax = switchOverQuietMsMax(state);
  const quietMs = quietMsOf(state);
  const left = readings.remainingBytes === null ? '' : ` with ${size(readings.remainingBytes)} to go`;
  if (quietMs >= quietMsMax) {
    const message = `the VM was stopped, and no byte left for ${span(quietMs)}${left}: it is brought back on its source`;
    return ended(state, 'cancel-switch-over', { code: 'switch-over-stalled', message });
  }
  const stoppedMs = stopsTheVm(options) ? readings.timeMs : readings.timeMs - (readings.stoppedAtMs ?? readings.timeMs);
  // The watchdog's time on top: to abort what is about to end costs a second stop.
  if (stopMsAccepted === null || stoppedMs <= stopMsAccepted + policy.switchOverMsMax) return wait(state);
  const accepted = `${span(stopMsAccepted)} were accepted`;
  const message = `the VM was stopped for ${span(stoppedMs)}, ${accepted}${left}: it is brought back on its source`;
  return ended(state, 'cancel-switch-over', { code: 'downtime-budget', message });
}

/**
 * A saved image is read and written at both ends while nothing is sent. And what is left of a pre-copy QEMU sends under its big lock, so
 * that nothing is heard of it for as long as the limit lets the VM stand still.
 */
function switchOverQuietMsMax({ options, policy, limits }: PilotState): number {
  if (options.method === 'save-restore') return limits.noProgressMsMax;
  return stopsTheVm(options) ? policy.switchOverMsMax : Math.max(policy.switchOverMsMax, standstillAt(options.downtimeMsMax));
}

function watchRestart(state: PilotState): PilotStep | null {
  if (state.phase !== 'restarting') return null;
  const sinceMs = state.readings.timeMs - state.phaseSinceMs;
  if (sinceMs < state.limits.noProgressMsMax) return wait(state);
  const message = `the transfer was to begin again and did not for ${span(sinceMs)}; the VM stays on its source`;
  return ended(state, 'give-up', { code: 'migration-stalled', message });
}

function watchLink(state: PilotState): PilotStep | null {
  const { policy, limits, readings } = state;
  const quietMs = quietMsOf(state);
  if (quietMs < policy.patienceMs) return null;
  const asked = state.asked?.kind === 'post-copy' && readings.timeMs - state.asked.atMs < settleMs;
  if (asked || quietMs < limits.noProgressMsMax) {
    return noteQuiet(state, `no rung would help, and after ${span(limits.noProgressMsMax)} it is given up`);
  }
  const left = readings.remainingBytes === null ? '' : ` with ${size(readings.remainingBytes)} to go`;
  const message = `no byte left for ${span(quietMs)}${left}: look at the link and at the destination; the VM stays on its source`;
  return ended(state, 'give-up', { code: 'migration-stalled', message });
}

/** What was taken without a refusal shows within moments; when it does not, it has done nothing. */
function watchAsked(state: PilotState): PilotStep | null {
  const { asked, readings, policy } = state;
  if (asked === null) return null;
  if (readings.timeMs - asked.atMs < Math.max(settleMs, policy.patienceMs)) return wait(state);
  const stalled = { ...readings, stalledMs: readings.stalledMs ?? 0 };
  const next: PilotState = { ...state, asked: null, last: null, climbAtMs: readings.timeMs, readings: stalled };
  const postCopy = asked.kind === 'post-copy' ? { ...state.postCopy, refusals: refusalsMax } : state.postCopy;
  return noted({ ...next, postCopy }, `${asked.kind} did not happen`, 'the hypervisor took it, and the VM still runs here');
}

/** `post-copy` as soon as bytes flow, `hybrid` after the first pass, unless the rest is about to fit by itself. */
function goPostCopy(state: PilotState): PilotStep | null {
  const { options, readings, postCopy, policy } = state;
  const { method } = options;
  if ((method !== 'hybrid' && method !== 'post-copy') || postCopy.refusals >= refusalsMax) return null;
  if (!policy.allowPostCopy) {
    const next = { ...state, postCopy: { ...postCopy, refusals: refusalsMax } };
    return noted(next, 'go on as pre-copy', 'the policy does not allow post-copy');
  }
  if (readings.timeMs < postCopy.notBeforeMs) return wait(state);
  const isDue =
    postCopy.fromLadder || postCopy.refusals > 0 || (method === 'post-copy' ? readings.carriedBytes > 0 : firstPassIsOver(state));
  return isDue ? askPostCopy(state) : null;
}

function firstPassIsOver({ readings, options }: PilotState): boolean {
  const { rest, stalledMs } = readings;
  if (rest === null) return false;
  return stalledMs !== null || rest.ms === null || rest.ms > amount(options.downtimeMsMax);
}

function watchRounds(state: PilotState): PilotStep {
  const { readings, policy, climbAtMs } = state;
  if (readings.stalledMs === null) return wait(state);
  if (climbAtMs !== null) return readings.timeMs >= climbAtMs ? climb(state) : wait(state);
  const isStalled = readings.stalledMs >= policy.patienceMs && readings.stalledLaps >= patienceLaps;
  return isStalled || readings.stuckMs >= state.stuckMsMax ? climb(state) : wait(state);
}

function endAgain(state: PilotState): PilotStep {
  const { ending, readings } = state;
  if (ending === null || ending.againAtMs === null || readings.timeMs < ending.againAtMs) return wait(state);
  return { state: { ...state, ending: { ...ending, againAtMs: null } }, action: ending.action, decision: null };
}

function postCopyRefused(state: PilotState, refusal: Refusal): PilotStep {
  const refusals = state.postCopy.refusals + 1;
  const { timeMs } = state.readings;
  const postCopy = { ...state.postCopy, refusals, notBeforeMs: timeMs + againAfterMs };
  if (refusals < refusalsMax) {
    const next = { ...state, postCopy };
    return refusals > 1
      ? wait(next)
      : noted(next, 'post-copy refused', `${refusal.message}; it is asked for again in ${span(againAfterMs)}`);
  }
  const climbAtMs = postCopy.fromLadder ? timeMs : null;
  return noted({ ...state, postCopy, climbAtMs }, 'go on as pre-copy', `post-copy was refused ${refusals} times: ${refusal.message}`);
}

/** A transfer that could not be begun again goes on; a change that was refused may only have come at a bad moment. */
function rungRefused(state: PilotState, action: PilotAction, refusal: Refusal): PilotStep {
  const { timeMs } = state.readings;
  const refusals = state.refusals + 1;
  if (action.kind === 'restart' || refusals >= refusalsMax) {
    return noted({ ...onNextRung(state), climbAtMs: timeMs }, `${action.kind} refused`, `${refusal.message}; next rung`);
  }
  const next = { ...state, refusals, climbAtMs: timeMs + againAfterMs };
  if (refusals > 1) return wait(next);
  return noted(
    next,
    `${action.kind} refused`,
    `${refusal.message}; it is asked for again in ${span(againAfterMs)} (${figures(state.readings)})`,
  );
}
