/** The life of a plan in the REST API: lists, explanations, what is asked of a plan and what came of it. */
import { scoreTable } from '#core/planner/score.ts';
import { type PlanState, planStates } from '#core/planner/plan-state.ts';
import { type Static, Type } from 'typebox';
import { MigrationSchema, MoveSchema, SkipSchema } from './api.ts';
import {
  CountSchema,
  HostIdSchema,
  IdSchema,
  NameSchema,
  orNull,
  strict,
  TextSchema,
  TimeSchema,
  VerdictSchema,
  VmIdSchema,
} from './resources.ts';

export const PlanStateSchema = Type.Unsafe<PlanState>(Type.Union(planStates.map((state) => Type.Literal(state))));

const head = {
  planId: IdSchema,
  parentPlanId: orNull(IdSchema),
  createdAtMs: TimeSchema,
  expiresAtMs: TimeSchema,
  verdict: VerdictSchema,
  summary: TextSchema,
  scoreBefore: Type.Number(),
  scoreAfter: Type.Number(),
  state: PlanStateSchema,
};

/** `untilMs`: the balancer leaves the rejected moves alone until then. */
const RejectionSchema = Type.Object({ by: NameSchema, reason: TextSchema, atMs: TimeSchema, untilMs: TimeSchema }, strict);

export const PlanSummarySchema = Type.Object(
  {
    ...head,
    moves: CountSchema,
    /** Of them, those that were started. */
    started: CountSchema,
    rejection: orNull(RejectionSchema),
  },
  strict,
);

/** One term of the score: its part of the score is weight x value. Plans of other versions may have others. */
const TermSchema = Type.Object(
  {
    name: Type.Unsafe<string>({ ...NameSchema, description: `Such as: ${scoreTable.map(({ name }) => name).join(', ')}` }),
    weight: Type.Number(),
    before: Type.Number(),
    after: Type.Number(),
  },
  strict,
);

const moveStates = ['open', 'waiting', 'moving', 'moved', 'failed', 'not-started', 'rejected', 'expired'] as const;

/**
 * How one move stands. `open`: it can be applied. `waiting`: its plan is applied, and it waits for others to end. `not-started`: it was to be
 * started, and `code` and `reason` say why it was not; as long as the plan is valid it can be tried again.
 */
const MoveStandingSchema = Type.Object(
  {
    state: Type.Unsafe<(typeof moveStates)[number]>(Type.Union(moveStates.map((state) => Type.Literal(state)))),
    migrationId: orNull(IdSchema),
    code: orNull(IdSchema),
    reason: orNull(TextSchema),
    atMs: orNull(TimeSchema),
  },
  strict,
);

const ExplainedMoveSchema = Type.Object(
  {
    ...MoveSchema.properties,
    /** What it was planned for; null where it is not known. */
    aim: orNull(Type.Object({ cpu: Type.Boolean(), memory: Type.Boolean(), rule: Type.Boolean() }, strict)),
    /** Of the whole cluster, before and after this move; empty where they are not known. */
    terms: Type.Array(TermSchema),
    standing: MoveStandingSchema,
  },
  strict,
);

export const PlanExplanationSchema = Type.Object(
  {
    ...head,
    /** Before the first move and after the last one. */
    terms: Type.Array(TermSchema),
    rejection: orNull(RejectionSchema),
    moves: Type.Array(ExplainedMoveSchema),
    skipped: Type.Array(SkipSchema),
    /** The VM that was asked about: only its moves and reasons are given. `answer`: in words where the plan has neither. */
    about: orNull(Type.Object({ vmId: VmIdSchema, vmName: NameSchema, answer: orNull(TextSchema) }, strict)),
  },
  strict,
);

/** VMs by name or UUID. What is left out: all that can still be applied. */
export const ApplyBodySchema = Type.Object(
  { only: Type.Optional(Type.Array(NameSchema, { minItems: 1, maxItems: 1000 })), dryRun: Type.Optional(Type.Boolean()) },
  strict,
);

const move = { vmId: VmIdSchema, vmName: NameSchema, fromHostId: HostIdSchema, toHostId: HostIdSchema };
const PlainMoveSchema = Type.Object(move, strict);
const HeldMoveSchema = Type.Object({ ...move, code: IdSchema, reason: TextSchema }, strict);

export const AppliedSchema = Type.Object(
  {
    planId: IdSchema,
    dryRun: Type.Boolean(),
    started: Type.Array(MigrationSchema),
    /** Of a dry run: those that would be started at once. */
    wouldStart: Type.Array(PlainMoveSchema),
    /** Started as soon as others have ended, as long as the plan is valid. */
    waiting: Type.Array(HeldMoveSchema),
    notStarted: Type.Array(HeldMoveSchema),
  },
  strict,
);

export const RejectedSchema = Type.Object(
  {
    planId: IdSchema,
    ...RejectionSchema.properties,
    /** Not started, and not proposed again before `untilMs`. */
    moves: Type.Array(Type.Object({ vmId: VmIdSchema, vmName: NameSchema, toHostId: HostIdSchema }, strict)),
    /** Started before: they go on. */
    running: Type.Array(Type.Object({ ...move, migrationId: IdSchema }, strict)),
  },
  strict,
);

export const RollbackBodySchema = Type.Object({ dryRun: Type.Optional(Type.Boolean()) }, strict);

const rollbackStates = ['would-start', 'started', 'waiting', 'returning', 'back', 'left'] as const;

export const RollbackSchema = Type.Object(
  {
    planId: IdSchema,
    dryRun: Type.Boolean(),
    /** The newest move first. From where the VM is to where it was before. */
    steps: Type.Array(
      Type.Object(
        {
          ...move,
          state: Type.Unsafe<(typeof rollbackStates)[number]>(Type.Union(rollbackStates.map((state) => Type.Literal(state)))),
          migrationId: orNull(IdSchema),
          code: orNull(IdSchema),
          reason: orNull(TextSchema),
        },
        strict,
      ),
    ),
    /** All that it has moved is back. */
    nothingLeft: Type.Boolean(),
  },
  strict,
);

export type PlanSummaryResource = Static<typeof PlanSummarySchema>;
export type PlanExplanationResource = Static<typeof PlanExplanationSchema>;
export type ExplainedMoveResource = Static<typeof ExplainedMoveSchema>;
export type MoveStandingResource = Static<typeof MoveStandingSchema>;
export type AppliedResource = Static<typeof AppliedSchema>;
export type RejectedResource = Static<typeof RejectedSchema>;
export type RollbackResource = Static<typeof RollbackSchema>;
export type PlainMove = Static<typeof PlainMoveSchema>;
