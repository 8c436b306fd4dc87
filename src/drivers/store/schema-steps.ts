/**
 * The schema, as steps that are never changed once released: a change is a new step at the end. Each step
 * and its version number are one transaction (SQLite's DDL is transactional; Kysely's own Migrator does not
 * use that on SQLite), so a kill in the middle leaves the version before.
 */
import { type Kysely, sql, type Transaction } from 'kysely';
import { PlimsollError } from '#core/model/result.ts';
import { budgetSchema } from './budget-schema.ts';
import { securedMigrationOf } from './earlier-records.ts';
import { labelSchema } from './label-schema.ts';
import { keptChannelsSchema } from './kept-channels-schema.ts';
import { planCourseSchema } from './plan-course-schema.ts';
import { maintenanceSchema } from './maintenance-table.ts';
import { placementSchema } from './placement-schema.ts';
import { rewriteMigrations } from './rewrite-migrations.ts';
import type { Tables } from './tables.ts';
import { recoverySchema } from './recovery-schema.ts';
import { transferSchema } from './transfer-schema.ts';

type Step = (database: Transaction<Tables>) => Promise<void>;

async function firstSchema(database: Transaction<Tables>): Promise<void> {
  const { schema } = database;
  await schema
    .createTable('settings')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute();
  await schema
    .createTable('counters')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'integer', (column) => column.notNull())
    .execute();
  await schema
    .createTable('vm_epochs')
    .addColumn('vm_id', 'text', (column) => column.primaryKey())
    .addColumn('epoch', 'integer', (column) => column.notNull())
    .execute();
  await schema
    .createTable('hosts')
    .addColumn('host_id', 'text', (column) => column.primaryKey())
    .addColumn('joined_at_ms', 'integer', (column) => column.notNull())
    .addColumn('addresses', 'text')
    .addColumn('last_seen_at_ms', 'integer')
    .execute();
  await schema
    .createTable('join_tokens')
    .addColumn('token_hash', 'text', (column) => column.primaryKey())
    .addColumn('host_id', 'text', (column) => column.notNull())
    .addColumn('expires_at_ms', 'integer', (column) => column.notNull())
    .addColumn('used_at_ms', 'integer')
    .execute();
}

async function firstHistorySchema(database: Transaction<Tables>): Promise<void> {
  const { schema } = database;
  await schema
    .createTable('history')
    .addColumn('host_id', 'text', (column) => column.notNull())
    .addColumn('at_ms', 'integer', (column) => column.notNull())
    .addColumn('cpu_percent', 'real', (column) => column.notNull())
    .addColumn('memory_percent', 'real', (column) => column.notNull())
    .addPrimaryKeyConstraint('history_key', ['host_id', 'at_ms'])
    .execute();
  await schema.createIndex('history_by_time').on('history').column('at_ms').execute();
}

