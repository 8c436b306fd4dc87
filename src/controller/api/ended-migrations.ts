import type { ControllerService } from '#controller/service.ts';
import type { MigrationResource } from '#wire/api.ts';

/** More than any policy lets run at once. */
const openMigrationsMax = 1000;

/**
 * Migrations as they are shown: a migration has its `endedAtMs` when its record is closed, which is the last thing that is done with it.
 * Between its end and that moment its channel is closed and its receipt written; whoever sees `endedAtMs` can fetch the receipt.
 * The store lists it as open until then, so one that is listed as open and has ended is being closed. Call it with what was read
 * before: what is closed in between is shown as such.
 */
export async function withEndsWhenClosed(
  service: Pick<ControllerService, 'migrations'>,
  read: readonly MigrationResource[],
): Promise<MigrationResource[]> {
  if (read.every(({ endedAtMs }) => endedAtMs === null)) return [...read];
  const open = await service.migrations({ open: true, limit: openMigrationsMax });
  const closing = new Set(open.filter(({ endedAtMs }) => endedAtMs !== null).map(({ request }) => request.migrationId));
  return read.map((migration) => (closing.has(migration.request.migrationId) ? { ...migration, endedAtMs: null } : migration));
}

/** The same for one. */
export async function withEndWhenClosed(
  service: Pick<ControllerService, 'migrations'>,
  read: MigrationResource,
): Promise<MigrationResource> {
  const [shown = read] = await withEndsWhenClosed(service, [read]);
  return shown;
}
