import { array, assert, check, type Arbitrary, constantFrom, double, integer, oneof, property, record, uint8Array } from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import type { Migration, Progress, VmTruth } from '#core/model/migration.ts';
import {
  absent,
  events,
  exampleLimits,
  exampleProgress,
  exampleRequest,
  excluded,
  fenced,
  failed,
  image,
  lost,
  present,
  refused,
  running,
  truth,
  unreachable,
} from './step-examples.ts';
import type { MigrationEvent, Step } from './step-events.ts';
import { fail } from './step-record.ts';
import { Breach, type Fault, limits, type Machine, machine, run, tapeMax, tapeOf } from './step-runs.ts';
import { askAbort, begin, recover, step } from './step.ts';
import type { Correction } from './truth.ts';

// Many thousand migrations: on a busy machine the default 5 s may not do.
vi.setConfig({ testTimeout: 120_000 });

/** Edges `from -> to` that anything in this file has passed through. */
const passed = new Set<string>();
const notePassage = (from: string, to: string): void => {
  if (from !== to) passed.add(`${from} -> ${to}`);
};

/** Much goes wrong, or now and then something. */
const tapes = oneof(uint8Array({ maxLength: 40, max: 2 * tapeMax, size: 'max' }), uint8Array({ maxLength: 60, max: 255, size: 'max' }));

describe('a migration in a world where anything dies and is cut off at any step', () => {
  it('keeps the laws: one running copy, nothing destroyed that is needed, no false end, no end that never comes', () => {
    const seen = new Set<string>();
    let longest = 0;
    assert(
      property(tapes, (tape) => {
        const ending = run(tape, machine, { onEdge: notePassage, onEffect: (kind) => seen.add(kind) });
        seen.add(ending.outcome).add(ending.migration.failure?.code ?? 'none');
        longest = Math.max(longest, ending.stepsAfter);
      }),
      { numRuns: 100_000 },
    );
    // The world is rich enough for every effect and every end.
    expect([...seen]).toEqual(expect.arrayContaining([...otherEffects, ...corrections, ...ends]));
    expect(longest).toBeGreaterThan(10);
  });

  const quiet: readonly Fault[] = [];
  it.each([
    ['as a pre-copy', [0, 2, 15], 'moved'],
    ['as a post-copy', [2, 2, 15], 'moved'],
    ['as a sealed image', [1, 2, 15], 'moved'],
    ['although its source says that it failed', [0, 2, 63], 'moved'],
    ['unless it gets stuck', [0, 2, 0], 'stayed'],
    ['unless its switch-over does', [0, 2, 1], 'stayed'],
  ] as const)('moves the VM when nothing goes wrong, %s', (_story, setup, outcome) => {
    expect(run(tapeOf(setup, quiet), machine).outcome).toBe(outcome);
  });

  it('calls no person when neither the VM has died nor a host was silent for long', () => {
    const harmless: readonly Fault[] = [
      'none',
      'cut-link',
      'mend-link',
      'source-daemon',
      'destination-daemon',
      'destination-daemon-begins',
      'source-agent',
      'controller',
      'controller-before',
      'abort',
      'lose-answer',
      'forgetful-source',
      'forgetful-destination',
    ];
    const stories = record({
      setup: array(integer({ min: 0, max: 63 }), { minLength: 3, maxLength: 3 }),
      story: array(constantFrom(...harmless), { maxLength: 40, size: 'max' }),
    });
    assert(
      property(stories, ({ setup: [a = 0, b = 0, c = 0], story }) => {
        const { outcome, world, migration } = run(tapeOf([a, b, c], story), { ...machine, limits: { ...limits, truthWaitMsMax: 100_000 } });
        if (outcome === 'unclear') throw new Breach(`${migration.failure?.message} ${world.casualty}`);
      }),
      { numRuns: 10_000 },
    );
  });
});

