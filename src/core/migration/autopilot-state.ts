/** What the autopilot knows, and what it can ask for. Plain data. */
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Decision, PilotPolicy, Rung, TransferOptions } from '#core/model/method.ts';
import type { Refusal } from '#core/model/result.ts';
import { amount, expectingChange, noReadings, type Readings } from './autopilot-readings.ts';

export type PilotAction =
  | { readonly kind: 'continue' }
  | { readonly kind: 'set-downtime'; readonly downtimeMsMax: number }
  | { readonly kind: 'post-copy' }
  /** Stops the VM, so that the next round is the last. */
  | { readonly kind: 'stop' }
  /** Abort the transfer and begin it again with these options, then say `restarted`. */
  | { readonly kind: 'restart'; readonly options: TransferOptions }
  /** Abort; the VM, which is stopped, comes back on its source. */
  | { readonly kind: 'cancel-switch-over'; readonly refusal: Refusal }
  /** Abort; the VM runs on its source all the time. */
  | { readonly kind: 'give-up'; readonly refusal: Refusal };

export interface PilotStep {
  readonly state: PilotState;
  readonly action: PilotAction;
  readonly decision: Decision | null;
}

export interface PilotLimits {
  /** Rungs that this hypervisor cannot take, and why; see `ladderOptions`. */
  readonly unsupported: readonly { readonly rung: Rung; readonly why: string }[];
  /** A copy of which not a byte leaves for this long is given up. */
  readonly noProgressMsMax: number;
}

/** As `noProgressMsMax` of the default policy. */
export const defaultLimits: PilotLimits = { unsupported: [], noProgressMsMax: 150_000 };

export interface PilotState {
  readonly policy: PilotPolicy;
  readonly limits: PilotLimits;
  /** Those in force. */
  readonly options: TransferOptions;
  /** For how long the VM may be stopped in all; null: nobody has said. */
  readonly stopMsAccepted: number | null;
  /** For how long at most rounds that leave no less are waited for. */
  readonly stuckMsMax: number;
  readonly startedAtMs: number;
  readonly nowMs: number;
  readonly attempt: number;
  readonly phase: 'watching' | 'restarting' | 'over';
  readonly phaseSinceMs: number;
  readonly readings: Readings;
  /** Index of the next rung; how often it was taken, and how often it was refused. */
  readonly rung: number;
  readonly steps: number;
  readonly refusals: number;
  /** The round from which on a good moment to stop the VM is waited for. */
  readonly holdRound: number | null;
  /** Takes the next rung, without waiting for patience to end again, from this time of `readings` on. */
  readonly climbAtMs: number | null;
  readonly postCopy: { readonly fromLadder: boolean; readonly refusals: number; readonly notBeforeMs: number };
  /** Asked for and not refused, and not seen to happen yet. */
  readonly asked: { readonly kind: 'post-copy' | 'stop'; readonly atMs: number } | null;
  /** The action whose failure can still be told, and the state in which it was chosen. */
  readonly last: { readonly action: PilotAction; readonly before: Pick<PilotState, 'rung' | 'steps' | 'options' | 'refusals'> } | null;
  /** The action that ends the transfer; when it is said again because it was refused. */
  readonly ending: { readonly action: PilotAction; readonly againAtMs: number | null; readonly refusals: number } | null;
  /** Parts of the VM are on its destination: from here on nothing is aborted or begun again. */
  readonly isHandedOver: boolean;
  /** This time without bytes has been spoken of; so many have been. */
  readonly quietNoted: boolean;
  readonly quietNotes: number;
  readonly tried: readonly string[];
  /** What was decided when the hypervisor refused something; given with the next reading. */
  readonly untold: Decision | null;
  /** Since the last decision, for the next one's reason. */
  readonly passedOver: readonly string[];
}

/** At four readings per second less than this says nothing. */
const patienceMsMin = 1000;

/** A stall ends patience after so many times what the whole transfer was to take, and not before this. */
const stuckTimes = 4;
const stuckMsMin = 600_000;

