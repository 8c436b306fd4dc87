import type { Transaction } from 'kysely';
import { foundMigrationOf } from './earlier-records.ts';
import { rewriteMigrations } from './rewrite-migrations.ts';
import type { Tables } from './tables.ts';

/** What a query for migrations can name; each index has all of it, so that no record is read in vain. */
const found = ['vm_id', 'from_host_id', 'to_host_id', 'outcome', 'ended_at_ms'] as const;
const newestFirst = ['asked_at_ms', 'position'] as const;

/** Step 5: how a VM was moved and what that cost; migrations are found by VM, host and outcome; settings of VMs. */
export async function transferSchema(database: Transaction<Tables>): Promise<void> {
  const { schema } = database;
  for (const name of ['vm_id', 'from_host_id', 'to_host_id', 'outcome'] as const) {
    await schema.alterTable('migrations').addColumn(name, 'text').execute();
  }
  await rewriteMigrations(database, foundMigrationOf);
  await schema.dropIndex('migrations_by_time').execute();
  await schema.dropIndex('migrations_open').execute();
  const index = (name: string, first: readonly (typeof found)[number][]) =>
    schema
      .createIndex(name)
      .on('migrations')
      .columns([...first, ...newestFirst, ...found.filter((column) => !first.includes(column))])
      .execute();
  await index('migrations_by_time', []);
  await index('migrations_by_vm', ['vm_id']);
  await index('migrations_by_source', ['from_host_id']);
  await index('migrations_by_destination', ['to_host_id']);
  await index('migrations_by_outcome', ['outcome']);
  await index('migrations_open', ['ended_at_ms']);
  await schema
    .createTable('vm_settings')
    .addColumn('vm_id', 'text', (column) => column.primaryKey())
    .addColumn('restartable', 'integer', (column) => column.notNull())
    .addColumn('address', 'text')
    .addColumn('definition_text', 'text')
    .addColumn('updated_at_ms', 'integer', (column) => column.notNull())
    .execute();
}
