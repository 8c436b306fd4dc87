import { describe, expect, it } from 'vitest';
import type { Progress } from '#core/model/migration.ts';
import { pilotPolicyOf } from '#core/model/policy.ts';
import {
  examplePlan,
  exampleProgress,
  exampleRungs,
  feed,
  fly,
  heavy,
  idle,
  kinds,
  mebibyte,
  names,
  postCopyPolicy,
  sending,
  times,
} from './autopilot-examples.ts';
import { stepMs, type World } from './autopilot-model.ts';
import { ladderOptions, startPilot } from './autopilot.ts';
import { noCorrections } from './forecast-corrections.ts';
import { exampleFacts } from './forecast-examples.ts';
import { predict } from './prediction.ts';

describe('the autopilot', () => {
  it('leaves an idle VM alone', () => {
    const flight = fly(idle, examplePlan());
    expect(flight).toMatchObject({ end: 'moved', actions: [], decisions: [] });
  });

  it('leaves a first pass of twenty minutes alone', () => {
    const flight = fly({ ...idle, memoryBytes: 24 * 1024 * mebibyte }, examplePlan());
    expect(flight).toMatchObject({ end: 'moved', actions: [] });
    expect(flight.atMs).toBeGreaterThan(1_200_000);
  });

  it('waits while each round leaves less, however long the rounds take', () => {
    const slow: World = {
      ...idle,
      memoryBytes: 8192 * mebibyte,
      workingSetBytes: 8192 * mebibyte,
      writesBytesPerSecond: () => 12 * mebibyte,
    };
    expect(fly(slow, examplePlan())).toMatchObject({ end: 'moved', actions: [] });
  });

  it('raises the downtime to what is needed, and says why with figures', () => {
    const flight = fly({ ...idle, workingSetBytes: 9 * mebibyte, writesBytesPerSecond: () => 60 * mebibyte }, examplePlan());
    expect(flight.end).toBe('moved');
    expect(kinds(flight)).toEqual(['set-downtime']);
    expect(flight.decisions[0]).toMatchObject({
      by: 'autopilot',
      action: expect.stringMatching(/^raise downtime limit to \d+ ms$/),
      reason: expect.stringMatching(
        /^[\d.]+ MiB are left after round \d+, the VM writes [\d.]+ MiB\/s, the channel carries [\d.]+ MiB\/s; the VM may stand still for 1 s: QEMU is told \d+ ms$/,
      ),
    });
    expect(flight.stoppedMs).toBeLessThanOrEqual(628 + stepMs);
  });

  it('control arm: without a budget above the limit the same VM stays where it is', () => {
    const writer: World = { ...idle, workingSetBytes: 9 * mebibyte, writesBytesPerSecond: () => 60 * mebibyte };
    const policy = { ...pilotPolicyOf('gentle'), downtimeMsBudget: 300 };
    expect(fly(writer, examplePlan({}, policy))).toMatchObject({ end: 'given-up', refusal: { code: 'not-converging' } });
  });
});

