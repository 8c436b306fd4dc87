/** For tests: plans, readings, VMs, and flights of a pre-copy that the autopilot steers, in virtual time. */
import type { Decision, PilotPolicy, Rung, TransferOptions } from '#core/model/method.ts';
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Progress } from '#core/model/migration.ts';
import { pilotPolicyOf } from '#core/model/policy.ts';
import type { Refusal } from '#core/model/result.ts';
import { PreCopy, stepMs, type World } from './autopilot-model.ts';
import { actionFailed, pilot, type PilotAction, type PilotLimits, type PilotState, restarted, startPilot } from './autopilot.ts';
import { exampleOptions } from './forecast-examples.ts';

export const mebibyte = 2 ** 20;

export function examplePlan(
  options: Partial<TransferOptions> = {},
  policy: Partial<PilotPolicy> = {},
  more: Partial<TransferPlan> = {},
): TransferPlan {
  return {
    options: exampleOptions({ downtimeMsMax: 128, ...options }),
    pilot: { ...pilotPolicyOf('balanced'), ...policy },
    reason: 'an example',
    prediction: null,
    ...more,
  };
}

const readingMs = 250;

export interface Flight {
  readonly end: 'moved' | 'given-up' | 'cancelled' | 'running';
  readonly refusal: Refusal | null;
  readonly actions: readonly Exclude<PilotAction, { kind: 'continue' }>[];
  readonly decisions: readonly Decision[];
  readonly stoppedMs: number;
  readonly atMs: number;
  readonly attempts: readonly TransferOptions[];
  readonly state: PilotState;
}

/** Flies a transfer to its end, or until `untilMs`. */
export function fly(world: World, plan: TransferPlan, untilMs = 3_600_000, limits?: PilotLimits): Flight {
  let state = startPilot(plan, 0, limits);
  let job = new PreCopy(world, plan.options);
  let begunMs = 0;
  const attempts = [plan.options];
  const actions: Exclude<PilotAction, { kind: 'continue' }>[] = [];
  const decisions: Decision[] = [];
  const flight = (end: Flight['end'], atMs: number, refusal: Refusal | null = null): Flight => {
    return { end, refusal, actions, decisions, stoppedMs: job.stoppedMs, atMs, attempts, state };
  };
  for (let timeMs = stepMs; timeMs <= untilMs; timeMs += stepMs) {
    job.advance(timeMs);
    if (job.isOver) return flight('moved', timeMs);
    if (timeMs % readingMs !== 0) continue;
    const step = pilot(state, world.told?.(job.progress) ?? job.progress, timeMs);
    state = step.state;
    const { action } = step;
    if (step.decision !== null) decisions.push(step.decision);
    if (action.kind === 'continue') continue;
    actions.push(action);
    const refusal = world.refuses?.(action, timeMs - begunMs) ?? null;
    if (refusal !== null) state = actionFailed(state, action, refusal, timeMs);
    else if (action.kind === 'give-up') return flight('given-up', timeMs, action.refusal);
    else if (action.kind === 'cancel-switch-over') return flight('cancelled', timeMs, action.refusal);
    else if (action.kind === 'restart') {
      job = new PreCopy(world, action.options);
      begunMs = timeMs;
      attempts.push(action.options);
      state = restarted(state, timeMs);
    } else job.change(action);
  }
  return flight('running', untilMs);
}

export const exampleRungs: readonly Rung[] = [
  { kind: 'raise-downtime' },
  { kind: 'streams', streams: 4 },
  { kind: 'compress', compression: 'xbzrle' },
  { kind: 'compress', compression: 'zstd' },
  { kind: 'auto-converge', initialPercent: 20, incrementPercent: 10 },
  { kind: 'post-copy' },
  { kind: 'stop-and-copy' },
];

export const idle: World = {
  memoryBytes: 512 * mebibyte,
  workingSetBytes: 8 * mebibyte,
  writesBytesPerSecond: () => mebibyte,
  carriesBytesPerSecond: () => 20 * mebibyte,
};
export const heavy: World = { ...idle, workingSetBytes: 128 * mebibyte, writesBytesPerSecond: () => 60 * mebibyte };
export const postCopyPolicy = { ...pilotPolicyOf('must-move'), allowPostCopy: true };

export function kinds({ actions }: Flight): readonly string[] {
  return actions.map(({ kind }) => kind);
}

export function names(decisions: readonly Decision[]): readonly string[] {
  return decisions.map(({ action }) => action);
}

/** One reading after another, four per second. */
export function feed(
  from: PilotState,
  readings: readonly (Partial<Progress> | null)[],
): { readonly state: PilotState; readonly actions: readonly PilotAction[]; readonly decisions: readonly Decision[] } {
  let state = from;
  const actions: PilotAction[] = [];
  const decisions: Decision[] = [];
  for (const reading of readings) {
    const step = pilot(state, reading === null ? null : { ...exampleProgress, ...reading }, state.nowMs + 250);
    state = step.state;
    if (step.action.kind !== 'continue') actions.push(step.action);
    if (step.decision !== null) decisions.push(step.decision);
  }
  return { state, actions, decisions };
}

export const exampleProgress: Progress = {
  elapsedMs: 0,
  memoryTotalBytes: 512 * mebibyte,
  memoryRemainingBytes: 100 * mebibyte,
  memorySentBytes: 0,
  bandwidthBytesPerSecond: null,
  dirtyPagesPerSecond: null,
  pageSizeBytes: null,
  iteration: null,
  expectedDowntimeMs: null,
  stage: 'copying',
  throttlePercent: null,
};

export function times<Value>(count: number, of: (index: number) => Value): readonly Value[] {
  return Array.from({ length: count }, (_, index) => of(index));
}

export const sending = (index: number): Partial<Progress> => ({ memorySentBytes: (index + 1) * 5 * mebibyte });
