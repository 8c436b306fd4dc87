import { describe, expect, it } from 'vitest';
import type { Progress } from '#core/model/migration.ts';
import { examplePlan, exampleProgress, feed, fly, idle, mebibyte, names, postCopyPolicy, sending, times } from './autopilot-examples.ts';
import type { World } from './autopilot-model.ts';
import { actionFailed, pilot, type PilotState, startPilot } from './autopilot.ts';

describe('a link that carries nothing', () => {
  const cutFrom = (fromMs: number, untilMs: number): World => ({
    ...idle,
    carriesBytesPerSecond: (timeMs) => (timeMs >= fromMs && timeMs < untilMs ? 0 : 20 * mebibyte),
  });

  it('is waited for, with a word about it and no rung', () => {
    const flight = fly(cutFrom(10_000, 70_000), examplePlan());
    expect(flight).toMatchObject({ end: 'moved', actions: [] });
    expect(flight.decisions).toMatchObject([
      { action: 'wait for the link', reason: expect.stringMatching(/^no byte has left for 15 s with [\d.]+ MiB to go/) },
    ]);
  });

  it('is given up after the longest time without progress', () => {
    const flight = fly(cutFrom(10_000, 1e9), examplePlan());
    expect(flight).toMatchObject({ end: 'given-up', refusal: { code: 'migration-stalled' } });
    expect(flight.atMs).toBeLessThan(161_000);
  });

  it('does not count as a stall of the VM', () => {
    // Cut for 14 s again and again, in which a writer that nearly converges makes no better round.
    const world: World = { ...idle, carriesBytesPerSecond: (timeMs) => (timeMs % 15_000 < 14_000 && timeMs > 24_000 ? 0 : 20 * mebibyte) };
    expect(fly(world, examplePlan({ downtimeMsMax: 300 }))).toMatchObject({ end: 'moved', actions: [] });
  });

  it('is not taken for dead when the process was not let run, or the clock jumped', () => {
    const { state } = feed(startPilot(examplePlan(), 0), [sending(0), sending(1)]);
    expect(pilot(state, { ...exampleProgress, ...sending(1) }, state.nowMs + 3_600_000).action).toEqual({ kind: 'continue' });
    expect(pilot(state, null, Number.NaN).action).toEqual({ kind: 'continue' });
  });

  it('is never given up by a clock that stands still', () => {
    let { state } = feed(startPilot(examplePlan(), 0), [sending(0)]);
    const actions = new Set<string>();
    for (let call = 0; call < 2000; call += 1) {
      const step = pilot(state, { ...exampleProgress, ...sending(0) }, state.nowMs);
      actions.add(step.action.kind);
      state = step.state;
    }
    expect([...actions]).toEqual(['continue']);
  });
});

