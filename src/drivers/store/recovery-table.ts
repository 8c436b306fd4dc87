import type { Kysely } from 'kysely';
import type { Recovery } from '#core/model/recovery.ts';
import { recoveryRecord } from './recovery-records.ts';
import { parsedJson, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** VMs that are started again after their host's death: how each of them stands, whole as JSON. */
export class RecoveryTable {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async save(recovery: Recovery): Promise<void> {
    const record = JSON.stringify(writable(recoveryRecord, recovery, 'recoveries', recovery.vmId));
    await this.#database
      .insertInto('recoveries')
      .values({ vm_id: recovery.vmId, record })
      .onConflict((conflict) => conflict.column('vm_id').doUpdateSet({ record }))
      .execute();
  }

  async remove(vmId: string): Promise<void> {
    await this.#database.deleteFrom('recoveries').where('vm_id', '=', vmId).execute();
  }

  async list(): Promise<readonly Recovery[]> {
    const rows = await this.#database.selectFrom('recoveries').selectAll().orderBy('vm_id').execute();
    return rows.map((row) => parsedJson(recoveryRecord, row.record, 'recoveries', row.vm_id));
  }
}
