import type { HostId } from '#core/model/host.ts';
import type { Policy } from '#core/model/policy.ts';
import type { InFlight } from '#core/model/snapshot.ts';

type Limits = Pick<Policy, 'migrationsPerHostMax' | 'migrationsPerClusterMax'>;

/** Migrations that each host takes part in, in either direction. */
export function migrationsByHost(inFlight: readonly InFlight[]): ReadonlyMap<HostId, number> {
  const counts = new Map<HostId, number>();
  for (const { fromHostId, toHostId } of inFlight) {
    for (const hostId of new Set([fromHostId, toHostId])) counts.set(hostId, (counts.get(hostId) ?? 0) + 1);
  }
  return counts;
}

/**
 * Those of a plan's moves that may start now beside what is under way, in the plan's order. Leaving one out
 * for a later call is safe: in a plan, targets only fill and sources only drain, so every order and every
 * subset of its moves stays below the lines that the whole plan stays below.
 */
export function startableMoves<Step extends InFlight>(
  moves: readonly Step[],
  inFlight: readonly InFlight[],
  limits: Limits,
): readonly Step[] {
  const running: InFlight[] = [...inFlight];
  const startable: Step[] = [];
  for (const move of moves) {
    if (running.length >= limits.migrationsPerClusterMax) break;
    const counts = migrationsByHost(running);
    const busy = [move.fromHostId, move.toHostId].some((hostId) => (counts.get(hostId) ?? 0) >= limits.migrationsPerHostMax);
    if (busy || running.some((other) => other.vmId === move.vmId)) continue;
    running.push(move);
    startable.push(move);
  }
  return startable;
}
