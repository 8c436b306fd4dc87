import type { Transaction } from 'kysely';
import type { RewrittenMigration } from './earlier-records.ts';
import type { Tables } from './tables.ts';

/** Records are several kilobytes long, and there may be a hundred thousand of them. */
const rowsPerRead = 500;

/**
 * Replaces every record, and the columns that go with it, by what `rewrite` makes of it. A row that is damaged already (null) stays as
 * it is: reading it says so, and the other rows stay readable.
 */
export async function rewriteMigrations(
  database: Transaction<Tables>,
  rewrite: (record: string) => RewrittenMigration | null,
): Promise<void> {
  let done = 0;
  for (;;) {
    const rows = await database
      .selectFrom('migrations')
      .select(['position', 'record'])
      .where('position', '>', done)
      .orderBy('position')
      .limit(rowsPerRead)
      .execute();
    for (const { position, record } of rows) {
      const rewritten = rewrite(record);
      if (rewritten !== null) await database.updateTable('migrations').set(rewritten).where('position', '=', position).execute();
      done = position;
    }
    if (rows.length < rowsPerRead) return;
  }
}
