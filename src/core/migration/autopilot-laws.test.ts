import { readFileSync } from 'node:fs';
import {
  array,
  assert,
  boolean,
  constant,
  constantFrom,
  double,
  integer,
  oneof,
  property,
  record,
  sample,
  shuffledSubarray,
  tuple,
} from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { TransferPlan } from '#core/model/forecast.ts';
import { type Decision, methods } from '#core/model/method.ts';
import type { Progress, TransferStage } from '#core/model/migration.ts';
import { examplePlan, exampleRungs, fly, mebibyte } from './autopilot-examples.ts';
import type { World } from './autopilot-model.ts';
import { limitFor } from './downtime-limit.ts';
import { actionFailed, pilot, type PilotAction, type PilotState, restarted, startPilot } from './autopilot.ts';

// Thousands of transfers: on a busy machine the default 5 s may not do.
vi.setConfig({ testTimeout: 60_000 });

/** Figures of any kind, and often of a size that a transfer has. */
const figure = oneof(
  { weight: 8, arbitrary: integer({ min: 0, max: 512 }).map((mebibytes) => mebibytes * mebibyte) },
  { weight: 1, arbitrary: double() },
  { weight: 1, arbitrary: constantFrom(0, -1, 1, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_VALUE, Number.MIN_VALUE) },
);
const orNull = (arbitrary: Arbitrary<number>): Arbitrary<number | null> => oneof(arbitrary, constant(null));
const stages = oneof(
  { weight: 30, arbitrary: constant<TransferStage>('copying') },
  { weight: 2, arbitrary: constant<TransferStage>('stopped') },
  { weight: 1, arbitrary: constantFrom<TransferStage>('post-copy', 'post-copy-failed') },
);
const anyProgress: Arbitrary<Progress> = record({
  elapsedMs: figure,
  memoryTotalBytes: figure,
  memoryRemainingBytes: figure,
  memorySentBytes: figure,
  bandwidthBytesPerSecond: orNull(figure),
  dirtyPagesPerSecond: orNull(figure),
  pageSizeBytes: orNull(constantFrom(4096, 0, Number.NaN)),
  iteration: orNull(oneof(integer({ min: 0, max: 30 }), figure)),
  expectedDowntimeMs: orNull(figure),
  stage: stages,
  throttlePercent: orNull(integer({ min: 0, max: 99 })),
});

const plans: Arbitrary<TransferPlan> = record({
  method: constantFrom(...methods),
  ladder: shuffledSubarray([...exampleRungs]),
  downtimeMsMax: oneof(integer({ min: 0, max: 100 }), integer({ min: 0, max: 2000 }), figure),
  downtimeMsBudget: oneof(integer({ min: 0, max: 4000 }), figure),
  allowPostCopy: boolean(),
  stopMsMax: oneof(integer({ min: 0, max: 60_000 }), figure),
  patienceMs: oneof(integer({ min: 0, max: 5000 }), figure),
  switchOverMsMax: oneof(integer({ min: 0, max: 10_000 }), figure),
}).map(({ method, downtimeMsMax, ...policy }) => examplePlan({ method, downtimeMsMax }, policy));

interface Happening {
  readonly progress: Progress | null;
  readonly dtMs: number;
  readonly isRefused: boolean;
  readonly isSlow: boolean;
}
const happenings: Arbitrary<readonly Happening[]> = array(
  record({
    progress: oneof({ weight: 12, arbitrary: anyProgress }, { weight: 1, arbitrary: constant(null) }),
    dtMs: oneof({ weight: 8, arbitrary: constantFrom(250, 1000, 4000) }, { weight: 1, arbitrary: oneof(integer(), constant(Number.NaN)) }),
    isRefused: integer({ min: 0, max: 5 }).map((die) => die === 0),
    isSlow: integer({ min: 0, max: 9 }).map((die) => die === 0),
  }),
  { maxLength: 120, size: 'max' },
);
/** The same figures, in the order in which a transfer that does not converge has them. */
const stubborn: Arbitrary<readonly Happening[]> = tuple(happenings, integer({ min: 1, max: 60 }), boolean()).map(
  ([all, mebibytes, counts]) =>
    all.map((happening, index) => ({
      ...happening,
      dtMs: 1000,
      progress: happening.progress && {
        ...happening.progress,
        memoryTotalBytes: 512 * mebibyte,
        memorySentBytes: (Math.min(index, 90) + 1) * 20 * mebibyte,
        memoryRemainingBytes: (index % 2 === 0 ? mebibytes : mebibytes / 2) * mebibyte,
        bandwidthBytesPerSecond: 20 * mebibyte,
        iteration: counts ? index + 1 : null,
        throttlePercent: null,
        stage: stageAt(index, all[0]?.isRefused === true ? happening.progress.stage : 'stopped'),
      },
    })),
);

function stageAt(index: number, inTheEnd: TransferStage): TransferStage {
  return index < 90 ? 'copying' : inTheEnd;
}