export function firstState(plan: TransferPlan, nowMs: number, limits: PilotLimits): PilotState {
  const atMs = Number.isFinite(nowMs) ? nowMs : 0;
  return {
    policy: sound(plan.pilot),
    limits: { unsupported: limits.unsupported, noProgressMsMax: amount(limits.noProgressMsMax) },
    options: plan.options,
    stopMsAccepted: acceptedStop(plan),
    stuckMsMax: longestStall(plan),
    startedAtMs: atMs,
    nowMs: atMs,
    attempt: 1,
    phase: 'watching',
    phaseSinceMs: 0,
    readings: noReadings,
    rung: 0,
    steps: 0,
    refusals: 0,
    ...freshAttempt,
    last: null,
    ending: null,
    isHandedOver: false,
    quietNoted: false,
    quietNotes: 0,
    tried: [],
    untold: null,
    passedOver: [],
  };
}

export const freshAttempt = {
  holdRound: null,
  climbAtMs: null,
  postCopy: { fromLadder: false, refusals: 0, notBeforeMs: 0 },
  asked: null,
} as const satisfies Partial<PilotState>;

function sound(policy: PilotPolicy): PilotPolicy {
  return {
    ...policy,
    downtimeMsBudget: Math.floor(amount(policy.downtimeMsBudget)),
    stopMsMax: amount(policy.stopMsMax),
    patienceMs: Math.max(patienceMsMin, amount(policy.patienceMs)),
    switchOverMsMax: Math.max(patienceMsMin, amount(policy.switchOverMsMax)),
  };
}

export function stopsTheVm({ method }: TransferOptions): boolean {
  return method === 'stop-and-copy' || method === 'save-restore';
}

/** What the policy, the wish or the prediction said before the start. A stop that was asked for by name, with none of them, has no bound. */
function acceptedStop({ options, pilot, prediction }: TransferPlan): number | null {
  const stopMsMax = amount(pilot.stopMsMax);
  const allowed = Math.max(stopMsMax, amount(pilot.downtimeMsBudget), amount(options.downtimeMsMax));
  if (!stopsTheVm(options)) return allowed;
  if (prediction !== null) return Math.max(allowed, amount(prediction.downtimeMs.high));
  return stopMsMax > 0 ? allowed : null;
}

function longestStall({ pilot, prediction }: TransferPlan): number {
  return Math.max(stuckMsMin, amount(pilot.patienceMs), stuckTimes * amount(prediction?.totalMs.expected ?? 0));
}

export function wait(state: PilotState): PilotStep {
  return { state, action: { kind: 'continue' }, decision: null };
}

/** An action of which somebody must be told, with the reason. */
export function decided(state: PilotState, action: PilotAction, said: { readonly action: string; readonly reason: string }): PilotStep {
  const { passedOver } = state;
  const reason = passedOver.length === 0 ? said.reason : `${said.reason}; passed over: ${passedOver.join('; ')}`;
  return { state: { ...state, passedOver: [] }, action, decision: decisionOf(state, said.action, reason) };
}

function decisionOf({ nowMs, startedAtMs }: PilotState, action: string, reason: string): Decision {
  return { by: 'autopilot', atMs: nowMs, elapsedMs: Math.max(0, nowMs - startedAtMs), action, reason };
}

/** Whatever was chosen needs its time before the next is. */
export function took(state: PilotState, action: PilotAction, after: Partial<PilotState>): PilotState {
  const { rung, steps, options, refusals } = state;
  return {
    ...state,
    readings: expectingChange(state.readings),
    climbAtMs: null,
    ...after,
    last: { action, before: { rung, steps, options, refusals } },
  };
}

export function ended(state: PilotState, kind: 'give-up' | 'cancel-switch-over', refusal: Refusal): PilotStep {
  const action: PilotAction = { kind, refusal };
  const next: PilotState = {
    ...took(state, action, { phase: 'over', phaseSinceMs: state.readings.timeMs }),
    ending: { action, againAtMs: null, refusals: 0 },
  };
  return decided(next, action, { action: kind === 'give-up' ? 'give up' : 'cancel the switch-over', reason: refusal.message });
}
