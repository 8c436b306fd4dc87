/** Hosts that are taken through maintenance, in the REST API. */
import {
  type MaintenanceEnd,
  maintenanceEnds,
  maintenanceLimits,
  type MaintenanceOutcome,
  maintenanceOutcomes,
  type MaintenancePhase,
  maintenancePhases,
} from '#core/model/maintenance.ts';
import { type Static, Type } from 'typebox';
import { AwaySchema, DrainPreviewSchema, StaysSchema } from './placement-api.ts';
import { CountSchema, HostIdSchema, IdSchema, NameSchema, strict, TextSchema, TimeSchema } from './resources.ts';

const { hostsMax, parallelMax } = maintenanceLimits;

const wordOf = <Word extends string>(words: Readonly<Record<Word, Word>>) =>
  Type.Unsafe<Word>(Type.Union(Object.keys(words).map((word) => Type.Literal(word))));

const UntilSchema = wordOf<MaintenanceEnd>(maintenanceEnds);
const ParallelSchema = Type.Integer({ minimum: 1, maximum: parallelMax });

export const MaintenanceWishSchema = Type.Object(
  {
    hostIds: Type.Union([Type.Array(HostIdSchema, { minItems: 1, maxItems: hostsMax }), Type.Null()], {
      description: 'In the order in which they are taken; null: every host, by name',
    }),
    parallel: ParallelSchema,
    until: UntilSchema,
    reason: Type.String({ maxLength: 1024 }),
  },
  strict,
);

export const MaintenanceHostSchema = Type.Object(
  {
    hostId: HostIdSchema,
    phase: wordOf<MaintenancePhase>(maintenancePhases),
    phaseSinceMs: TimeSchema,
    /** Why it does not go on; null when it does, and where it is not its turn. */
    held: Type.Union([TextSchema, Type.Null()]),
    /** VMs that move now, and those that wait for their turn to. */
    moving: CountSchema,
    waiting: CountSchema,
    /** VMs that it has moved away and that are not back. */
    away: AwaySchema,
    stays: StaysSchema,
  },
  strict,
);

export const MaintenanceSchema = Type.Object(
  {
    maintenanceId: IdSchema,
    hosts: Type.Array(MaintenanceHostSchema),
    parallel: ParallelSchema,
    until: UntilSchema,
    by: NameSchema,
    reason: TextSchema,
    startedAtMs: TimeSchema,
    /** Null while it is under way. */
    endedAtMs: Type.Union([TimeSchema, Type.Null()]),
    outcome: Type.Union([wordOf<MaintenanceOutcome>(maintenanceOutcomes), Type.Null()]),
  },
  strict,
);

/** Each host's drain as it would be now. */
export const MaintenancePreviewSchema = Type.Object(
  {
    /** Why it would not be begun now; null when it would. */
    refusal: Type.Union([TextSchema, Type.Null()]),
    hosts: Type.Array(Type.Object({ drain: DrainPreviewSchema, fault: Type.Union([TextSchema, Type.Null()]) }, strict)),
  },
  strict,
);

export type MaintenanceWish = Static<typeof MaintenanceWishSchema>;
export type MaintenanceResource = Static<typeof MaintenanceSchema>;
export type MaintenanceHostResource = Static<typeof MaintenanceHostSchema>;
export type MaintenancePreviewResource = Static<typeof MaintenancePreviewSchema>;
