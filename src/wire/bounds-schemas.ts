/** SLA classes and budgets, as they are configured and as a whole policy has them; what is known of VMs and pairs for them. */
import { defaultPolicy, type Policy, standardClass } from '#core/model/policy.ts';
import type { MoveCost } from '#core/model/plan.ts';
import type { PairBandwidth, VmFacts } from '#core/model/snapshot.ts';
import { type Static, Type } from 'typebox';
import { LabelsSchema } from './label-schemas.ts';
import { HostIdSchema, orNull, RateSchema, strict, TimeSchema, VmIdSchema } from './resources.ts';
import { MemoryActivitySchema } from './transfer-schemas.ts';

/** A word that can be typed and stands in a sentence; `none` takes one back. */
const word = '(?!none$)[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?';
export const ClassNameSchema = Type.String({ pattern: `^${word}$`, description: 'Name of an SLA class in policy.classes' });
export const TenantSchema = Type.String({ pattern: `^${word}$`, description: 'Whose the VM is: counted against budgets' });

const SlaClassSchema = Type.Object(
  {
    downtimeMsMax: Type.Integer({ minimum: 0, maximum: 3_600_000 }),
    costFactor: Type.Number({ minimum: 0.01, maximum: 1000 }),
    moves: Type.Union([Type.Literal('automatic'), Type.Literal('approve-only'), Type.Literal('never')]),
  },
  strict,
);

const countMax = 1_000_000;
export const BudgetsSchema = Type.Object(
  {
    vmMovesPerDay: Type.Integer({ minimum: 0, maximum: countMax }),
    tenantMovesPerHour: Type.Integer({ minimum: 0, maximum: countMax }),
    clusterMovesPerHour: Type.Integer({ minimum: 0, maximum: countMax }),
    gibPerHour: Type.Number({ minimum: 0, maximum: 1e9 }),
  },
  strict,
);

const named = { additionalProperties: false, maxProperties: 64 } as const;
export const ClassesSchema = Type.Record(ClassNameSchema, SlaClassSchema, named);
/** In `controller.yaml` a class has what differs from the built-in one of its name, or from `standard`. */
export const ClassesSectionSchema = Type.Record(ClassNameSchema, Type.Partial(SlaClassSchema, strict), named);

/** The built-in classes, and those that are given. */
export function classesOf(given: Static<typeof ClassesSectionSchema>): Policy['classes'] {
  const builtIn = defaultPolicy.classes;
  const standard = { ...builtIn[standardClass], ...(Object.hasOwn(given, standardClass) ? given[standardClass] : {}) };
  const own = Object.entries(given).map(([name, change]) => {
    const base = Object.hasOwn(builtIn, name) && name !== standardClass ? builtIn[name] : standard;
    return [name, { ...plainClass, ...base, ...change }] as const;
  });
  return { ...builtIn, ...Object.fromEntries(own) };
}

const plainClass = { downtimeMsMax: 0, costFactor: 1, moves: 'automatic' } as const;

export const VmFactsSchema = Type.Unsafe<VmFacts>(
  Type.Object(
    {
      vmId: VmIdSchema,
      slaClass: orNull(ClassNameSchema),
      tenant: orNull(TenantSchema),
      labels: Type.Optional(LabelsSchema),
      activity: orNull(MemoryActivitySchema),
    },
    strict,
  ),
);

const Factor = Type.Number({ exclusiveMinimum: 0 });
export const PairBandwidthSchema = Type.Unsafe<PairBandwidth>(
  Type.Object(
    {
      hostA: HostIdSchema,
      hostB: HostIdSchema,
      bytesPerSecond: Factor,
      measuredAtMs: TimeSchema,
      factors: Type.Object({ total: Factor, downtime: Factor, bytes: Factor }, strict),
    },
    strict,
  ),
);

export const MoveCostSchema = Type.Unsafe<MoveCost>(
  Type.Object(
    {
      bytes: RateSchema,
      bytesBy: Type.Union([Type.Literal('activity'), Type.Literal('memory')]),
      durationMs: orNull(RateSchema),
      downtimeMs: orNull(RateSchema),
      slaClass: ClassNameSchema,
      /** Core-seconds of shortage. */
      priceCoreSeconds: orNull(RateSchema),
      savedCoreSeconds: orNull(Type.Number()),
    },
    strict,
  ),
);
