/** Rules, cordons and drains in the REST API. */
import type { DrainStay, DrainStep } from '#core/planner/drain.ts';
import { type DrainPhase, drainPhases } from '#core/model/drain.ts';
import { type Static, Type } from 'typebox';
import { CountSchema, HostIdSchema, IdSchema, NameSchema, strict, TextSchema, TimeSchema, VmIdSchema } from './resources.ts';
import { RuleSchema } from './rule-schemas.ts';

export const StoredRuleSchema = Type.Object(
  {
    rule: RuleSchema,
    by: NameSchema,
    atMs: TimeSchema,
    /** What of it cannot be kept beside the other rules now, or means nothing. */
    warnings: Type.Array(TextSchema),
  },
  strict,
);

export const CordonSchema = Type.Object({ hostId: HostIdSchema, reason: TextSchema, by: NameSchema, atMs: TimeSchema }, strict);

export const UncordonSchema = Type.Object({ hostId: HostIdSchema, cordon: Type.Null() }, strict);

export const ReasonBodySchema = Type.Object({ reason: Type.String({ maxLength: 1024 }) }, strict);

const MoveAskedSchema = Type.Object(
  { vmId: VmIdSchema, vmName: NameSchema, fromHostId: HostIdSchema, toHostId: HostIdSchema, reason: TextSchema },
  strict,
);

const StaySchema = Type.Object(
  { vmId: VmIdSchema, vmName: NameSchema, hostId: HostIdSchema, code: IdSchema, reason: TextSchema, passing: Type.Boolean() },
  strict,
);

export const StaysSchema = Type.Unsafe<readonly DrainStay[]>(Type.Array(StaySchema));

export const AwaySchema = Type.Array(
  Type.Object({ vmId: VmIdSchema, vmName: NameSchema, hostId: Type.Union([HostIdSchema, Type.Null()]) }, strict),
);

/** Why it is not known what runs on the host now; null when it is. */
const UnseenSchema = Type.Union([TextSchema, Type.Null()]);

export const DrainPhaseSchema = Type.Unsafe<DrainPhase>(Type.Union(Object.values(drainPhases).map((phase) => Type.Literal(phase))));

export const DrainSchema = Type.Object(
  {
    hostId: HostIdSchema,
    phase: DrainPhaseSchema,
    phaseSinceMs: TimeSchema,
    startedAtMs: TimeSchema,
    by: NameSchema,
    reason: TextSchema,
    /** VMs that wait for their turn. */
    waiting: CountSchema,
    moving: Type.Array(
      Type.Object(
        { migrationId: IdSchema, vmId: VmIdSchema, vmName: NameSchema, fromHostId: HostIdSchema, toHostId: HostIdSchema },
        strict,
      ),
    ),
    /** VMs that it has moved away and that are not back, and where they are; null where that is not known. */
    away: AwaySchema,
    stays: StaysSchema,
    unseen: UnseenSchema,
    /** Nothing is moving, and nothing will, unless somebody does something about what stays. */
    settled: Type.Boolean(),
  },
  strict,
);

/** What a drain would do now. */
export const DrainPreviewSchema = Type.Object(
  {
    hostId: HostIdSchema,
    steps: Type.Unsafe<readonly DrainStep[]>(Type.Array(MoveAskedSchema)),
    stays: StaysSchema,
    unseen: UnseenSchema,
  },
  strict,
);

export type StoredRuleResource = Static<typeof StoredRuleSchema>;
export type CordonResource = Static<typeof CordonSchema>;
export type DrainResource = Static<typeof DrainSchema>;
export type DrainPreviewResource = Static<typeof DrainPreviewSchema>;