describe('a switch-over', () => {
  const stopped = (index: number): Partial<Progress> => ({ ...sending(index), stage: 'stopped', memoryRemainingBytes: 3 * mebibyte });
  const inLastRound = (plan = examplePlan()): PilotState => feed(startPilot(plan, 0), [sending(0), sending(1), stopped(2)]).state;

  it('that makes no progress is cancelled, once', () => {
    const { actions, state } = feed(
      inLastRound(),
      times(400, () => stopped(2)),
    );
    expect(actions).toEqual([
      {
        kind: 'cancel-switch-over',
        refusal: {
          code: 'switch-over-stalled',
          message: 'the VM was stopped, and no byte left for 10 s with 3 MiB to go: it is brought back on its source',
        },
      },
    ]);
    expect(state.nowMs).toBe(750 + 100_000);
  });

  it('may be silent for as long as its limit lets the VM stand still', () => {
    const longStop = inLastRound(examplePlan({ downtimeMsMax: 20_000 }, { downtimeMsBudget: 40_000 }));
    const silent = (ms: number): readonly Partial<Progress>[] => times(ms / 250, () => stopped(2));
    expect(feed(longStop, silent(27_000)).actions).toEqual([]);
    expect(feed(longStop, silent(30_000)).actions).toMatchObject([{ kind: 'cancel-switch-over' }]);
    expect(feed(inLastRound(), silent(11_000)).actions).toMatchObject([{ kind: 'cancel-switch-over' }]);
  });

  it('that makes no progress is cancelled also when the hypervisor says nothing any more', () => {
    expect(
      feed(
        inLastRound(),
        times(41, () => null),
      ).actions,
    ).toMatchObject([{ kind: 'cancel-switch-over' }]);
  });

  it('whose cancelling is refused is cancelled again', () => {
    const first = feed(
      inLastRound(),
      times(41, () => stopped(2)),
    );
    const [cancel] = first.actions;
    if (cancel === undefined) throw new Error('nothing was cancelled');
    const refused = actionFailed(first.state, cancel, { code: 'vm-busy', message: 'busy' }, first.state.nowMs);
    const second = feed(
      refused,
      times(10, () => stopped(2)),
    );
    expect(second.actions).toEqual([cancel]);
    expect(names(second.decisions)).toEqual(['cancel-switch-over refused']);
  });

  it('that makes progress is not cancelled before the accepted stop is over', () => {
    const plan = examplePlan({}, { downtimeMsBudget: 5000 });
    const slowly = times(70, (index) => ({ ...stopped(2), memorySentBytes: 20 * mebibyte + index }));
    const { actions, state } = feed(inLastRound(plan), slowly);
    expect(actions).toMatchObject([{ kind: 'cancel-switch-over', refusal: { code: 'downtime-budget' } }]);
    expect(feed(inLastRound(plan), slowly.slice(0, 58)).actions).toEqual([]);
    expect(state.phase).toBe('over');
  });

  it('into which post-copy may have come is judged by a fresh reading only', () => {
    const hybrid = examplePlan({ method: 'post-copy' }, postCopyPolicy);
    const begun = feed(startPilot(hybrid, 0), [sending(0), sending(1), stopped(2)]);
    expect(begun.actions).toEqual([{ kind: 'post-copy' }]);
    expect(
      feed(
        begun.state,
        times(400, () => null),
      ).actions,
    ).toEqual([]);
  });
});

describe('a method that stops the VM', () => {
  it('is not steered, only watched', () => {
    const plan = examplePlan({ method: 'stop-and-copy' }, { stopMsMax: 30_000 });
    const flowing = times(100, (index) => ({ ...sending(index), stage: 'stopped' as const }));
    expect(feed(startPilot(plan, 0), flowing)).toMatchObject({ actions: [], decisions: [] });
    expect(
      feed(
        startPilot(plan, 0),
        times(200, (index) => flowing[index] ?? { ...sending(100), stage: 'stopped' }),
      ).actions,
    ).toMatchObject([{ kind: 'cancel-switch-over', refusal: { code: 'switch-over-stalled' } }]);
  });

  it('is bounded by the accepted stop, and unbounded where it was asked for by name and nobody knows', () => {
    const flowing = times(1000, (index) => ({ memorySentBytes: (index + 1) * mebibyte, stage: 'stopped' as const }));
    const bounded = examplePlan({ method: 'stop-and-copy' }, { stopMsMax: 30_000 });
    expect(feed(startPilot(bounded, 0), flowing).actions).toMatchObject([
      { kind: 'cancel-switch-over', refusal: { code: 'downtime-budget' } },
    ]);
    expect(feed(startPilot(examplePlan({ method: 'stop-and-copy' }), 0), flowing).actions).toEqual([]);
  });

  it('has time to write and read a saved image', () => {
    const plan = examplePlan({ method: 'save-restore' });
    const { state, actions } = feed(startPilot(plan, 0), [sending(0), ...times(400, () => sending(0))]);
    expect(actions).toEqual([]);
    expect(
      feed(
        state,
        times(400, () => sending(0)),
      ).actions,
    ).toMatchObject([{ kind: 'cancel-switch-over' }]);
  });
});