describe('a heavy writer', () => {
  it('is given up cleanly by the gentle preset', () => {
    const flight = fly(heavy, examplePlan({}, pilotPolicyOf('gentle')));
    expect(flight).toMatchObject({ end: 'given-up', stoppedMs: 0, refusal: { code: 'not-converging' } });
    expect(names(flight.decisions)).toEqual(['raise downtime limit to 271 ms', 'give up']);
    expect(flight.refusal?.message).toMatch(/the VM writes .* the channel carries .* tried: raise-downtime/);
  });

  it('is slowed down by the balanced preset until it fits, after compression did not help', () => {
    const flight = fly(heavy, examplePlan({}, pilotPolicyOf('balanced')));
    expect(flight.end).toBe('moved');
    expect(names(flight.decisions)).toEqual([
      'raise downtime limit to 628 ms',
      'begin again with compression xbzrle',
      'begin again with auto-converge',
    ]);
    expect(flight.attempts.at(-1)).toMatchObject({ compression: 'xbzrle', autoConverge: { initialPercent: 20 }, downtimeMsMax: 628 });
    expect(flight.stoppedMs).toBeLessThanOrEqual(628 + stepMs);
  });

  it('goes no further than compression when that helps', () => {
    const flight = fly({ ...heavy, compressionFactor: 20 }, examplePlan({}, pilotPolicyOf('balanced')));
    expect(flight.end).toBe('moved');
    expect(flight.attempts).toHaveLength(2);
  });

  it('is stopped by the must-move preset when slowing it down does not help and the stop is short enough', () => {
    const stubborn: World = { ...heavy, told: (progress) => ({ ...progress, throttlePercent: 99 }) };
    const plan = examplePlan({ autoConverge: { initialPercent: 0, incrementPercent: 0 } }, pilotPolicyOf('must-move'));
    const flight = fly(stubborn, plan);
    expect(flight.end).toBe('moved');
    expect(kinds(flight)).toEqual(['set-downtime', 'stop']);
    expect(flight.decisions.at(-1)?.reason).toMatch(
      /passed over: auto-converge \(it has it already\); post-copy \(the policy does not allow it\)$/,
    );
    expect(flight.stoppedMs).toBeGreaterThan(1000);
    expect(flight.stoppedMs).toBeLessThanOrEqual(30_000);
  });

  it('is not stopped for longer than accepted', () => {
    const policy = { ...pilotPolicyOf('must-move'), stopMsMax: 2000 };
    const flight = fly(heavy, examplePlan({ autoConverge: { initialPercent: 0, incrementPercent: 0 } }, policy));
    expect(flight).toMatchObject({ end: 'given-up', stoppedMs: 0 });
    expect(flight.decisions.at(-1)?.reason).toMatch(/stop-and-copy \(it would take [\d.]+ s, the policy accepts 2 s\)/);
  });

  it('goes post-copy where that is allowed: under way if the job can, else begun again as hybrid', () => {
    const ladder = [{ kind: 'post-copy' }] as const;
    const begunAgain = fly(heavy, examplePlan({ streams: 4, compression: 'zstd' }, { ...postCopyPolicy, ladder }));
    expect(begunAgain).toMatchObject({ end: 'moved', stoppedMs: 0 });
    expect(kinds(begunAgain)).toEqual(['restart', 'post-copy']);
    expect(begunAgain.attempts.at(-1)).toMatchObject({ method: 'hybrid', streams: 1, compression: 'none' });
    const underWay = fly(heavy, examplePlan({ method: 'hybrid' }, postCopyPolicy));
    expect(kinds(underWay)).toEqual(['post-copy']);
  });

  it('passes over what this hypervisor cannot', () => {
    const limits = {
      unsupported: [{ rung: { kind: 'compress', compression: 'xbzrle' }, why: 'not in this build' }],
      noProgressMsMax: 150_000,
    } as const;
    const flight = fly(heavy, examplePlan({}, pilotPolicyOf('balanced')), 3_600_000, limits);
    expect(names(flight.decisions)).toEqual(['raise downtime limit to 628 ms', 'begin again with auto-converge']);
    expect(flight.decisions[1]?.reason).toContain('passed over: compression xbzrle (not in this build)');
  });

  it('takes the next rung when the hypervisor cannot begin again', () => {
    const world: World = {
      ...heavy,
      refuses: (action) =>
        action.kind === 'restart' && action.options.autoConverge === null ? { code: 'hypervisor-failed', message: 'no xbzrle' } : null,
    };
    const flight = fly(world, examplePlan({}, pilotPolicyOf('balanced')));
    expect(flight.end).toBe('moved');
    expect(names(flight.decisions)).toEqual([
      'raise downtime limit to 628 ms',
      'begin again with compression xbzrle',
      'restart refused',
      'begin again with auto-converge',
    ]);
    expect(flight.attempts.at(-1)).toMatchObject({ compression: 'none', autoConverge: { initialPercent: 20 } });
  });
});

describe('patience', () => {
  /** Rounds of 40 s: 2 GiB are written again and again at 120 MiB/s, and 50 MiB/s are carried. */
  const large: World = {
    memoryBytes: 4096 * mebibyte,
    workingSetBytes: 2048 * mebibyte,
    writesBytesPerSecond: () => 120 * mebibyte,
    carriesBytesPerSecond: () => 50 * mebibyte,
  };
  const slowedDown = examplePlan({ autoConverge: { initialPercent: 20, incrementPercent: 10 } }, { ladder: [] });

  it('lasts as long as the VM is slowed down further, however long its rounds are', () => {
    expect(fly(large, slowedDown)).toMatchObject({ end: 'moved', actions: [] });
  });

  it('ends after three whole rounds that left no less: here 40 s each, after a first pass of 82 s', () => {
    const flight = fly(large, examplePlan({}, { ladder: [] }));
    expect(flight).toMatchObject({ end: 'given-up', refusal: { code: 'not-converging' } });
    // The round after the first pass is the best to compare with, and the next the first that is no better.
    expect(flight.atMs).toBeGreaterThan(82_000 + 4 * 38_000);
    expect(flight.atMs).toBeLessThan(82_000 + 5 * 42_000);
  });

  it('is not spent by a throttle that stands still', () => {
    const stuck: World = { ...large, told: (progress) => ({ ...progress, throttlePercent: 30 }) };
    const noStep = examplePlan({ autoConverge: { initialPercent: 0, incrementPercent: 0 } }, { ladder: [] });
    expect(fly(stuck, noStep)).toMatchObject({ end: 'given-up' });
    expect(fly(stuck, noStep).atMs).toBeLessThan(300_000);
  });

  it('has an end though each round slows the VM down further: ten minutes, or four times what was to be the total', () => {
    const rounds = times(6000, (index) => ({
      memorySentBytes: (index + 1) * 5 * mebibyte,
      memoryRemainingBytes: (800 - 5 * (index % 160)) * mebibyte,
      iteration: 1 + Math.floor(index / 160),
      throttlePercent: Math.min(99, Math.floor(index / 160)),
    }));
    const { actions, state } = feed(startPilot(slowedDown, 0), rounds);
    expect(actions.map(({ kind }) => kind)).toEqual(['give-up']);
    const forecast = predict(slowedDown.options, { ...exampleFacts({ memory: 8192, used: 8192 }), corrections: noCorrections });
    const told = feed(startPilot({ ...slowedDown, prediction: forecast }, 0), rounds.slice(0, 4000));
    expect(told.actions).toEqual([]);
    expect(state.stuckMsMax).toBe(600_000);
    expect(told.state.stuckMsMax).toBeCloseTo(4 * forecast.totalMs.expected, 5);
  });
});

