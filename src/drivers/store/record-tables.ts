import type { Kysely } from 'kysely';
import type { Plan } from '#core/model/plan.ts';
import type { StoredReceipt } from '#core/store.ts';
import { planRecord } from './records.ts';
import { checked, parsedJson, rowShapes, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** Plans, kept whole as JSON beside the columns they are found by; and receipts. */
export class RecordTables {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  /** A plan never changes: a second one with the same id is refused. */
  async savePlan(plan: Plan): Promise<void> {
    const record = JSON.stringify(writable(planRecord, plan, 'plans', plan.planId));
    await this.#database.insertInto('plans').values({ plan_id: plan.planId, created_at_ms: plan.createdAtMs, record }).execute();
  }

  async plan(planId: string): Promise<Plan | null> {
    const row = await this.#database.selectFrom('plans').select('record').where('plan_id', '=', planId).executeTakeFirst();
    return row === undefined ? null : parsedJson(planRecord, row.record, 'plans', planId);
  }

  /** The one saved last. */
  async latestPlan(): Promise<Plan | null> {
    const row = await this.#database
      .selectFrom('plans')
      .select(['plan_id', 'record'])
      .orderBy('position', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row === undefined ? null : parsedJson(planRecord, row.record, 'plans', row.plan_id);
  }

  /** A receipt never changes: a second one for the migration, or with the same sequence, is refused. */
  async saveReceipt(receipt: StoredReceipt): Promise<void> {
    const { migrationId, sequence, createdAtMs, envelope } = receipt;
    const row = { migration_id: migrationId, sequence, created_at_ms: createdAtMs, envelope };
    await this.#database
      .insertInto('receipts')
      .values(writable(rowShapes.receipt, row, 'receipts', migrationId))
      .execute();
  }

  async receipt(migrationId: string): Promise<StoredReceipt | null> {
    const row = await this.#database.selectFrom('receipts').selectAll().where('migration_id', '=', migrationId).executeTakeFirst();
    return row === undefined ? null : receiptOf(row);
  }

  async lastReceipt(): Promise<StoredReceipt | null> {
    const row = await this.#database.selectFrom('receipts').selectAll().orderBy('sequence', 'desc').limit(1).executeTakeFirst();
    return row === undefined ? null : receiptOf(row);
  }
}

function receiptOf(raw: Tables['receipts']): StoredReceipt {
  const row = checked(rowShapes.receipt, raw, 'receipts', raw.migration_id);
  return { migrationId: row.migration_id, sequence: row.sequence, createdAtMs: row.created_at_ms, envelope: row.envelope };
}
