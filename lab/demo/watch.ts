import type { MigrationResource, PlanResource } from '#wire/api.ts';
import type { ControllerClient } from '#cli/client.ts';
import { isOver, outcomeLine, progressLine } from '#cli/migration-printer.ts';
import type { Lab, ProbeReport } from '#lab/api.ts';
import { LabError, waitFor } from '#lab/api.ts';
import type { Screen } from './screen.ts';
import { story } from './story.ts';

export interface Watched {
  readonly migration: MigrationResource;
  /** What a client of the VM saw meanwhile. */
  readonly probe: ProbeReport;
}

/** Follows the cluster until every host is under its line and nothing moves any more; probes each VM while it moves. */
export async function watchUntilLevel(
  lab: Lab,
  client: ControllerClient,
  screen: Screen,
  signal: AbortSignal,
): Promise<readonly Watched[]> {
  const probing = new Set<string>();
  const watched: Watched[] = [];
  const look = async (): Promise<boolean> => {
    for (const migration of (await client.migrations({ limit: 50 })).toReversed()) {
      const { migrationId, vmName } = migration.request;
      if (watched.some((other) => other.migration.request.migrationId === migrationId)) continue;
      if (!probing.has(migrationId) && !isOver(migration)) {
        probing.add(migrationId);
        await lab.guest(vmName).startProbe();
      }
      if (!isOver(migration)) screen.live(progressLine(migration, Date.now()));
      else if (probing.delete(migrationId)) {
        watched.push({ migration, probe: await lab.guest(vmName).stopProbe() });
        screen.line(`   ${outcomeLine(migration, Date.now())}`);
      }
    }
    return watched.length > 0 && probing.size === 0 && isSettled(await client.latestPlan(), watched);
  };
  await waitFor(look, { what: 'every host under its line', timeoutMs: story.levelMsMax, intervalMs: lookIntervalMs, signal });
  return watched;
}

const lookIntervalMs = 250;
/** The planner has seen the cluster as the last migration left it, knows every host's load, and wants nothing more. */
function isSettled(plan: PlanResource, watched: readonly Watched[]): boolean {
  const endedAtMs = Math.max(...watched.map(({ migration }) => migration.endedAtMs ?? Number.POSITIVE_INFINITY));
  const allKnown = plan.skipped.every(({ code }) => code !== 'stale-sample');
  return plan.createdAtMs > endedAtMs && plan.verdict === 'balanced' && allKnown;
}

export function mustHaveMoved(watched: readonly Watched[]): void {
  const failed = watched.filter(({ migration }) => migration.phase !== 'done');
  const first = failed[0]?.migration;
  if (first)
    throw new LabError(
      'lab-command-failed',
      `migration ${first.request.migrationId} failed: ${first.failure?.code} ${first.failure?.message}`,
    );
}