describe('a writer that changes', () => {
  it('is waited for when it calms down within the patience', () => {
    const calming: World = { ...heavy, writesBytesPerSecond: (timeMs) => (timeMs < 38_000 ? 60 : 1) * mebibyte };
    expect(fly(calming, examplePlan())).toMatchObject({ end: 'moved', actions: [] });
  });

  it('moves within the first limit after a raise that came too early for it', () => {
    const calming: World = { ...heavy, writesBytesPerSecond: (timeMs) => (timeMs < 55_000 ? 60 : 1) * mebibyte };
    const flight = fly(calming, examplePlan({}, pilotPolicyOf('gentle')));
    expect(kinds(flight)).toEqual(['set-downtime']);
    expect(flight.end).toBe('moved');
  });

  it('is given time as long as the throttle rises', () => {
    const plan = examplePlan({ autoConverge: { initialPercent: 1, incrementPercent: 1 } }, { ladder: [], patienceMs: 15_000 });
    const flight = fly({ ...heavy, workingSetBytes: 64 * mebibyte }, plan);
    expect(flight).toMatchObject({ end: 'moved', actions: [] });
    expect(flight.atMs).toBeGreaterThan(120_000);
  });
});

describe('post-copy', () => {
  it('is asked for again when the hypervisor finds it too early', () => {
    const early: World = {
      ...heavy,
      refuses: (action, sinceMs) => (action.kind === 'post-copy' && sinceMs < 1200 ? { code: 'vm-busy', message: 'too early' } : null),
    };
    const flight = fly(early, examplePlan({ method: 'post-copy' }, postCopyPolicy));
    expect(flight).toMatchObject({ end: 'moved', stoppedMs: 0 });
    expect(kinds(flight)).toEqual(['post-copy', 'post-copy']);
    expect(names(flight.decisions)).toEqual(['post-copy', 'post-copy refused']);
    expect(flight.decisions[1]?.reason).toBe('too early; it is asked for again in 1 s');
  });

  it('is given up after five refusals, and the ladder is walked', () => {
    const never: World = { ...heavy, refuses: (action) => (action.kind === 'post-copy' ? { code: 'vm-busy', message: 'no' } : null) };
    const flight = fly(never, examplePlan({ method: 'hybrid' }, { ...postCopyPolicy, stopMsMax: 0 }));
    expect(flight.attempts.map(({ autoConverge }) => autoConverge !== null)).toEqual([false, true]);
    expect(kinds(flight).slice(0, 7)).toEqual([...times(5, () => 'post-copy'), 'set-downtime', 'restart']);
    expect(names(flight.decisions).slice(0, 3)).toEqual(['post-copy', 'post-copy refused', 'go on as pre-copy']);
  });

  it('is not needed by a hybrid whose rest fits after the first pass', () => {
    expect(fly(idle, examplePlan({ method: 'hybrid' }, postCopyPolicy))).toMatchObject({ end: 'moved', actions: [] });
  });

  it('is never aborted, and a silent link is told of', () => {
    const begun = feed(startPilot(examplePlan({}, postCopyPolicy), 0), [sending(0), sending(1), { ...sending(2), stage: 'post-copy' }]);
    const silent = feed(
      begun.state,
      times(2400, () => ({ ...sending(2), stage: 'post-copy' })),
    );
    expect(silent.actions).toEqual([]);
    expect(silent.decisions).toMatchObject([{ action: 'wait for the link', reason: expect.stringContaining('nothing is aborted') }]);
    const failed = feed(
      silent.state,
      times(2400, () => ({ ...sending(2), stage: 'post-copy-failed' })),
    );
    expect(failed.actions).toEqual([]);
    // What is said of an older stage afterwards changes nothing.
    expect(
      feed(
        failed.state,
        times(2400, () => ({ ...sending(2), stage: 'stopped' })),
      ).actions,
    ).toEqual([]);
  });
});

