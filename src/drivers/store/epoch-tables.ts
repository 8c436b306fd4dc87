import { type Kysely, sql } from 'kysely';
import type { Mode } from '#core/model/policy.ts';
import { operatingMode } from './records.ts';
import { checked, rowShapes, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

export const controllerCounter = 'controller-epoch';
const modeSetting = 'mode';

/** Fencing epochs and the operating mode. One statement each, so two processes never get the same epoch. */
export class EpochTables {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async nextControllerEpoch(): Promise<number> {
    const row = await this.#database
      .insertInto('counters')
      .values({ name: controllerCounter, value: 1 })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: sql`counters.value + 1` }))
      .returning('value')
      .executeTakeFirstOrThrow();
    return checked(rowShapes.epoch, row.value, 'counters', controllerCounter);
  }

  async nextVmEpoch(vmId: string): Promise<number> {
    const row = await this.#database
      .insertInto('vm_epochs')
      .values({ vm_id: vmId, epoch: 1 })
      .onConflict((conflict) => conflict.column('vm_id').doUpdateSet({ epoch: sql`vm_epochs.epoch + 1` }))
      .returning('epoch')
      .executeTakeFirstOrThrow();
    return checked(rowShapes.epoch, row.epoch, 'vm_epochs', vmId);
  }

  async mode(): Promise<Mode | null> {
    const row = await this.#database.selectFrom('settings').select('value').where('name', '=', modeSetting).executeTakeFirst();
    return row === undefined ? null : checked(operatingMode, row.value, 'settings', modeSetting);
  }

  async saveMode(mode: Mode): Promise<void> {
    const value = writable(operatingMode, mode, 'settings', modeSetting);
    await this.#database
      .insertInto('settings')
      .values({ name: modeSetting, value })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
      .execute();
  }
}
