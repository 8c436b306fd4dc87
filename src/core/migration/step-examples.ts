/** For tests: requests, events and truths of a migration. */
import { exampleProof, exampleReading } from '#core/channel/examples.ts';
import type { ImageStanding, JobOutcome, MigrationRequest, Progress, VmTruth } from '#core/model/migration.ts';
import type { RefusalCode } from '#core/model/result.ts';
import type { PostCopyState, VmState } from '#core/model/vm.ts';
import { examplePlan } from './autopilot-examples.ts';
import type { EventOf, MigrationEvent, Step, StepLimits } from './step-events.ts';
import { askAbort, begin, step } from './step.ts';

export const exampleLimits: StepLimits = {
  noProgressMsMax: 10_000,
  truthWaitMsMax: 60_000,
  switchOverMsMax: 20_000,
  unattendedMsMax: 600_000,
};

export function exampleRequest(changes: Partial<MigrationRequest> = {}): MigrationRequest {
  return {
    migrationId: 'm1',
    vmId: '00000000-0000-4000-8000-000000000001',
    vmName: 'web1',
    fromHostId: 'a',
    toHostId: 'b',
    cause: 'balance',
    askedBy: 'planner',
    approvedBy: null,
    channelKind: 'ipsec',
    grantId: null,
    planId: null,
    vmEpoch: 1,
    wish: { method: 'auto' },
    askedAtMs: 0,
    ...changes,
  };
}

export function exampleProgress(memoryRemainingBytes: number, changes: Partial<Progress> = {}): Progress {
  return {
    elapsedMs: 1,
    memoryTotalBytes: 100,
    memoryRemainingBytes,
    memorySentBytes: 0,
    bandwidthBytesPerSecond: null,
    dirtyPagesPerSecond: null,
    pageSizeBytes: null,
    iteration: null,
    expectedDowntimeMs: null,
    stage: 'copying',
    throttlePercent: null,
    ...changes,
  };
}

export const exampleOutcome: JobOutcome = { totalMs: 900, downtimeMs: 50, memorySentBytes: 100, iterations: 2 };

export const absent: VmTruth = { kind: 'absent' };
export const unreachable: VmTruth = { kind: 'unreachable' };
export const fenced: VmTruth = { kind: 'fenced' };
export const excluded: VmTruth = { kind: 'excluded' };
export const present = (state: VmState, jobActive = false, postCopy: PostCopyState | null = null): VmTruth => {
  return { kind: 'present', state, jobActive, postCopy };
};
export const image = (standing: ImageStanding): VmTruth => ({ kind: 'image', standing });

const reading = exampleReading();

/** One event of each kind but the truth, as the hosts of a migration that goes well would have them. */
export const events = {
  checked: { kind: 'checked' },
  secured: { kind: 'secured', proof: exampleProof, tuning: null },
  unproven: { kind: 'secured', proof: null, tuning: null },
  chosen: { kind: 'chosen', plan: examplePlan(), decisions: [] },
  started: { kind: 'transfer-started', reading },
  completed: { kind: 'transfer-completed', outcome: exampleOutcome, reading, decisions: [] },
  abortSent: { kind: 'abort-sent' },
  corrected: { kind: 'corrected' },
  recovered: { kind: 'recovered' },
  relocked: { kind: 'relocked', refusal: null },
  verified: { kind: 'verified', reading, measures: null },
} as const satisfies Record<string, MigrationEvent>;

export function running(progress: Progress | null, more: Partial<EventOf<'transfer-running'>> = {}): EventOf<'transfer-running'> {
  return { kind: 'transfer-running', progress, decisions: [], ...more };
}

export function failed(code: RefusalCode, message = 'x', more: Partial<EventOf<'transfer-failed'>> = {}): EventOf<'transfer-failed'> {
  return { kind: 'transfer-failed', refusal: { code, message }, reading: null, decisions: [], ...more };
}

export function lost(code: RefusalCode = 'agent-restarted', message = 'gone'): EventOf<'transfer-lost'> {
  return { kind: 'transfer-lost', refusal: { code, message } };
}

export function refused(code: RefusalCode = 'no-memory', message = 'no'): EventOf<'refused'> {
  return { kind: 'refused', refusal: { code, message } };
}

export function truth(source: VmTruth, destination: VmTruth, isRestartable = false): EventOf<'truth'> {
  return { kind: 'truth', source, destination, isRestartable };
}

/** What happens until the copy is under way. */
export const copying: readonly MigrationEvent[] = [events.checked, events.secured, events.chosen, events.started];

/** One event each second. */
export function play(story: readonly MigrationEvent[], start: Step = begin(exampleRequest())): Step {
  let now = 0;
  let current = start;
  for (const event of story) {
    now += 1000;
    current = step(current.migration, event, now, exampleLimits);
  }
  return current;
}

/** Asked for now; what comes next is as if it had come after that. */
export function aborting({ migration, effect }: Step): Step {
  return { migration: askAbort(migration), effect };
}

export function times(count: number, ...story: readonly MigrationEvent[]): readonly MigrationEvent[] {
  return Array.from({ length: count }, () => story).flat();
}
