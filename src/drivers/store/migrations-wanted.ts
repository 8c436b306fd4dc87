import { type Expression, type Kysely, sql, type SqlBool } from 'kysely';
import type { MigrationQuery } from '#core/store.ts';
import type { Tables } from './tables.ts';

type FoundBy = 'vm_id' | 'from_host_id' | 'to_host_id' | 'outcome';

/**
 * The rows that are wanted, newest first. They are found in indexes that have every column which a query can name, and only then
 * are their records read: a record is several pages long, and a row's further columns lie behind it.
 */
export function migrationsWanted(database: Kysely<Tables>, query: MigrationQuery) {
  return database
    .selectFrom(positionsWanted(database, query).as('found'))
    .innerJoin('migrations', 'migrations.position', 'found.position')
    .select(['migrations.migration_id', 'migrations.record'])
    .orderBy('found.asked_at_ms', 'desc')
    .orderBy('found.position', 'desc')
    .limit(query.limit);
}

/** No index has both hosts of a migration in front: each side gives its newest, the caller takes the newest of both. */
function positionsWanted(database: Kysely<Tables>, query: MigrationQuery) {
  const searched = searchedBy(query);
  if (searched !== 'host') return newest(database, query, searched);
  const ofSide = (side: 'from_host_id' | 'to_host_id') =>
    database.selectFrom(newest(database, query, side).as(side)).select(['position', 'asked_at_ms']);
  return ofSide('from_host_id').union(ofSide('to_host_id'));
}

/** By what the index is chosen: that which leaves least. Few migrations are open, and few ever end unclear. */
function searchedBy({ open, vmId, hostId, outcome }: MigrationQuery): 'ended_at_ms' | 'vm_id' | 'host' | 'outcome' | 'asked_at_ms' {
  if (open === true) return 'ended_at_ms';
  if (vmId !== undefined) return 'vm_id';
  if (outcome === 'unclear') return 'outcome';
  if (hostId !== undefined) return 'host';
  return outcome === undefined ? 'asked_at_ms' : 'outcome';
}

function newest(
  database: Kysely<Tables>,
  { open, vmId, hostId, outcome, sinceMs, untilMs, limit }: MigrationQuery,
  searched: FoundBy | 'ended_at_ms' | 'asked_at_ms',
) {
  const is = (column: FoundBy, value: string): Expression<SqlBool> =>
    column === searched ? sql`${sql.ref(column)} = ${value}` : among(column, value);
  let query = database.selectFrom('migrations').select(['position', 'asked_at_ms']);
  if (open !== undefined) query = query.where('ended_at_ms', open ? 'is' : 'is not', null);
  if (vmId !== undefined) query = query.where(is('vm_id', vmId));
  if (hostId !== undefined) {
    const [onSource, onDestination] = [is('from_host_id', hostId), is('to_host_id', hostId)];
    if (searched === 'from_host_id') query = query.where(onSource);
    else if (searched === 'to_host_id') query = query.where(onDestination);
    else query = query.where((build) => build.or([onSource, onDestination]));
  }
  if (outcome !== undefined) query = query.where(is('outcome', outcome));
  if (sinceMs !== undefined) query = query.where('asked_at_ms', '>=', sinceMs);
  if (untilMs !== undefined) query = query.where('asked_at_ms', '<', untilMs);
  return query.orderBy('asked_at_ms', 'desc').orderBy('position', 'desc').limit(limit);
}

/**
 * A database without statistics searches by whichever column comes first to it. By an expression none is searched: the condition only
 * sorts out what was found by another.
 */
function among(column: FoundBy, value: string): Expression<SqlBool> {
  return sql`coalesce(${sql.ref(column)}, '') = ${value}`;
}
