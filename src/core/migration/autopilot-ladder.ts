/** What each rung of the policy's ladder does to a pre-copy that does not come to an end by itself. */
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Rung, TransferOptions } from '#core/model/method.ts';
import { amount } from './autopilot-readings.ts';
import { decided, ended, type PilotAction, type PilotState, type PilotStep, took, wait } from './autopilot-state.ts';
import { figures, size, span, standing } from './autopilot-words.ts';
import { limitFor } from './downtime-limit.ts';

/** A change that the hypervisor refuses (post-copy in the first second, for one) is asked for again, so often and after so long. */
export const refusalsMax = 5;
export const againAfterMs = 1000;
/** What was asked for and not refused is seen in the readings by then. */
export const settleMs = 5000;

/** More than what is needed now: no round is quite like the one before. */
const downtimeMargin = 1.25;
/** The last step goes to the budget. */
const downtimeStepsMax = 4;
/** The end of a round is looked for in so many. */
const holdRoundsMax = 3;

type RungMove = { readonly kind: 'taken'; readonly step: PilotStep } | { readonly kind: 'pass'; readonly why: string | null };

/** Takes the next rung that can be taken; without one the transfer is given up. */
export function climb(from: PilotState): PilotStep {
  let state = from;
  for (;;) {
    const rung = state.policy.ladder[state.rung];
    if (rung === undefined) return giveUp(state);
    const move = take(state, rung);
    if (move.kind === 'taken') return move.step;
    const passedOver = move.why === null ? state.passedOver : [...state.passedOver, `${nameOf(rung)} (${move.why})`];
    state = onNextRung({ ...state, passedOver });
  }
}

export function onNextRung(state: PilotState): PilotState {
  return { ...state, rung: state.rung + 1, steps: 0, refusals: 0, holdRound: null };
}

export function nameOf(rung: Rung): string {
  switch (rung.kind) {
    case 'streams':
      return `${rung.streams} streams`;
    case 'compress':
      return `compression ${rung.compression}`;
    case 'auto-converge':
    case 'raise-downtime':
    case 'post-copy':
    case 'stop-and-copy':
      return rung.kind;
    default:
      return rung satisfies never;
  }
}

function take(state: PilotState, rung: Rung): RungMove {
  const unsupported = state.limits.unsupported.find((other) => nameOf(other.rung) === nameOf(rung));
  if (unsupported !== undefined) return pass(unsupported.why);
  switch (rung.kind) {
    case 'raise-downtime':
      return raiseDowntime(state);
    case 'streams':
    case 'compress':
    case 'auto-converge':
      return beginAgain(state, rung);
    case 'post-copy':
      return takePostCopy(state, rung);
    case 'stop-and-copy':
      return stop(state);
    default:
      return rung satisfies never;
  }
}

function pass(why: string | null): RungMove {
  return { kind: 'pass', why };
}

/** QEMU ends a pre-copy when what is left, over what it sends, is within the limit, which is less than the VM may stand still. */
function raiseDowntime(state: PilotState): RungMove {
  const { policy, options, steps, readings } = state;
  const now = amount(options.downtimeMsMax);
  const budget = limitFor(policy.downtimeMsBudget);
  const standstill = standing(policy.downtimeMsBudget, budget);
  if (now >= budget) return pass(steps > 0 ? null : `${standstill} at most, and the limit is ${span(now)}`);
  const neededMs = readings.rest?.ms ?? null;
  const needed = neededMs === null ? 0 : roundUp(neededMs * downtimeMargin);
  const stepped = steps + 1 >= downtimeStepsMax ? budget : roundUp(Math.max(1, now) * (steps === 0 ? downtimeMargin : 2));
  const downtimeMsMax = Math.min(budget, Math.max(needed, stepped));
  const action: PilotAction = { kind: 'set-downtime', downtimeMsMax };
  const tried = withTried(state, 'raise-downtime');
  const next = took(state, action, { options: { ...options, downtimeMsMax }, steps: steps + 1, refusals: 0, tried });
  const asFar =
    neededMs !== null && neededMs > budget ? `; to send them takes ${span(neededMs)}, more than a limit of ${span(budget)}` : '';
  const reason = `${figures(readings)}; ${standing(policy.downtimeMsBudget, downtimeMsMax)}${asFar}`;
  return taken(next, action, `raise downtime limit to ${span(downtimeMsMax)}`, reason, state.refusals > 0);
}

function roundUp(ms: number): number {
  return Math.ceil(ms / 10) * 10;
}

function beginAgain(state: PilotState, rung: Rung): RungMove {
  const options = withRung(state.options, rung);
  if (typeof options === 'string') return pass(options);
  const action: PilotAction = { kind: 'restart', options };
  const name = nameOf(rung);
  const next = took(onNextRung(state), action, { phase: 'restarting', phaseSinceMs: state.readings.timeMs, tried: withTried(state, name) });
  return taken(fallingBack(next, state), action, `begin again with ${name}`, figures(state.readings), false);
}

/** Should the hypervisor refuse, it is told of the state in which the rung was chosen. */
function fallingBack(next: PilotState, { rung, steps, options, refusals }: PilotState): PilotState {
  return next.last === null ? next : { ...next, last: { ...next.last, before: { rung, steps, options, refusals } } };
}

