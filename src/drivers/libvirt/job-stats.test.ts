import { describe, expect, it } from 'vitest';

import { readOutcome, readProgress, stageOf } from './job-stats.ts';

describe('job statistics', () => {
  it('are read as progress and as outcome', () => {
    const params = [
      { field: 'time_elapsed', type: 'u64', value: 2_296n },
      { field: 'downtime', type: 'u64', value: 235n },
      { field: 'memory_total', type: 'u64', value: 67_502_080n },
      { field: 'memory_processed', type: 'u64', value: 574_313n },
      { field: 'memory_remaining', type: 'u64', value: 0n },
      { field: 'memory_iteration', type: 'u64', value: 3n },
    ] as const;
    expect(readOutcome(params)).toEqual({ totalMs: 2_296, downtimeMs: 235, memorySentBytes: 574_313, iterations: 3 });
    expect(readProgress(params, 'copying')).toMatchObject({
      elapsedMs: 2_296,
      memorySentBytes: 574_313,
      bandwidthBytesPerSecond: null,
      iteration: 3,
      stage: 'copying',
      throttlePercent: null,
    });
  });

  it('tell how far auto-converge slows the VM down', () => {
    const throttle = { field: 'auto_converge_throttle', type: 'i32', value: 40 } as const;
    expect(readProgress([throttle], 'copying').throttlePercent).toBe(40);
  });
});

describe('the stage of a transfer', () => {
  it.each([
    [1, 1, 'copying'],
    [3, 2, 'stopped'],
    [3, 12, 'post-copy'],
    [3, 13, 'post-copy-failed'],
  ] as const)('state %i with reason %i is %s', (state, reason, stage) => {
    expect(stageOf({ state, reason })).toBe(stage);
  });

  it('is not the last round when somebody had paused the VM before, or an I/O error halted it', () => {
    expect(stageOf({ state: 3, reason: 1 })).toBe('copying');
    expect(stageOf({ state: 3, reason: 5 })).toBe('copying');
  });
});