interface Taken {
  readonly before: PilotState;
  readonly after: PilotState;
  readonly action: PilotAction;
  readonly isRefused: boolean;
}
interface Ride {
  readonly taken: readonly Taken[];
  readonly decisions: readonly Decision[];
  readonly moves: ReadonlySet<string>;
  readonly state: PilotState;
}

function ride(plan: TransferPlan, all: readonly Happening[]): Ride {
  const isStuck = all[1]?.isRefused === true;
  const noProgressMsMax = all[2]?.isRefused === true ? 1_000_000 : 20_000;
  let state = startPilot(plan, 0, { unsupported: [], noProgressMsMax });
  let nowMs = 0;
  const taken: Taken[] = [];
  const decisions: Decision[] = [];
  const moves = new Set<string>();
  const refusal = { code: 'vm-busy', message: 'not now' } as const;
  const go = (next: PilotState, by: string): void => {
    moves.add(`${state.phase} -> ${next.phase}: ${by}`);
    state = next;
  };
  for (const { progress, dtMs, isRefused, isSlow } of all) {
    nowMs += dtMs;
    const before = state;
    const step = pilot(state, progress, nowMs);
    go(step.state, step.action.kind);
    if (step.decision !== null) decisions.push(step.decision);
    taken.push({ before, after: step.state, action: step.action, isRefused });
    if (step.action.kind !== 'continue' && isRefused) go(actionFailed(state, step.action, refusal, nowMs), 'refused');
    else if (!isSlow && !isStuck && state.phase === 'restarting') go(restarted(state, nowMs), 'restarted');
  }
  return { taken, decisions, moves, state };
}

const rides = tuple(plans, oneof(happenings, stubborn));

function law(name: string, holds: (ride: Ride, plan: TransferPlan, all: readonly Happening[]) => void): void {
  it(name, () => {
    assert(
      property(rides, ([plan, all]) => holds(ride(plan, all), plan, all)),
      { numRuns: 200 },
    );
  });
}

describe('laws of the autopilot, whatever the hypervisor says', () => {
  law('same readings, same answers', (first, plan, all) => {
    const { taken, decisions, state } = ride(plan, all);
    expect(JSON.stringify([taken, decisions, state])).toBe(JSON.stringify([first.taken, first.decisions, first.state]));
  });

  law('the downtime limit is raised, never above that of the budget', ({ taken }, plan) => {
    for (const { before, action } of taken) {
      if (action.kind !== 'set-downtime') continue;
      expect(action.downtimeMsMax).toBeLessThanOrEqual(limitFor(plan.pilot.downtimeMsBudget));
      expect(Number.isSafeInteger(action.downtimeMsMax)).toBe(true);
      if (before.options.downtimeMsMax > 0) expect(action.downtimeMsMax).toBeGreaterThan(before.options.downtimeMsMax);
    }
  });

  law('no post-copy without leave', ({ taken }, { pilot: { allowPostCopy }, options }) => {
    const forbidden = taken.find(
      ({ action }) => action.kind === 'post-copy' || (action.kind === 'restart' && action.options.method !== options.method),
    );
    if (!allowPostCopy) expect(forbidden).toBeUndefined();
  });

  law('no stop that is expected to take longer than accepted', ({ taken }, { pilot: { stopMsMax } }) => {
    for (const { after, action } of taken) {
      if (action.kind !== 'stop') continue;
      const { remainingBytes, rest, bandwidthBytesPerSecond } = after.readings;
      const bytes = (remainingBytes ?? 0) + (rest?.bytesMax ?? 0);
      expect(bandwidthBytesPerSecond).toBeGreaterThan(0);
      expect((bytes / (bandwidthBytesPerSecond ?? 0)) * 1000).toBeLessThanOrEqual(stopMsMax);
    }
  });

  law('the ladder is walked in order, each rung once, the downtime in four steps at most', ({ taken }, { pilot: { ladder } }) => {
    let reached = -1;
    let raised = 0;
    for (const { action, isRefused } of taken) {
      const rung = ladder.findIndex((each) => isOf(action, each.kind));
      if (rung < 0 || isRefused) continue;
      if (action.kind === 'restart') continue;
      if (action.kind === 'set-downtime') {
        raised += 1;
        expect(rung).toBeGreaterThanOrEqual(reached);
      } else expect(rung).toBeGreaterThan(reached);
      reached = rung;
    }
    expect(raised).toBeLessThanOrEqual(4);
    const places = taken.filter(({ isRefused }) => !isRefused).map(({ after }) => after.rung);
    expect(places).toEqual(places.toSorted((one, other) => one - other));
    const restarts = taken.filter(({ action, isRefused }) => action.kind === 'restart' && !isRefused);
    expect(restarts.length).toBeLessThanOrEqual(ladder.length);
  });

  law('after the end there is nothing else, but the same end again when it was refused', ({ taken }) => {
    let end: PilotAction | null = null;
    let wasRefused = false;
    for (const { action, isRefused } of taken) {
      if (end !== null && action.kind !== 'continue') {
        expect(action).toEqual(end);
        expect(wasRefused).toBe(true);
      }
      if (action.kind === 'give-up' || action.kind === 'cancel-switch-over') {
        end = action;
        wasRefused = isRefused;
      }
    }
  });

  law('once the VM runs on its destination, nothing is done', ({ taken }) => {
    const wanted = taken.find(({ before, action }) => before.isHandedOver && action.kind !== 'continue');
    expect(wanted).toBeUndefined();
    const told = taken.map(({ after }) => after.readings.stage);
    const first = told.findIndex((stage) => stage.startsWith('post-copy'));
    if (first >= 0) expect(taken.slice(first).every(({ action }) => action.kind === 'continue')).toBe(true);
  });

  law('decisions are few, and are sentences with plain figures', ({ decisions }, { pilot: { ladder } }) => {
    expect(decisions.length).toBeLessThanOrEqual(20 + 12 * ladder.length);
    for (const { action, reason, atMs, elapsedMs } of decisions) {
      expect(`${action} ${reason}`).not.toMatch(/NaN|Infinity|undefined|null/);
      expect(Number.isFinite(atMs) && elapsedMs >= 0).toBe(true);
    }
  });

  law('it moves between its phases as drawn at the head of its file', ({ moves }) => {
    const lines = drawn();
    for (const move of changesIn(moves)) expect(lines).toContain(move);
  });

  it('every line that is drawn there is seen', () => {
    const missing = new Set(drawn());
    for (let seed = 1; seed <= 60 && missing.size > 0; seed += 1) {
      for (const [plan, all] of sample(rides, { seed, numRuns: 200 })) for (const move of ride(plan, all).moves) missing.delete(move);
    }
    expect([...missing]).toEqual([]);
  });
});

