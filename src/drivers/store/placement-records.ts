/** The shapes of rules, cordons and drains as they are kept; `Same` ties them to the model. */
import { type Static, Type } from 'typebox';
import { type Drain, drainPhases } from '#core/model/drain.ts';
import type { Cordon } from '#core/model/rule.ts';
import { weekdays } from '#core/model/rule.ts';
import type { StoredRule } from '#core/store.ts';
import { atMs, id, text } from './basic-shapes.ts';

const selectors = Type.Array(text);
const base = { name: id, vms: selectors };
const dailyWindow = Type.Object({
  fromMinute: Type.Integer(),
  untilMinute: Type.Integer(),
  weekdays: Type.Array(Type.Enum([...weekdays])),
  utcOffsetMinutes: Type.Integer(),
});

const rule = Type.Union([
  Type.Object({ ...base, kind: Type.Literal('pin'), hosts: Type.Array(id) }),
  Type.Object({ ...base, kind: Type.Enum(['affinity', 'anti-affinity']) }),
  Type.Object({ ...base, kind: Type.Literal('ignore') }),
  Type.Object({ ...base, kind: Type.Enum(['blackout', 'window']), when: dailyWindow }),
]);

export const ruleRecord = Type.Object({ rule, by: text, atMs });
export const cordonRecord = Type.Object({ hostId: id, reason: text, by: text, atMs });
export const drainRecord = Type.Object({
  hostId: id,
  phase: Type.Enum(drainPhases),
  phaseSinceMs: atMs,
  startedAtMs: atMs,
  by: text,
  reason: text,
});

type Same<Kept, Model> = [Kept] extends [Model] ? ([Model] extends [DeepReadonly<Kept>] ? true : never) : never;
type DeepReadonly<Value> = Value extends object ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> } : Value;
export const placementRecordsMatch: [
  Same<Static<typeof ruleRecord>, StoredRule>,
  Same<Static<typeof cordonRecord>, Cordon>,
  Same<Static<typeof drainRecord>, Drain>,
] = [true, true, true];
