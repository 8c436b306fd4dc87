import type { Kysely } from 'kysely';
import type { PlanCourse } from '#core/model/plan-course.ts';
import type { Plan } from '#core/model/plan.ts';
import { planCourseRecord } from './plan-course-record.ts';
import { planRecord } from './records.ts';
import { parsedJson, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** Plans and what became of them, each kept whole as JSON beside the columns they are found by. */
export class PlanTable {
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

  /** Those saved last, the last one first. */
  async newest(limit: number): Promise<readonly Plan[]> {
    const rows = await this.#database.selectFrom('plans').select(['plan_id', 'record']).orderBy('position', 'desc').limit(limit).execute();
    return rows.map((row) => parsedJson(planRecord, row.record, 'plans', row.plan_id));
  }

  async saveCourse(course: PlanCourse): Promise<void> {
    const record = JSON.stringify(writable(planCourseRecord, course, 'plan_courses', course.planId));
    const changing = { rejected_at_ms: course.rejection?.atMs ?? null, record };
    await this.#database
      .insertInto('plan_courses')
      .values({ plan_id: course.planId, ...changing })
      .onConflict((conflict) => conflict.column('plan_id').doUpdateSet(changing))
      .execute();
  }

  async courses(planIds: readonly string[]): Promise<readonly PlanCourse[]> {
    const rows = await this.#database.selectFrom('plan_courses').selectAll().where('plan_id', 'in', planIds).orderBy('plan_id').execute();
    return rows.map(courseOf);
  }

  async rejectedSince(sinceMs: number): Promise<readonly PlanCourse[]> {
    const rows = await this.#database
      .selectFrom('plan_courses')
      .selectAll()
      .where('rejected_at_ms', '>=', sinceMs)
      .orderBy('rejected_at_ms')
      .orderBy('plan_id')
      .execute();
    return rows.map(courseOf);
  }
}

function courseOf({ plan_id: planId, record }: Tables['plan_courses']): PlanCourse {
  return parsedJson(planCourseRecord, record, 'plan_courses', planId);
}
