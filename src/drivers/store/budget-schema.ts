import type { Transaction } from 'kysely';
import type { Tables } from './tables.ts';

/** Step 9: what each move sent; classes and tenants of VMs. What was there before says neither. */
export async function budgetSchema(database: Transaction<Tables>): Promise<void> {
  const { schema } = database;
  await schema.alterTable('ledger').addColumn('sent_bytes', 'real').execute();
  await schema.alterTable('vm_settings').addColumn('sla_class', 'text').execute();
  await schema.alterTable('vm_settings').addColumn('tenant', 'text').execute();
}
