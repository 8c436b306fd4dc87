import type { Transaction } from 'kysely';
import type { Tables } from './tables.ts';

/** Step 6: VMs that are started again after their host's death. */
export async function recoverySchema(database: Transaction<Tables>): Promise<void> {
  await database.schema
    .createTable('recoveries')
    .addColumn('vm_id', 'text', (column) => column.primaryKey())
    .addColumn('record', 'text', (column) => column.notNull())
    .execute();
}
