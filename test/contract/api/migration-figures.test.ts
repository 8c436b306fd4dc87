import { figuresOf, NewlyEnded } from '#controller/api/migration-figures.ts';
import type { MigrationResource } from '#wire/api.ts';
import { describe, expect, test } from 'vitest';
import { done, failed } from './resources.ts';
import { measured, transferPlan } from './transfer-resources.ts';

describe('what a migration adds to /metrics', () => {
  test('is in seconds and bytes; CPU time by end and part, where it is known', () => {
    expect(figuresOf(measured)).toMatchObject({
      outcome: 'moved',
      method: 'pre-copy',
      failureCode: null,
      totalSeconds: 7.9,
      downtimeSeconds: 0.251,
      outsideDowntimeSeconds: 0.262,
      brownoutSeconds: 0.075,
      ipsecPackets: 400_000,
      rounds: 4,
    });
    expect(figuresOf(measured).cpu).toHaveLength(5);
    expect(figuresOf(measured).cpu).toContainEqual({ end: 'source', part: 'ipsec', seconds: 6.25 });
  });

  test('is null where it is not known, never 0', () => {
    expect(figuresOf(failed)).toMatchObject({ outcome: 'stayed', method: 'unknown', failureCode: 'aborted', totalSeconds: null, cpu: [] });
    expect(figuresOf(done)).toMatchObject({ totalSeconds: 7.9, downtimeSeconds: 0.251, outsideDowntimeSeconds: null });
  });

  test('counts all of the time that a stopped VM stood still', () => {
    const plan = { ...transferPlan, options: { ...transferPlan.options, method: 'save-restore' as const } };
    expect(figuresOf({ ...done, plan })).toMatchObject({ method: 'save-restore', downtimeSeconds: 7.9 });
  });
});

describe('migrations that ended since the last look', () => {
  const ended = (migrationId: string, endedAtMs: number | null): MigrationResource => ({
    ...done,
    request: { ...done.request, migrationId },
    endedAtMs,
  });
  const idsOf = (told: readonly MigrationResource[]) => told.map(({ request }) => request.migrationId);

  test('are told once, oldest first; those from before the start never', () => {
    const look = new NewlyEnded(100);
    expect(idsOf(look.take([ended('c', 120), ended('b', 100), ended('a', 99)]))).toEqual(['b', 'c']);
    expect(idsOf(look.take([ended('d', 130), ended('c', 120), ended('b', 100)]))).toEqual(['d']);
    expect(idsOf(look.take([ended('d', 130), ended('c', 120)]))).toEqual([]);
  });

  test('one that was asked for long ago and ends late is told; one that is not closed is not', () => {
    const look = new NewlyEnded(0);
    look.take([ended('c', 120)]);
    expect(idsOf(look.take([ended('d', null), ended('c', 120), ended('a', 500)]))).toEqual(['a']);
  });
});
