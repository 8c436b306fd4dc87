/** The record of a migration: its phases, its end, and what that end is called. */
import type { Migration, Phase } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';
import type { Step } from './step-events.ts';

export function enter(migration: Migration, phase: Phase, nowMs: number): Migration {
  return phase === migration.phase ? migration : { ...migration, phase, phaseSinceMs: nowMs };
}

export function fail(migration: Migration, failure: Refusal, nowMs: number): Step {
  return { migration: { ...enter(migration, 'failed', nowMs), failure, endedAtMs: nowMs }, effect: { kind: 'finish' } };
}

/** Notes that somebody wants it stopped; the machine acts on it at the next event. */
export function askAbort(migration: Migration): Migration {
  return { ...migration, abortAsked: true };
}

/** What the ledger says of a migration that has ended. */
export function outcomeOf(migration: Migration): 'moved' | 'stayed' | 'unclear' {
  if (migration.phase === 'done') return 'moved';
  return migration.failure !== null && isUnclear(migration.failure.code) ? 'unclear' : 'stayed';
}

/** A person has to look where the VM is. */
export function isUnclear(code: Refusal['code']): boolean {
  return (
    code === 'two-copies' || code === 'zero-copies' || code === 'ended-on-destination' || code === 'memory-lost' || code === 'truth-unknown'
  );
}

export function seconds(ms: number): number {
  return Math.round(ms / 1000);
}
