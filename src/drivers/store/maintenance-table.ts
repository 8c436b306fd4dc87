import type { Kysely, Transaction } from 'kysely';
import { type Static, Type } from 'typebox';
import { type Maintenance, maintenanceEnds, maintenanceOutcomes, maintenancePhases } from '#core/model/maintenance.ts';
import { atMs, id, text } from './basic-shapes.ts';
import { parsedJson, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** Hosts that are taken through maintenance. */
export async function maintenanceSchema(database: Transaction<Tables>): Promise<void> {
  await database.schema
    .createTable('maintenances')
    .addColumn('position', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('maintenance_id', 'text', (column) => column.notNull().unique())
    .addColumn('record', 'text', (column) => column.notNull())
    .execute();
}

const orNull = <Value extends Parameters<typeof Type.Union>[0][number]>(value: Value) => Type.Union([value, Type.Null()]);

const maintenanceRecord = Type.Object({
  maintenanceId: id,
  hosts: Type.Array(
    Type.Object({ hostId: id, phase: Type.Enum(maintenancePhases), phaseSinceMs: atMs, bootId: orNull(text), drainSinceMs: orNull(atMs) }),
  ),
  parallel: Type.Integer(),
  until: Type.Enum(maintenanceEnds),
  by: text,
  reason: text,
  startedAtMs: atMs,
  endedAtMs: orNull(atMs),
  outcome: orNull(Type.Enum(maintenanceOutcomes)),
});

type DeepReadonly<Value> = Value extends object ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> } : Value;
type Kept = DeepReadonly<Static<typeof maintenanceRecord>>;
export const maintenanceRecordMatches: [Kept] extends [Maintenance] ? ([Maintenance] extends [Kept] ? true : never) : never = true;

export class MaintenanceTable {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async save(maintenance: Maintenance): Promise<void> {
    const { maintenanceId } = maintenance;
    const record = JSON.stringify(writable(maintenanceRecord, maintenance, 'maintenances', maintenanceId));
    await this.#database
      .insertInto('maintenances')
      .values({ maintenance_id: maintenanceId, record })
      .onConflict((conflict) => conflict.column('maintenance_id').doUpdateSet({ record }))
      .execute();
  }

  async latest(): Promise<Maintenance | null> {
    const row = await this.#database.selectFrom('maintenances').selectAll().orderBy('position', 'desc').limit(1).executeTakeFirst();
    return row === undefined ? null : parsedJson(maintenanceRecord, row.record, 'maintenances', row.maintenance_id);
  }
}
