import type { Transaction } from 'kysely';
import type { Tables } from './tables.ts';

/** Step 7: pairs of hosts whose channel stays up between migrations. */
export async function keptChannelsSchema(database: Transaction<Tables>): Promise<void> {
  await database.schema
    .createTable('kept_channels')
    .addColumn('host_a', 'text', (column) => column.notNull())
    .addColumn('host_b', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('kept_channels_key', ['host_a', 'host_b'])
    .execute();
}