describe('a hypervisor that says little', () => {
  const onlyRemaining = (progress: Progress): Progress => ({
    ...exampleProgress,
    memoryTotalBytes: 0,
    memoryRemainingBytes: progress.memoryRemainingBytes,
    stage: progress.stage,
  });

  it('is read by what is left alone', () => {
    expect(fly({ ...idle, told: onlyRemaining }, examplePlan())).toMatchObject({ end: 'moved', actions: [] });
    const flight = fly({ ...heavy, told: onlyRemaining }, examplePlan({}, pilotPolicyOf('gentle')));
    expect(flight).toMatchObject({ end: 'given-up', refusal: { code: 'not-converging' } });
    expect(kinds(flight)).toEqual(['set-downtime', 'give-up']);
  });

  it('does not stall by one odd reading, nor by readings that come twice', () => {
    let count = 0;
    const noisy = (progress: Progress): Progress => {
      count += 1;
      if (count % 40 === 39) return { ...progress, memoryRemainingBytes: progress.memoryRemainingBytes * 3 };
      return count % 40 === 19 ? { ...progress, memoryRemainingBytes: 0, dirtyPagesPerSecond: null, iteration: null } : progress;
    };
    const slow: World = {
      ...idle,
      memoryBytes: 2048 * mebibyte,
      workingSetBytes: 2048 * mebibyte,
      writesBytesPerSecond: () => 12 * mebibyte,
    };
    expect(fly({ ...slow, told: noisy }, examplePlan())).toMatchObject({ end: 'moved', actions: [] });
    let last: Progress | null = null;
    const twice = (progress: Progress): Progress => {
      last = last === null || progress.elapsedMs - last.elapsedMs >= 500 ? progress : last;
      return last;
    };
    expect(fly({ ...slow, told: twice }, examplePlan())).toMatchObject({ end: 'moved', actions: [] });
  });

  it('is believed in its second highest reading of a round, not in one odd one', () => {
    const round = (iteration: number, mebibytes: number, odd: number | null) => (index: number) => ({
      iteration,
      memorySentBytes: ((iteration - 1) * 200 + index + 1) * mebibyte,
      memoryRemainingBytes: (index === odd ? 900 : mebibytes - index) * mebibyte,
    });
    const stalled = (second: number, odd: number | null): boolean => {
      const first = [...times(200, round(1, 400, null)), ...times(200, round(2, 300, null)), ...times(200, round(3, second, odd))];
      const readings = [4, 5, 6].reduce((all, next) => [...all, ...times(200, round(next, second, null))], first);
      return feed(startPilot(examplePlan(), 0), readings).actions.length > 0;
    };
    expect(stalled(250, 1)).toBe(false);
    expect(stalled(250, null)).toBe(false);
    expect(stalled(300, null)).toBe(true);
  });

  it('is stopped only when the rest of the round and all that is written in it are sent in time', () => {
    const short = times(200, (index) => ({ ...sending(index), iteration: index + 1, memoryRemainingBytes: 20 * mebibyte }));
    const within = (stopMsMax: number): string | undefined =>
      feed(startPilot(examplePlan({}, { ladder: [{ kind: 'stop-and-copy' }], stopMsMax }), 0), short).actions[0]?.kind;
    // 20 MiB of this round, and up to 25 MiB that are written in it, at 20 MiB/s.
    expect(within(2300)).toBe('stop');
    expect(within(2200)).toBe('give-up');
  });

  it('is steered also when what is left never changes', () => {
    const { actions } = feed(
      startPilot(examplePlan({}, pilotPolicyOf('gentle')), 0),
      times(4000, (index) => ({ ...sending(index), memoryRemainingBytes: 0, iteration: null })),
    );
    expect(actions.at(-1)).toMatchObject({ kind: 'give-up', refusal: { code: 'not-converging' } });
  });
});

describe('the ladder', () => {
  it('tells with which options each rung would begin again', () => {
    const told = ladderOptions(examplePlan({}, { ladder: exampleRungs, allowPostCopy: true }));
    expect(
      told.map(({ rung, options: { method, streams, compression, autoConverge } }) => [
        rung.kind,
        method,
        streams,
        compression,
        autoConverge !== null,
      ]),
    ).toEqual([
      ['streams', 'pre-copy', 4, 'none', false],
      ['compress', 'pre-copy', 1, 'xbzrle', false],
      ['compress', 'pre-copy', 2, 'zstd', false],
      ['auto-converge', 'pre-copy', 2, 'zstd', true],
      ['post-copy', 'hybrid', 1, 'none', true],
    ]);
  });
});