/** But for `destroy-older-copy`: nobody starts the VM of this world anew. Scenarios have it. */
const corrections: readonly string[] = [
  'recover-post-copy',
  'resume-source',
  'destroy-source-copy',
  'destroy-destination-copy',
  'destroy-abandoned-copy',
  'discard-destination-image',
  'take-image-back',
  'forget-source-image',
] satisfies Correction[];
const otherEffects = ['check', 'secure', 'choose', 'start-transfer', 'watch-transfer', 'abort-transfer', 'ask-truth', 'verify'];
const ends = [
  'moved',
  'stayed',
  'unclear',
  'aborted',
  'migration-stalled',
  'switch-over-stalled',
  'memory-lost',
  'zero-copies',
  'truth-unknown',
];

describe('a machine without one of its rules breaks a law', () => {
  const withTruth = (change: (truth: VmTruth, isSource: boolean) => VmTruth): Machine['step'] => {
    return (migration, event, nowMs, given) => {
      if (event.kind !== 'truth') return step(migration, event, nowMs, given);
      return step(migration, truth(change(event.source, true), change(event.destination, false)), nowMs, given);
    };
  };
  const withEffect = (from: Step['effect']['kind'], to: 'destroy-destination-copy' | 'destroy-source-copy'): Machine['step'] => {
    return (...args) => {
      const next = step(...args);
      return next.effect.kind === from ? { ...next, effect: { kind: to } } : next;
    };
  };
  const never = Number.POSITIVE_INFINITY;
  const mutants: Readonly<Record<string, { readonly machine: Partial<Machine>; readonly breach: RegExp }>> = {
    "the source's word is believed": {
      machine: {
        step: (migration, event, nowMs, given) =>
          event.kind === 'transfer-completed'
            ? { migration: { ...migration, phase: 'verifying' }, effect: { kind: 'verify' } }
            : step(migration, event, nowMs, given),
      },
      breach: /moved, but it does not run/,
    },
    "the destination's half is destroyed": {
      machine: { step: withEffect('recover-post-copy', 'destroy-destination-copy') },
      breach: /destroy-destination-copy/,
    },
    "the source's half is destroyed": {
      machine: { step: withEffect('recover-post-copy', 'destroy-source-copy') },
      breach: /destroy-source-copy/,
    },
    'a destination out of reach counts as empty': {
      machine: { step: withTruth((one, isSource) => (!isSource && one.kind === 'unreachable' ? absent : one)) },
      breach: /resume-source|take-image-back|twice/,
    },
    'a destination that was restarted counts as empty': {
      machine: { step: withTruth((one, isSource) => (!isSource && one.kind === 'present' && one.state === 'crashed' ? absent : one)) },
      breach: /older than what has run/,
    },
    'one answer is enough': {
      machine: {
        step: (migration, event, nowMs, given) => {
          const next = step(migration, event, nowMs, given);
          const isFirst = event.kind === 'truth' && next.effect.kind === 'ask-truth' && next.migration.resolution?.confirmations === 1;
          return isFirst ? step(next.migration, event, nowMs, given) : next;
        },
      },
      breach: /stayed, but|resume-source|take-image-back|twice/,
    },
    'no watchdog of the transfer': { machine: { limits: { ...limits, noProgressMsMax: never } }, breach: /stuck in copying/ },
    'no watchdog of the switch-over, nor of what nobody steers': {
      machine: { limits: { ...limits, switchOverMsMax: never, unattendedMsMax: never } },
      breach: /stuck in resolving/,
    },
    'the storage lock is not taken again': {
      machine: {
        step: (migration, event, nowMs, given) => {
          const next = step(migration, event, nowMs, given);
          return next.effect.kind === 'relock-source' ? step(next.migration, { kind: 'relocked', refusal: null }, nowMs, given) : next;
        },
      },
      breach: /without its lock/,
    },
    'the abort is forgotten': {
      machine: { step: (migration, ...rest) => step({ ...migration, abortAsked: false }, ...rest), askAbort: (migration) => migration },
      breach: /stuck in/,
    },
    'a post-copy is aborted like any other transfer': {
      machine: {
        step: (migration, event, nowMs, given) => {
          const blind: MigrationEvent =
            event.kind === 'transfer-running' ? { ...event, progress: event.progress && { ...event.progress, stage: 'copying' } } : event;
          return step(migration, blind, nowMs, given);
        },
      },
      breach: /a post-copy is aborted/,
    },
    'a restart of the controller counts as if nothing had begun': {
      machine: { recover: (migration, nowMs) => fail(migration, { code: 'controller-restarted', message: 'x' }, nowMs) },
      breach: /stayed, but/,
    },
    'a destination that starts an image counts as empty': {
      machine: { step: withTruth((one, isSource) => (!isSource && one.kind === 'image' && one.standing === 'restoring' ? absent : one)) },
      breach: /take-image-back|twice|moved, but/,
    },
  };

  it.each(Object.entries(mutants))('%s', (_rule, { machine: changes, breach }) => {
    const broken: Machine = { ...machine, ...changes };
    const result = check(
      property(tapes, (tape) => void run(tape, broken)),
      { numRuns: 40_000, endOnFailure: true },
    );
    expect(result.failed).toBe(true);
    expect(String(result.errorInstance)).toMatch(breach);
  });
});

