/**
 * Fences the file: as soon as a later controller has counted an epoch of its own, this connection writes nothing any more. Triggers see
 * every statement in the transaction that runs it, so that no write gets between a look at the epoch and the write itself; they are
 * temporary, and belong to this connection alone (https://sqlite.org/lang_createtrigger.html#temp_triggers_on_non_temp_tables).
 */
import { type Kysely, sql } from 'kysely';
import { controllerCounter } from './epoch-tables.ts';
import type { Tables } from './tables.ts';

/** Part of what SQLite says when a write is refused. */
const refusedWords = 'a later controller has counted an epoch';

/** From now on a write is refused unless `epoch` is the newest. */
export async function fenceWrites(database: Kysely<Tables>, epoch: number): Promise<void> {
  for (const table of await tableNames(database)) {
    for (const verb of ['insert', 'update', 'delete']) {
      const trigger = sql.id(`fence_${verb}_${table}`);
      await sql`drop trigger if exists temp.${trigger}`.execute(database);
      await sql`create temp trigger ${trigger} before ${sql.raw(verb)} on main.${sql.id(table)}
        when (select value from counters where name = ${sql.lit(controllerCounter)}) <> ${sql.lit(epoch)}
        begin select raise(abort, ${sql.lit(refusedWords)}); end`.execute(database);
    }
  }
}

export function isFenceRefusal(error: unknown): boolean {
  return error instanceof Error && error.message.includes(refusedWords);
}

async function tableNames(database: Kysely<Tables>): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`select name from main.sqlite_schema where type = 'table'`.execute(database);
  return rows.map(({ name }) => name).filter((name) => name !== 'counters' && !name.startsWith('sqlite_'));
}
