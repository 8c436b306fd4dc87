import type { Kysely } from 'kysely';
import type { StartedMove } from '#core/model/plan-course.ts';
import type { Migration } from '#core/model/migration.ts';
import { keptOutcomeOf } from '#core/store-rules.ts';
import type { MigrationQuery } from '#core/store.ts';
import { migrationsWanted } from './migrations-wanted.ts';
import { migrationRecord } from './records.ts';
import { parsedJson, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** Migrations, kept whole as JSON beside the columns they are found by. */
export class MigrationTable {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async save(migration: Migration): Promise<void> {
    const { request, endedAtMs } = migration;
    const record = JSON.stringify(writable(migrationRecord, migration, 'migrations', request.migrationId));
    const changing = {
      asked_at_ms: request.askedAtMs,
      ended_at_ms: endedAtMs,
      record,
      vm_id: request.vmId,
      from_host_id: request.fromHostId,
      to_host_id: request.toHostId,
      outcome: keptOutcomeOf(migration),
      plan_id: request.planId,
    };
    await this.#database
      .insertInto('migrations')
      .values({ migration_id: request.migrationId, ...changing })
      .onConflict((conflict) => conflict.column('migration_id').doUpdateSet(changing))
      .execute();
  }

  async read(migrationId: string): Promise<Migration | null> {
    const row = await this.#database.selectFrom('migrations').select('record').where('migration_id', '=', migrationId).executeTakeFirst();
    return row === undefined ? null : parsedJson(migrationRecord, row.record, 'migrations', migrationId);
  }

  /** In the order of their first saving, from columns of one index. */
  async ofPlans(planIds: readonly string[]): Promise<readonly StartedMove[]> {
    const rows = await this.#database
      .selectFrom('migrations')
      .select(['plan_id', 'vm_id', 'migration_id'])
      .where('plan_id', 'in', planIds)
      .orderBy('position')
      .execute();
    return rows.flatMap(({ plan_id: planId, vm_id: vmId, migration_id: migrationId }) =>
      planId === null || vmId === null ? [] : [{ planId, vmId, migrationId }],
    );
  }

  async wanted(query: MigrationQuery): Promise<readonly Migration[]> {
    const rows = await migrationsWanted(this.#database, query).execute();
    return rows.map((row) => parsedJson(migrationRecord, row.record, 'migrations', row.migration_id));
  }
}