describe('a copy that begins late, after its destination has said twice that it has none', () => {
  // Both hosts are silent as it begins, and its destination loses power as soon as it runs there.
  const story: readonly Fault[] = ['none', 'none', 'none', 'lose-answer', 'source-daemon', 'source-daemon', 'silence-destination']
    .concat(['none', 'none', 'source-daemon', 'power-off-destination'])
    .concat(Array<Fault>(6).fill('none')) as Fault[];
  const patient: Machine = { ...machine, limits: { ...limits, truthWaitMsMax: 100_000 } };

  it('is not forgotten: its older copy on the source is left to a person', () => {
    const { outcome, migration } = run(tapeOf([0, 0, 15], story), patient);
    expect([outcome, migration.failure?.code]).toEqual(['unclear', 'zero-copies']);
  });

  it('would be, if what was said before the first byte counted', () => {
    const hasty: Machine['step'] = (migration, ...rest) => {
      const isResolving = migration.phase === 'resolving';
      return step(isResolving ? { ...migration, lastMoved: { sentBytes: 1, atMs: 0 } } : migration, ...rest);
    };
    expect(() => run(tapeOf([0, 0, 15], story), { ...patient, step: hasty })).toThrow('older than what has run');
  });
});

const states = (['running', 'paused', 'incoming', 'shut-off', 'crashed', 'unknown'] as const).flatMap((state) => [
  present(state),
  present(state, true),
  present(state, true, 'active'),
  present(state, true, 'failed'),
]);
const standings = (['moving', 'kept', 'given', 'offered', 'opened', 'restoring', 'begun'] as const).map((standing) => image(standing));
const truths: readonly VmTruth[] = [absent, unreachable, fenced, excluded, ...states, ...standings];
const otherEvents: readonly MigrationEvent[] = [
  ...Object.values(events),
  running(null),
  running(exampleProgress(500)),
  running(exampleProgress(500, { stage: 'post-copy' })),
  failed('hypervisor-failed'),
  lost(),
  refused(),
];

const figure: Arbitrary<number> = oneof(
  double(),
  constantFrom(0, -1, 1000, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_VALUE, Number.MIN_VALUE),
);
const anyProgress: Arbitrary<Progress> = record({
  remaining: figure,
  stage: constantFrom('copying', 'stopped', 'post-copy', 'post-copy-failed'),
}).map(({ remaining, stage }) => exampleProgress(remaining, { stage }));
const anyEvent: Arbitrary<MigrationEvent> = oneof(
  constantFrom(...otherEvents),
  record({ from: constantFrom(...truths), to: constantFrom(...truths) }).map(({ from, to }) => truth(from, to)),
  anyProgress.map((progress) => running(progress)),
);
const anyMoment = record({ event: anyEvent, nowMs: figure, isAborted: integer({ min: 0, max: 9 }), restarts: integer({ min: 0, max: 9 }) });

