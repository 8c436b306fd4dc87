/** The shape of what became of a plan as it is kept; `Same` ties it to the model. */
import { type Static, Type } from 'typebox';
import type { PlanCourse } from '#core/model/plan-course.ts';
import { atMs, id, orNull, text } from './basic-shapes.ts';

const rejection = Type.Object({
  by: text,
  reason: text,
  atMs,
  moves: Type.Array(Type.Object({ vmId: id, vmName: text, toHostId: id })),
});

export const planCourseRecord = Type.Object({
  planId: id,
  rejection: orNull(rejection),
  held: Type.Array(Type.Object({ vmId: id, code: id, reason: text, atMs })),
});

type Same<Kept, Model> = [Kept] extends [Model] ? ([Model] extends [DeepReadonly<Kept>] ? true : never) : never;
type DeepReadonly<Value> = Value extends object ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> } : Value;
export const planCourseRecordMatches: Same<Static<typeof planCourseRecord>, PlanCourse> = true;
