import type { Kysely } from 'kysely';
import { Type } from 'typebox';
import type { VmSettings } from '#core/store.ts';
import { checked, parsedJson, rowShapes, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

const labelsShape = Type.Record(Type.String(), Type.String());

/** What the operator wants for single VMs. */
export class VmSettingsTable {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async save(settings: VmSettings): Promise<void> {
    const changing = {
      restartable: settings.restartable ? 1 : 0,
      address: settings.address,
      definition_text: settings.definitionText,
      sla_class: settings.slaClass,
      tenant: settings.tenant,
      labels: Object.keys(settings.labels).length === 0 ? null : JSON.stringify(settings.labels),
      updated_at_ms: settings.updatedAtMs,
    };
    await this.#database
      .insertInto('vm_settings')
      .values(writable(rowShapes.vmSettings, { vm_id: settings.vmId, ...changing }, 'vm_settings', settings.vmId))
      .onConflict((conflict) => conflict.column('vm_id').doUpdateSet(changing))
      .execute();
  }

  async list(): Promise<readonly VmSettings[]> {
    const rows = await this.#database.selectFrom('vm_settings').selectAll().orderBy('vm_id').execute();
    return rows.map((raw) => {
      const row = checked(rowShapes.vmSettings, raw, 'vm_settings', raw.vm_id);
      return {
        vmId: row.vm_id,
        restartable: row.restartable === 1,
        address: row.address,
        definitionText: row.definition_text,
        slaClass: row.sla_class,
        tenant: row.tenant,
        labels: row.labels === null ? {} : parsedJson(labelsShape, row.labels, 'vm_settings', raw.vm_id),
        updatedAtMs: row.updated_at_ms,
      };
    });
  }
}