describe('any event in any phase', () => {
  it('gives a step: with hostile numbers too, ended only when it has ended, and corrected only after two whole answers', () => {
    assert(
      property(array(anyMoment, { maxLength: 16, size: 'max' }), (moments) => {
        let current = begin(exampleRequest());
        for (const { event, nowMs, isAborted, restarts } of moments) {
          const before = isAborted === 0 ? askAbort(current.migration) : current.migration;
          current = restarts === 0 ? recover(before, nowMs) : step(before, event, nowMs, exampleLimits);
          mustBeSound(before, restarts === 0 ? null : event, current);
          notePassage(before.phase, current.migration.phase);
        }
      }),
      { numRuns: 10_000 },
    );
  });

  it('passes along the edges at the head of step.ts, and along no other', () => {
    explore();
    expect([...passed].toSorted()).toEqual(drawnEdges().toSorted());
  });
});

/** Plain conditions: these are looked at half a million times. */
function mustBeSound(before: Migration, event: MigrationEvent | null, { migration, effect }: Step): void {
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new Breach(`${effect.kind} in ${migration.phase}: ${what}`);
  };
  const isOver = migration.phase === 'done' || migration.phase === 'failed';
  must((effect.kind === 'finish') === isOver, 'finished only when it has ended');
  must(before.endedAtMs === null || migration === before, 'an end is an end');
  must(!before.abortAsked || effect.kind !== 'start-transfer', 'nothing is begun that is to be aborted');
  if (!corrections.includes(effect.kind)) return;
  must((migration.resolution?.confirmations ?? 0) >= 2, 'corrected only after two answers');
  if (event?.kind !== 'truth') throw new Breach(`${effect.kind}: corrected without an answer`);
  must(isWhole(event.source), 'corrected only when the source has answered');
  must(
    isWhole(event.destination) || (before.resolution?.destinationEmptyTimes ?? 0) >= 2,
    'corrected only when the destination has answered',
  );
}

function isWhole({ kind }: VmTruth): boolean {
  return kind !== 'unreachable' && kind !== 'fenced' && kind !== 'excluded';
}

/** Every event, an abort and a restart in every record that can be told from the others by what the machine looks at. */
function explore(): void {
  const job = [present('running', true), present('paused', true), present('running', true, 'active'), present('paused', true, 'failed')];
  const told = truths.filter((one) => one.kind !== 'present' || (!one.jobActive && one.postCopy === null)).concat(job);
  const alphabet = [...otherEvents, ...told.flatMap((from) => told.map((to) => truth(from, to)))];
  const seen = new Set<string>();
  const queue: Migration[] = [];
  const meet = (migration: Migration): void => {
    const { phase, plan, abortAsked, resolution, request } = migration;
    const key = [phase, plan !== null, abortAsked, resolution?.verdict, resolution?.confirmations, request.channelKind].join();
    if (seen.has(key) || (resolution?.confirmations ?? 0) > 5) return;
    seen.add(key);
    queue.push(migration);
  };
  meet(begin(exampleRequest()).migration);
  meet(begin(exampleRequest({ channelKind: 'sealed-image' })).migration);
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    meet(askAbort(next));
    for (const nowMs of [1000, 1e9]) {
      for (const event of [null, ...alphabet]) {
        const { migration } = event === null ? recover(next, nowMs) : step(next, event, nowMs, exampleLimits);
        notePassage(next.phase, migration.phase);
        meet(migration);
      }
    }
  }
}

/** The lines ` *   phase -> phase  why`. */
function drawnEdges(): readonly string[] {
  const head = readFileSync(new URL('step.ts', import.meta.url), 'utf8').split('*/')[0] ?? '';
  return [...head.matchAll(/^ \*   (\w+) +-> (\w+) {2,}\S/gm)].map(([, from, to]) => `${from} -> ${to}`);
}
