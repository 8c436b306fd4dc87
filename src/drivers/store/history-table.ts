import type { Kysely } from 'kysely';
import type { Sample } from '#core/model/sample.ts';
import { historyPointOf } from '#core/store-rules.ts';
import type { HistoryPoint } from '#core/store.ts';
import { checked, rowShapes, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** Rows per statement: SQLite takes 32,766 parameters, a row has four. */
const rowsPerInsert = 1000;

/** Load of hosts over time. */
export class HistoryTable {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  /** A repeated sample counts once. */
  async append(samples: readonly Sample[]): Promise<void> {
    const rows = samples.flatMap((sample) => {
      const point = historyPointOf(sample);
      if (point === null) return [];
      const { hostId, atMs, cpuPercent, memoryPercent } = point;
      const row = { host_id: hostId, at_ms: atMs, cpu_percent: cpuPercent, memory_percent: memoryPercent };
      return [writable(rowShapes.history, row, 'history', `${hostId} at ${atMs}`)];
    });
    if (rows.length === 0) return;
    await this.#database.transaction().execute(async (transaction) => {
      for (let start = 0; start < rows.length; start += rowsPerInsert) {
        await transaction
          .insertInto('history')
          .values(rows.slice(start, start + rowsPerInsert))
          .onConflict((conflict) => conflict.columns(['host_id', 'at_ms']).doNothing())
          .execute();
      }
    });
  }

  /** The newest `limit` points, oldest first. */
  async read(hostId: string, sinceMs: number, limit: number): Promise<readonly HistoryPoint[]> {
    const rows = await this.#database
      .selectFrom('history')
      .selectAll()
      .where('host_id', '=', hostId)
      .where('at_ms', '>=', sinceMs)
      .orderBy('at_ms', 'desc')
      .limit(limit)
      .execute();
    return rows.toReversed().map((row) => {
      const point = checked(rowShapes.history, row, 'history', `${hostId} at ${row.at_ms}`);
      return { hostId: point.host_id, atMs: point.at_ms, cpuPercent: point.cpu_percent, memoryPercent: point.memory_percent };
    });
  }

  async trim(beforeMs: number): Promise<void> {
    await this.#database.deleteFrom('history').where('at_ms', '<', beforeMs).execute();
  }
}
