import { printCheck } from '#cli/check-printer.ts';
import { printMigration, progressLine } from '#cli/migration-printer.ts';
import { planLine, printDecisions } from '#cli/transfer-printer.ts';
import type { MigrateCheck, MigrationResource } from '#wire/api.ts';
import { describe, expect, test } from 'vitest';
import { nowMs } from './resources.ts';
import { measured, plannedCheck, raised, refusedRow, steered, transferPlan } from './transfer-resources.ts';

const how = 'pre-copy, downtime limit 300 ms';
const asPlanned = { ...raised, by: 'choice' as const, elapsedMs: 0, action: `start ${how}`, reason: transferPlan.reason };

describe('a reason is said once', () => {
  test('in the line of a migration that is followed, also where the reason begins with the method or its options', () => {
    expect(planLine({ ...transferPlan, reason: 'pre-copy: it writes little' })).toBe(`${how}: it writes little`);
    expect(planLine({ ...transferPlan, reason: `${how}: it writes little` })).toBe(`${how}: it writes little`);
    expect(planLine({ ...transferPlan, reason: 'pre-copy, xbzrle, downtime limit 1 s: it writes little' })).toBe(
      `${how}: it writes little`,
    );
    expect(planLine({ ...transferPlan, reason: 'pre-copy, watched: nothing is known' })).toBe(
      `${how}: pre-copy, watched: nothing is known`,
    );
    expect(planLine({ ...transferPlan, reason: 'db writes little' })).toBe(`${how}: db writes little`);
  });

  test('among the decisions, where the plan has given it', () => {
    expect(printDecisions([asPlanned], transferPlan)).toBeNull();
    expect(printDecisions([], transferPlan)).toBeNull();
    expect(printDecisions([asPlanned, raised], transferPlan)?.split('\n')).toEqual([
      '  WHEN    DECISION',
      `  before  start ${how}`,
      '  +2.0 s  raise downtime to 1000 ms: the rest has not fallen for 15 s',
    ]);
  });

  test('of a migration and of a dry run that had nothing to choose', () => {
    expect(printMigration({ ...measured, decisions: [asPlanned] }, nowMs)).not.toContain('Decisions:');
    expect(printCheck({ ...plannedCheck, decisions: [asPlanned] })).not.toContain('How that was chosen');
  });

  test('of a refusal that stands among the checks, alone or with another sentence', () => {
    const message = 'post-copy is not allowed by the policy: allow it there';
    const finding = {
      check: 'method',
      verdict: 'refuse',
      code: 'post-copy-not-allowed',
      sentence: `host-c: ${message}; vm is emulated`,
    } as const;
    const check: MigrateCheck = {
      ...plannedCheck,
      plan: null,
      refusal: { code: 'post-copy-not-allowed', message },
      row: { ...refusedRow, findings: [finding] },
      decisions: [{ ...asPlanned, action: 'refuse', reason: message }],
    };
    expect(printCheck(check).split(message)).toHaveLength(2);
    expect(printCheck(check)).toContain('It would be refused: post-copy-not-allowed, see above.');
  });

  test('but what was put aside before a refusal is told', () => {
    const aside = { ...asPlanned, action: 'put aside hybrid', reason: 'post-copy is not allowed' };
    const check: MigrateCheck = { ...plannedCheck, plan: null, refusal: { code: 'not-converging', message: 'no' }, decisions: [aside] };
    expect(printCheck(check)).toContain('put aside hybrid: post-copy is not allowed');
  });
});

describe('what the hypervisor cannot know yet is not said', () => {
  const withProgress = (progress: Partial<NonNullable<MigrationResource['progress']>>): MigrationResource => ({
    ...steered,
    progress: steered.progress === null ? null : { ...steered.progress, ...progress },
  });

  test('in the first round no dirty rate, and the predicted downtime instead of the limit', () => {
    const first = progressLine(withProgress({ iteration: 1, dirtyPagesPerSecond: 0, expectedDowntimeMs: 300 }), nowMs);
    expect(first).not.toContain('dirtied');
    expect(first).toContain('downtime ~200 ms');
    const later = progressLine(withProgress({ iteration: 2, dirtyPagesPerSecond: 0, expectedDowntimeMs: 300 }), nowMs);
    expect(later).toContain('dirtied 0 B/s');
    expect(later).toContain('downtime ~300 ms');
  });

  test('before it counts, nothing of bytes', () => {
    const line = progressLine(withProgress({ memoryTotalBytes: 0, memoryRemainingBytes: 0, bandwidthBytesPerSecond: null }), nowMs);
    expect(line).not.toMatch(/remaining| - | 0 B/);
    expect(line).toContain('ends in ~');
  });
});
