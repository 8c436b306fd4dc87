import type { Transaction } from 'kysely';
import type { Tables } from './tables.ts';

/** Step 8: placement rules, cordoned hosts, hosts that are drained. */
export async function placementSchema(database: Transaction<Tables>): Promise<void> {
  const { schema } = database;
  for (const [name, key] of [
    ['rules', 'name'],
    ['cordons', 'host_id'],
    ['drains', 'host_id'],
  ] as const) {
    await schema
      .createTable(name)
      .addColumn(key, 'text', (column) => column.primaryKey())
      .addColumn('record', 'text', (column) => column.notNull())
      .execute();
  }
}
