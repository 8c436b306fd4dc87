import type { Transaction } from 'kysely';
import type { Tables } from './tables.ts';

/** Records are several kilobytes long, and there may be a hundred thousand of them. */
const rowsPerRead = 500;

/** Step 9: what became of plans; migrations are found by the plan that asked for them. */
export async function planCourseSchema(database: Transaction<Tables>): Promise<void> {
  const { schema } = database;
  await schema.alterTable('migrations').addColumn('plan_id', 'text').execute();
  await findByPlan(database);
  await schema.createIndex('migrations_by_plan').on('migrations').columns(['plan_id', 'position', 'vm_id', 'migration_id']).execute();
  await schema
    .createTable('plan_courses')
    .addColumn('plan_id', 'text', (column) => column.primaryKey())
    .addColumn('rejected_at_ms', 'integer')
    .addColumn('record', 'text', (column) => column.notNull())
    .execute();
  await schema.createIndex('plan_courses_by_rejection').on('plan_courses').column('rejected_at_ms').execute();
}

async function findByPlan(database: Transaction<Tables>): Promise<void> {
  let done = 0;
  for (;;) {
    const rows = await database
      .selectFrom('migrations')
      .select(['position', 'record'])
      .where('position', '>', done)
      .orderBy('position')
      .limit(rowsPerRead)
      .execute();
    for (const { position, record } of rows) {
      const planId = planIdOf(record);
      if (planId !== null) await database.updateTable('migrations').set({ plan_id: planId }).where('position', '=', position).execute();
      done = position;
    }
    if (rows.length < rowsPerRead) return;
  }
}

/** Null as well for a row that was damaged before: reading it says so. */
function planIdOf(record: string): string | null {
  try {
    const value: unknown = JSON.parse(record);
    const request = isObject(value) ? value['request'] : null;
    const planId = isObject(request) ? request['planId'] : null;
    return typeof planId === 'string' ? planId : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
