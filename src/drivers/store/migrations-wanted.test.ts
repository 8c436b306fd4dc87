import { Kysely, sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MigrationQuery } from '#core/store.ts';
import { migrationsWanted } from './migrations-wanted.ts';
import { upgradeSchema } from './schema-steps.ts';
import { openSqliteDialect } from './sqlite-dialect.ts';
import type { Tables } from './tables.ts';

const conditions: readonly Omit<MigrationQuery, 'limit'>[] = [
  { open: true },
  { open: false },
  { vmId: 'x' },
  { hostId: 'a' },
  { outcome: 'moved' },
  { outcome: 'unclear' },
  { sinceMs: 5 },
  { untilMs: 9 },
];

/** Every set of conditions; of two that name the same thing the later one counts. */
const queries = Array.from({ length: 2 ** conditions.length }, (_, set): MigrationQuery => {
  const chosen = conditions.filter((_condition, index) => (set & (2 ** index)) !== 0);
  return Object.assign({ limit: 100 }, ...chosen) as MigrationQuery;
});

/** By which index the fewest rows are looked at. */
function indexesFor({ open, vmId, hostId, outcome }: MigrationQuery): readonly string[] {
  if (open === true) return ['migrations_open'];
  if (vmId !== undefined) return ['migrations_by_vm'];
  if (outcome === 'unclear') return ['migrations_by_outcome'];
  if (hostId !== undefined) return ['migrations_by_source', 'migrations_by_destination'];
  return [outcome === undefined ? 'migrations_by_time' : 'migrations_by_outcome'];
}

describe('a query for migrations', () => {
  let database: Kysely<Tables>;
  beforeEach(async () => {
    database = new Kysely<Tables>({ dialect: openSqliteDialect(':memory:') });
    await upgradeSchema(database);
  });
  afterEach(() => database.destroy());

  /** What SQLite would do, as in https://sqlite.org/eqp.html: each access to the table but that to the records found. */
  async function searchesOf(query: MigrationQuery): Promise<readonly string[]> {
    const { sql: text, parameters } = migrationsWanted(database, query).compile();
    const pieces = text.split('?').flatMap((piece, index) => [...(index === 0 ? [] : [sql`${parameters[index - 1]}`]), sql.raw(piece)]);
    const { rows } = await sql<{ readonly detail: string }>`explain query plan ${sql.join(pieces, sql``)}`.execute(database);
    return rows
      .map(({ detail }) => detail)
      .filter((detail) => / migrations /.test(`${detail} `) && !detail.includes('INTEGER PRIMARY KEY'));
  }

  it('reads no record to find its rows, and searches by what leaves least, whatever it names', async () => {
    for (const query of queries) {
      const found = await searchesOf(query);
      expect(
        found.map((detail) => / USING COVERING INDEX (\w+)/.exec(detail)?.[1]),
        JSON.stringify(query),
      ).toEqual(indexesFor(query));
    }
  });

  it('has no need to sort what it finds by one index', async () => {
    for (const query of queries.filter(({ hostId }) => hostId === undefined)) {
      const { sql: text } = migrationsWanted(database, query).compile();
      const { rows } = await sql<{ readonly detail: string }>`explain query plan ${sql.raw(text.replaceAll('?', '1'))}`.execute(database);
      expect(rows.map(({ detail }) => detail).filter((detail) => detail.includes('TEMP B-TREE'))).toEqual([]);
    }
  });

  it('reads every record it passes with the indexes of before', async () => {
    const { rows } = await sql<{
      readonly name: string;
    }>`select name from sqlite_master where name like 'migrations!_%' escape '!'`.execute(database);
    for (const { name } of rows) await sql`drop index ${sql.ref(name)}`.execute(database);
    await sql`create index migrations_by_time on migrations (asked_at_ms, position)`.execute(database);
    const [found = ''] = await searchesOf({ vmId: 'x', limit: 100 });
    expect(found).toBe('SCAN migrations USING INDEX migrations_by_time');
  });
});
