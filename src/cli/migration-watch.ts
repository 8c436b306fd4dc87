import type { MigrationResource } from '#wire/api.ts';
import { setTimeout as wait } from 'node:timers/promises';
import type { ControllerClient } from './client.ts';
import { CliError } from './errors.ts';
import { isOver, progressLine } from './migration-printer.ts';
import { isPassing, LiveLine } from './output.ts';

const pollIntervalMs = 500;
/** A controller that comes back within this time is waited for: the migration goes on without it. */
const awayMsMax = 120_000;

/**
 * Follows a migration on a live line until it is over. Throws CliError `interrupted` when `signal` ends the
 * watching: the migration itself goes on.
 */
export async function followMigration(
  client: ControllerClient,
  started: MigrationResource,
  signal: AbortSignal,
): Promise<MigrationResource> {
  const line = new LiveLine();
  let latest = started;
  let seenAtMs = Date.now();
  try {
    while (!isOver(latest)) {
      line.update(latest.phase, progressLine(latest, Date.now()));
      await wait(pollIntervalMs, undefined, { signal });
      try {
        latest = await client.migration(started.request.migrationId);
        seenAtMs = Date.now();
      } catch (error) {
        if (!isPassing(error) || Date.now() - seenAtMs > awayMsMax) throw error;
        line.update(error.code, `${progressLine(latest, Date.now())}  (${error.code}, asking again)`);
      }
    }
    line.update(latest.phase, progressLine(latest, Date.now()));
    return latest;
  } catch (cause) {
    if (!signal.aborted) throw cause;
    throw new CliError('interrupted', detachedMessage(started.request.migrationId), { cause });
  } finally {
    line.end();
  }
}

export function abortHint(migrationId: string): string {
  return `abort it with: plimsoll migration abort ${migrationId}`;
}

function detachedMessage(migrationId: string): string {
  return `no longer watching; the migration goes on: ${abortHint(migrationId)}`;
}
