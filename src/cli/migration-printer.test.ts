import { describe, expect, it } from 'vitest';
import { exampleRequest } from '#core/migration/step-examples.ts';
import { begin } from '#core/migration/step.ts';
import type { MigrationResource } from '#wire/api.ts';
import { isOver, printMigration, progressLine } from './migration-printer.ts';

const { migration } = begin(exampleRequest({ cause: 'operator', askedBy: 'anna', askedAtMs: 1000 }));
const done: MigrationResource = { ...migration, phase: 'done', phaseSinceMs: 5000, abortAsked: true, endedAtMs: 5000 };
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
