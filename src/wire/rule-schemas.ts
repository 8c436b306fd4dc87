/** Placement rules as they travel: in the REST API and in snapshot files. */
import type { PairRefusal, Rule } from '#core/model/rule.ts';
import { ruleLimits, weekdays } from '#core/model/rule.ts';
import { Type } from 'typebox';
import { HostIdSchema, RefusalCodeSchema, strict, TextSchema, TimeSchema, VmIdSchema } from './resources.ts';

const { selectorsMax, selectorLengthMax, hostsMax, nameLengthMax, rulesMax } = ruleLimits;

export const RuleNameSchema = Type.String({
  pattern: `^[a-z0-9]([a-z0-9.-]{0,${nameLengthMax - 2}}[a-z0-9])?$`,
  description: 'Name of a rule: small letters, digits, dots and dashes',
});

const selectors = Type.Array(Type.String({ minLength: 1, maxLength: selectorLengthMax }), {
  minItems: 1,
  maxItems: selectorsMax,
  description: 'UUIDs, names, names with `*` for any text, or labels: `label:key=value`, or `label:key` for any value',
});

export const DailyWindowSchema = Type.Object(
  {
    fromMinute: Type.Integer({ minimum: 0, maximum: 1439, description: 'Minutes after midnight' }),
    untilMinute: Type.Integer({ minimum: 1, maximum: 1440, description: 'Minutes after midnight; before fromMinute: on the next day' }),
    weekdays: Type.Array(Type.Union(weekdays.map((day) => Type.Literal(day))), { minItems: 1, maxItems: 7 }),
    utcOffsetMinutes: Type.Integer({ minimum: -840, maximum: 840 }),
  },
  strict,
);

const base = { name: RuleNameSchema, vms: selectors };

export const RuleSchema = Type.Unsafe<Rule>(
  Type.Union([
    Type.Object({ ...base, kind: Type.Literal('pin'), hosts: Type.Array(HostIdSchema, { minItems: 1, maxItems: hostsMax }) }, strict),
    Type.Object({ ...base, kind: Type.Literal('affinity') }, strict),
    Type.Object({ ...base, kind: Type.Literal('anti-affinity') }, strict),
    Type.Object({ ...base, kind: Type.Literal('ignore') }, strict),
    Type.Object({ ...base, kind: Type.Literal('blackout'), when: DailyWindowSchema }, strict),
    Type.Object({ ...base, kind: Type.Literal('window'), when: DailyWindowSchema }, strict),
  ]),
);

export const RulesSchema = Type.Unsafe<readonly Rule[]>(Type.Array(RuleSchema, { maxItems: rulesMax }));

export const PairRefusalSchema = Type.Unsafe<PairRefusal>(
  Type.Object({ vmId: VmIdSchema, hostId: HostIdSchema, code: RefusalCodeSchema, reason: TextSchema, untilMs: TimeSchema }, strict),
);

export type { DailyWindow, Rule, RuleKind, Weekday } from '#core/model/rule.ts';
