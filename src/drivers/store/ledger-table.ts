import type { Kysely } from 'kysely';
import { Type } from 'typebox';
import type { LedgerEntry } from '#core/model/ledger.ts';
import { atMs, id, orNull } from './basic-shapes.ts';
import { ledgerOutcome, moveCause, refusalCode } from './records.ts';
import { checked, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

const ledgerRow = Type.Object({
  migration_id: id,
  vm_id: id,
  from_host_id: id,
  to_host_id: id,
  cause: moveCause,
  started_at_ms: atMs,
  ended_at_ms: atMs,
  outcome: ledgerOutcome,
  failure_code: orNull(refusalCode),
  sent_bytes: orNull(Type.Number({ minimum: 0 })),
});

/** Every move ever made and its outcome; rows are added and never changed. */
export class LedgerTable {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  /** The same outcome of the same migration counts once; a later, other outcome is an entry of its own. */
  async append(entry: LedgerEntry): Promise<void> {
    const row = {
      migration_id: entry.migrationId,
      vm_id: entry.vmId,
      from_host_id: entry.fromHostId,
      to_host_id: entry.toHostId,
      cause: entry.cause,
      started_at_ms: entry.startedAtMs,
      ended_at_ms: entry.endedAtMs,
      outcome: entry.outcome,
      failure_code: entry.failureCode,
      sent_bytes: entry.sentBytes,
    };
    await this.#database
      .insertInto('ledger')
      .values(writable(ledgerRow, row, 'ledger', entry.migrationId))
      .onConflict((conflict) => conflict.columns(['migration_id', 'outcome']).doNothing())
      .execute();
  }

  /** Entries that ended at or after this, oldest first. */
  async since(sinceMs: number): Promise<readonly LedgerEntry[]> {
    const rows = await this.#database
      .selectFrom('ledger')
      .selectAll()
      .where('ended_at_ms', '>=', sinceMs)
      .orderBy('ended_at_ms')
      .orderBy('position')
      .execute();
    return rows.map((raw) => {
      const row = checked(ledgerRow, raw, 'ledger', raw.migration_id);
      return {
        migrationId: row.migration_id,
        vmId: row.vm_id,
        fromHostId: row.from_host_id,
        toHostId: row.to_host_id,
        cause: row.cause,
        startedAtMs: row.started_at_ms,
        endedAtMs: row.ended_at_ms,
        outcome: row.outcome,
        failureCode: row.failure_code,
        sentBytes: row.sent_bytes,
      };
    });
  }
}
