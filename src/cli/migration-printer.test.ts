import { describe, expect, it } from 'vitest';
import type { MigrationResource } from '#wire/api.ts';
import { isOver, printMigration, progressLine } from './migration-printer.ts';

const done: MigrationResource = {
  request: {
    migrationId: 'm1',
    vmId: 'v',
    vmName: 'web1',
    fromHostId: 'a',
    toHostId: 'b',
    cause: 'operator',
    askedBy: 'anna',
    approvedBy: null,
    channelKind: 'ipsec',
    grantId: null,
    planId: null,
    vmEpoch: 1,
    wish: { method: 'auto' },
    askedAtMs: 1000,
  },
  phase: 'done',
  phaseSinceMs: 5000,
  proof: null,
  progress: null,
  lastMoved: null,
  outcome: null,
  plan: null,
  decisions: [],
  measures: null,
  tuning: null,
  channelBefore: null,
  channelAfter: null,
  failure: null,
  resolution: null,
  abortAsked: true,
  endedAtMs: 5000,
};
const closing: MigrationResource = { ...done, endedAtMs: null };

describe('a migration', () => {
  it('is over when it is closed, and not as soon as its phase is done', () => {
    expect([isOver(closing), isOver(done)]).toEqual([false, true]);
    expect(isOver({ ...closing, phase: 'failed' })).toBe(false);
  });

  it('that is being closed says so, and can no longer be aborted', () => {
    expect(progressLine(closing, 6000)).toContain('done, being closed');
    expect(printMigration(closing, 6000)).toMatch(/phase: +done, being closed for 1\.0 s$/m);
    expect(progressLine(closing, 6000)).not.toContain('abort');
    expect(progressLine(done, 6000)).not.toContain('closed');
  });
});