/** The options with the rung taken, or why it would change nothing, or cannot be. */
function withRung(options: TransferOptions, rung: Rung): TransferOptions | string {
  const canPostCopy = options.method === 'hybrid' || options.method === 'post-copy';
  switch (rung.kind) {
    case 'streams':
      if (options.streams >= rung.streams) return `it has ${options.streams} already`;
      if (canPostCopy) return noStreams;
      // Neither xbzrle nor the compression of old works across several streams.
      return { ...options, streams: rung.streams, compression: ofStreams(options.compression) ? options.compression : 'none' };
    case 'compress':
      if (options.compression === rung.compression) return 'it has it already';
      if (!ofStreams(rung.compression)) return { ...options, streams: 1, compression: rung.compression };
      return canPostCopy ? noStreams : { ...options, streams: Math.max(2, options.streams), compression: rung.compression };
    case 'auto-converge': {
      if (options.autoConverge !== null) return 'it has it already';
      const { initialPercent, incrementPercent } = rung;
      return { ...options, autoConverge: { initialPercent, incrementPercent } };
    }
    case 'post-copy':
      return canPostCopy ? 'it can already' : { ...options, method: 'hybrid', streams: 1, compression: 'none' };
    case 'raise-downtime':
    case 'stop-and-copy':
      return 'it changes a transfer that is under way';
    default:
      return rung satisfies never;
  }
}

/** QEMU before 10.1: "Postcopy is not yet compatible with multifd" (migration/options.c). */
const noStreams = 'several streams and post-copy do not go together';

function ofStreams(compression: TransferOptions['compression']): boolean {
  return compression === 'zlib' || compression === 'zstd';
}

/**
 * The options with which each rung that begins again would do so when all before it were taken: what to ask the hypervisor's
 * `methodFault` about, to know `PilotLimits.unsupported`.
 */
export function ladderOptions({ options, pilot }: Pick<TransferPlan, 'options' | 'pilot'>): readonly {
  readonly rung: Rung;
  readonly options: TransferOptions;
}[] {
  const found: { readonly rung: Rung; readonly options: TransferOptions }[] = [];
  let current = options;
  for (const rung of pilot.ladder) {
    const next = withRung(current, rung);
    if (typeof next === 'string' || (rung.kind === 'post-copy' && !pilot.allowPostCopy)) continue;
    found.push({ rung, options: next });
    current = next;
  }
  return found;
}

function takePostCopy(state: PilotState, rung: Rung): RungMove {
  if (!state.policy.allowPostCopy) return pass('the policy does not allow it');
  const { method } = state.options;
  if (method !== 'hybrid' && method !== 'post-copy') return beginAgain(state, rung);
  if (state.postCopy.refusals >= refusalsMax) return pass('the hypervisor refuses it');
  const tried = withTried(state, 'post-copy');
  const next = onNextRung({ ...state, tried, postCopy: { ...state.postCopy, fromLadder: true } });
  return { kind: 'taken', step: askPostCopy(next) };
}

export function askPostCopy(state: PilotState): PilotStep {
  const action: PilotAction = { kind: 'post-copy' };
  const next = took(state, action, { asked: { kind: 'post-copy', atMs: state.readings.timeMs } });
  if (state.postCopy.refusals > 0) return { state: next, action, decision: null };
  return decided(next, action, { action: 'post-copy', reason: figures(state.readings) });
}

/**
 * QEMU sends what is left of the round first, and only then looks for what was written in it, which is no more than what was left as
 * the round began. So the end of a round is the moment to stop the VM, and it is waited for.
 */
function stop(state: PilotState): RungMove {
  const { readings, policy } = state;
  const { rest, remainingBytes, bandwidthBytesPerSecond } = readings;
  if (policy.stopMsMax <= 0) return pass('the policy accepts no stop');
  if (bandwidthBytesPerSecond === null || rest === null) return pass('how long it would take is not known');
  const msOf = (bytes: number): number => (bytes / bandwidthBytesPerSecond) * 1000;
  const stopMs = msOf((remainingBytes ?? rest.bytesMax) + rest.bytesMax);
  if (stopMs > policy.stopMsMax) {
    const fromRound = state.holdRound ?? readings.round;
    const canFit = msOf(rest.bytesMax) <= policy.stopMsMax && readings.round < fromRound + holdRoundsMax;
    if (canFit) return { kind: 'taken', step: wait({ ...state, holdRound: fromRound }) };
    return pass(`it would take ${span(stopMs)}, the policy accepts ${span(policy.stopMsMax)}`);
  }
  const action: PilotAction = { kind: 'stop' };
  const asked = { kind: 'stop', atMs: readings.timeMs } as const;
  const next = fallingBack(took(onNextRung(state), action, { asked, tried: withTried(state, 'stop-and-copy') }), state);
  const reason = `${figures(readings)}: at most about ${span(stopMs)} without the VM, the policy accepts ${span(policy.stopMsMax)}`;
  return taken(next, action, 'stop and copy', reason, state.refusals > 0);
}

function withTried({ tried }: PilotState, name: string): readonly string[] {
  return tried.includes(name) ? tried : [...tried, name];
}

/** What was refused before is asked for again without a word. */
function taken(state: PilotState, action: PilotAction, name: string, reason: string, isAgain: boolean): RungMove {
  const step = isAgain ? { state, action, decision: null } : decided(state, action, { action: name, reason });
  return { kind: 'taken', step };
}

function giveUp(state: PilotState): PilotStep {
  const { readings, options, tried } = state;
  const best = readings.best;
  const bestMs = best?.ms ?? null;
  const sentences = [
    `the VM stays on its source: it writes faster than the transfer can follow (${figures(readings)})`,
    best === null ? '' : `at best ${size(best.bytes)} were left${bestMs === null ? '' : `, ${span(bestMs)} of downtime`}`,
    standing(state.policy.downtimeMsBudget, amount(options.downtimeMsMax)),
    tried.length === 0 ? '' : `tried: ${tried.join(', ')}`,
    'allow a longer downtime, post-copy or a stop, or move it when it is calmer',
  ];
  const message = sentences.filter((sentence) => sentence !== '').join('; ');
  return ended(state, 'give-up', { code: 'not-converging', message });
}
