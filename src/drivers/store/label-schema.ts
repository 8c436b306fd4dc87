import type { Transaction } from 'kysely';
import type { Tables } from './tables.ts';

/** Step 12: labels of VMs. What was there before has none. */
export async function labelSchema(database: Transaction<Tables>): Promise<void> {
  await database.schema.alterTable('vm_settings').addColumn('labels', 'text').execute();
}