async function firstRecordSchema(database: Transaction<Tables>): Promise<void> {
  const { schema } = database;
  await schema
    .createTable('migrations')
    .addColumn('position', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('migration_id', 'text', (column) => column.notNull().unique())
    .addColumn('asked_at_ms', 'integer', (column) => column.notNull())
    .addColumn('ended_at_ms', 'integer')
    .addColumn('record', 'text', (column) => column.notNull())
    .execute();
  await schema.createIndex('migrations_by_time').on('migrations').columns(['asked_at_ms', 'position']).execute();
  await schema.createIndex('migrations_open').on('migrations').columns(['ended_at_ms', 'asked_at_ms']).execute();
  await schema
    .createTable('ledger')
    .addColumn('position', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('migration_id', 'text', (column) => column.notNull())
    .addColumn('vm_id', 'text', (column) => column.notNull())
    .addColumn('from_host_id', 'text', (column) => column.notNull())
    .addColumn('to_host_id', 'text', (column) => column.notNull())
    .addColumn('cause', 'text', (column) => column.notNull())
    .addColumn('started_at_ms', 'integer', (column) => column.notNull())
    .addColumn('ended_at_ms', 'integer', (column) => column.notNull())
    .addColumn('outcome', 'text', (column) => column.notNull())
    .addColumn('failure_code', 'text')
    // An append that is tried again after a crash counts once: a double would lengthen the VM's cool-down.
    .addUniqueConstraint('ledger_once', ['migration_id', 'outcome'])
    .execute();
  await schema.createIndex('ledger_by_time').on('ledger').column('ended_at_ms').execute();
  await schema
    .createTable('plans')
    .addColumn('position', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('plan_id', 'text', (column) => column.notNull().unique())
    .addColumn('created_at_ms', 'integer', (column) => column.notNull())
    .addColumn('record', 'text', (column) => column.notNull())
    .execute();
  await schema
    .createTable('receipts')
    .addColumn('migration_id', 'text', (column) => column.primaryKey())
    .addColumn('sequence', 'integer', (column) => column.notNull().unique())
    .addColumn('created_at_ms', 'integer', (column) => column.notNull())
    .addColumn('envelope', 'text', (column) => column.notNull())
    .execute();
}

async function securitySchema(database: Transaction<Tables>): Promise<void> {
  const { schema } = database;
  await schema.alterTable('hosts').addColumn('revoked_at_ms', 'integer').execute();
  await schema
    .createTable('certificates')
    .addColumn('authority_id', 'text', (column) => column.notNull())
    .addColumn('serial_number', 'text', (column) => column.notNull())
    .addColumn('host_id', 'text', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull())
    .addColumn('not_before_ms', 'integer', (column) => column.notNull())
    .addColumn('not_after_ms', 'integer', (column) => column.notNull())
    .addColumn('revoked_at_ms', 'integer')
    // A serial number is one CA's own (RFC 5280 section 4.1.2.2).
    .addPrimaryKeyConstraint('certificates_key', ['authority_id', 'serial_number'])
    .execute();
  await schema.createIndex('certificates_by_host').on('certificates').columns(['host_id', 'not_after_ms']).execute();
  await schema.createIndex('certificates_revoked').on('certificates').column('revoked_at_ms').execute();
  await schema
    .createTable('grants')
    .addColumn('position', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('grant_id', 'text', (column) => column.notNull().unique())
    .addColumn('requested_at_ms', 'integer', (column) => column.notNull())
    .addColumn('record', 'text', (column) => column.notNull())
    .execute();
  await schema
    .createTable('audit')
    .addColumn('position', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('at_ms', 'integer', (column) => column.notNull())
    .addColumn('who', 'text', (column) => column.notNull())
    .addColumn('verb', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('detail', 'text', (column) => column.notNull())
    .execute();
  await schema
    .createTable('tunings')
    .addColumn('host_a', 'text', (column) => column.notNull())
    .addColumn('host_b', 'text', (column) => column.notNull())
    .addColumn('record', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('tunings_key', ['host_a', 'host_b'])
    .execute();
  await rewriteMigrations(database, securedMigrationOf);
}

/** Version n is the schema after the first n steps. */
const steps: readonly Step[] = [
  firstSchema,
  firstHistorySchema,
  firstRecordSchema,
  securitySchema,
  transferSchema,
  recoverySchema,
  keptChannelsSchema,
  placementSchema,
  budgetSchema,
  planCourseSchema,
  maintenanceSchema,
  labelSchema,
];

/** Brings the schema to this program's version. Throws `config-invalid` for a file of a newer version. */
export async function upgradeSchema(database: Kysely<Tables>): Promise<void> {
  await sql`create table if not exists schema_version (version integer not null)`.execute(database);
  for (;;) {
    const done = await database.transaction().execute(async (transaction) => {
      const { rows } = await sql<{ readonly version: number }>`select max(version) as version from schema_version`.execute(transaction);
      const version = rows[0]?.version ?? 0;
      if (version > steps.length) {
        const sentence = `The database has schema version ${version}, this program knows ${steps.length}; start the newer program that made it.`;
        throw new PlimsollError('config-invalid', sentence);
      }
      const step = steps[version];
      if (step === undefined) return true;
      await step(transaction);
      await sql`insert into schema_version (version) values (${version + 1})`.execute(transaction);
      return false;
    });
    if (done) return;
  }
}