function changesIn(moves: ReadonlySet<string>): readonly string[] {
  return [...moves].filter((move) => !/(\w+) -> \1: (continue|refused|restarted)$/.test(move) && !move.startsWith('over'));
}

function isOf(action: PilotAction, rung: string): boolean {
  return (action.kind === 'set-downtime' && rung === 'raise-downtime') || (action.kind === 'stop' && rung === 'stop-and-copy');
}

/** `from -> to: what`, one for each of the phases and events that a line names. */
function drawn(): readonly string[] {
  const head = readFileSync(new URL('autopilot.ts', import.meta.url), 'utf8').split('*/')[0] ?? '';
  const lines = [...head.matchAll(/^ \* {3}([a-z, ]+?) +-> (\w+) +([a-z-]+(?:, [a-z-]+)*)(?=:|$)/gm)];
  return lines.flatMap(([, froms = '', to = '', whats = '']) =>
    froms.split(', ').flatMap((from) => whats.split(', ').map((what) => `${from} -> ${to}: ${what}`)),
  );
}

describe('laws of the autopilot, with a VM and a channel that stay as they are', () => {
  const worlds: Arbitrary<World> = record({
    memory: integer({ min: 32, max: 512 }),
    set: integer({ min: 1, max: 256 }),
    writes: integer({ min: 0, max: 100 }),
    carries: integer({ min: 2, max: 100 }),
  }).map(({ memory, set, writes, carries }) => ({
    memoryBytes: memory * mebibyte,
    workingSetBytes: Math.min(memory, set) * mebibyte,
    writesBytesPerSecond: () => writes * mebibyte,
    carriesBytesPerSecond: () => carries * mebibyte,
  }));
  const policies = record({
    ladder: shuffledSubarray([...exampleRungs]),
    downtimeMsBudget: integer({ min: 1, max: 4000 }),
    allowPostCopy: boolean(),
    stopMsMax: integer({ min: 0, max: 30_000 }),
    patienceMs: integer({ min: 2000, max: 20_000 }),
  });

  it('it always ends, and a VM that was moved was stopped for no longer than accepted', () => {
    const ends = new Set<string>();
    assert(
      property(
        worlds,
        policies,
        integer({ min: 1, max: 500 }),
        constantFrom('pre-copy', 'hybrid'),
        (world, policy, downtimeMsMax, method) => {
          const flight = fly(world, examplePlan({ method, downtimeMsMax }, policy), 7_200_000);
          ends.add(flight.end);
          expect(['moved', 'given-up']).toContain(flight.end);
          // How long a stop will be is foreseen from the rounds before it; a rest that still grows makes it a little longer.
          const foreseen = flight.actions.some(({ kind }) => kind === 'stop') ? 1.1 : 1;
          const accepted = Math.max(policy.stopMsMax, policy.downtimeMsBudget, downtimeMsMax);
          if (flight.end === 'moved') expect(flight.stoppedMs).toBeLessThanOrEqual(accepted * foreseen + 20);
          else expect(flight.stoppedMs).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
    expect(ends).toEqual(new Set(['moved', 'given-up']));
  });
});
