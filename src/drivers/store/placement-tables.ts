import type { Kysely } from 'kysely';
import type { Drain } from '#core/model/drain.ts';
import type { Cordon } from '#core/model/rule.ts';
import type { StoredRule } from '#core/store.ts';
import { cordonRecord, drainRecord, ruleRecord } from './placement-records.ts';
import { parsedJson, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** Where VMs may run: rules by name, cordons and drains by host, each whole as JSON. */
export class PlacementTables {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async saveRule(stored: StoredRule): Promise<void> {
    const { name } = stored.rule;
    const record = JSON.stringify(writable(ruleRecord, stored, 'rules', name));
    await this.#database
      .insertInto('rules')
      .values({ name, record })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ record }))
      .execute();
  }

  async removeRule(name: string): Promise<void> {
    await this.#database.deleteFrom('rules').where('name', '=', name).execute();
  }

  async rules(): Promise<readonly StoredRule[]> {
    const rows = await this.#database.selectFrom('rules').selectAll().orderBy('name').execute();
    return rows.map((row) => parsedJson(ruleRecord, row.record, 'rules', row.name));
  }

  async saveCordon(cordon: Cordon): Promise<void> {
    const record = JSON.stringify(writable(cordonRecord, cordon, 'cordons', cordon.hostId));
    await this.#database
      .insertInto('cordons')
      .values({ host_id: cordon.hostId, record })
      .onConflict((conflict) => conflict.column('host_id').doUpdateSet({ record }))
      .execute();
  }

  async removeCordon(hostId: string): Promise<void> {
    await this.#database.deleteFrom('cordons').where('host_id', '=', hostId).execute();
  }

  async cordons(): Promise<readonly Cordon[]> {
    const rows = await this.#database.selectFrom('cordons').selectAll().orderBy('host_id').execute();
    return rows.map((row) => parsedJson(cordonRecord, row.record, 'cordons', row.host_id));
  }

  async saveDrain(drain: Drain): Promise<void> {
    const record = JSON.stringify(writable(drainRecord, drain, 'drains', drain.hostId));
    await this.#database
      .insertInto('drains')
      .values({ host_id: drain.hostId, record })
      .onConflict((conflict) => conflict.column('host_id').doUpdateSet({ record }))
      .execute();
  }

  async drains(): Promise<readonly Drain[]> {
    const rows = await this.#database.selectFrom('drains').selectAll().orderBy('host_id').execute();
    return rows.map((row) => parsedJson(drainRecord, row.record, 'drains', row.host_id));
  }
}
