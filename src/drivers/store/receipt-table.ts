import type { Kysely } from 'kysely';
import type { StoredReceipt } from '#core/store.ts';
import { checked, rowShapes, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** Receipts, each in one row. */
export class ReceiptTable {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
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
