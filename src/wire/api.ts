/** The REST API's resources: what a client sends and gets. Times are milliseconds since the Unix epoch. */
import type { Alternative, Move, PlanAccount, Skip, SkipCode, Together } from '#core/model/plan.ts';
import { type Static, Type } from 'typebox';
import { MoveCostSchema } from './bounds-schemas.ts';
import { ModeSchema } from './controller-config.ts';
import { CordonSchema, DrainPhaseSchema } from './placement-api.ts';
import { LabelsSchema } from './label-schemas.ts';
import {
  AddressesSchema,
  AuthenticationSchema,
  BytesSchema,
  CapacitySchema,
  ChannelKindSchema,
  ChannelReadingSchema,
  CoresSchema,
  CountSchema,
  HostIdSchema,
  HostRatesSchema,
  IdSchema,
  MoveCauseSchema,
  NameSchema,
  orNull,
  PercentSchema,
  PressureSchema,
  ProfileNameSchema,
  ProgressSchema,
  QuarantineSchema,
  RefusalSchema,
  RejectionCountsSchema,
  strict,
  TextSchema,
  TimeSchema,
  TuningRecordSchema,
  VerdictSchema,
  VmForecastSchema,
  VmIdSchema,
  VmStateSchema,
} from './resources.ts';
import {
  CheckRowSchema,
  DecisionsSchema,
  JobOutcomeSchema,
  MeasuresSchema,
  MethodWishSchema,
  TransferPlanSchema,
} from './transfer-schemas.ts';

export const HostSchema = Type.Object(
  {
    hostId: HostIdSchema,
    status: Type.Union([Type.Literal('up'), Type.Literal('silent'), Type.Literal('joined'), Type.Literal('revoked')]),
    addresses: orNull(AddressesSchema),
    hypervisor: orNull(TextSchema),
    ipsec: orNull(TextSchema),
    capacity: orNull(CapacitySchema),
    cpuUsedCores: orNull(CoresSchema),
    cpuPercent: orNull(PercentSchema),
    memoryUsedBytes: orNull(BytesSchema),
    memoryPercent: orNull(PercentSchema),
    pressure: orNull(PressureSchema),
    /** Of the newest sample; null where the host's agent does not measure them. */
    rates: orNull(HostRatesSchema),
    overLine: Type.Boolean(),
    roundsOverLine: CountSchema,
    vms: CountSchema,
    samplesAccepted: CountSchema,
    samplesRejected: CountSchema,
    /** By reason; one that is not there never came. */
    samplesRejectedBy: RejectionCountsSchema,
    /** Why the host is not believed; null while it is. */
    quarantine: orNull(QuarantineSchema),
    lastSampleAtMs: orNull(TimeSchema),
    joinedAtMs: TimeSchema,
    /** The certificate that the host's agent uses, as it said when it dialled in. */
    certificate: orNull(Type.Object({ sha256: TextSchema, notAfterMs: TimeSchema }, strict)),
    /** How far the host's clock is ahead of the controller's (behind: negative); null before it has said its time. */
    clockSkewMs: orNull(Type.Number()),
    /** Null before the host was asked. */
    guardInstalled: orNull(Type.Boolean()),
    revokedAtMs: orNull(TimeSchema),
    /** It takes no new VMs. */
    cordon: orNull(CordonSchema),
    /** How its newest drain stands; null when it never had any. */
    drain: orNull(DrainPhaseSchema),
  },
  strict,
);

export const VmSchema = Type.Object(
  {
    vmId: VmIdSchema,
    name: NameSchema,
    hostId: HostIdSchema,
    state: VmStateSchema,
    vcpus: CountSchema,
    memoryBytes: BytesSchema,
    cpuUsedCores: CoresSchema,
    /** Null where nothing is known yet. */
    forecast: orNull(VmForecastSchema),
    migrationId: orNull(IdSchema),
    labels: LabelsSchema,
  },
  strict,
);

const LoadChangeSchema = Type.Object(
  {
    hostId: HostIdSchema,
    cpuBeforePercent: PercentSchema,
    cpuAfterPercent: PercentSchema,
    memoryBeforePercent: PercentSchema,
    memoryAfterPercent: PercentSchema,
  },
  strict,
);

const AlternativeSchema = Type.Object(
  { vmId: VmIdSchema, vmName: NameSchema, toHostId: HostIdSchema, scoreAfter: Type.Number(), code: IdSchema, reason: TextSchema },
  strict,
);

export const MoveSchema = Type.Object(
  {
    vmId: VmIdSchema,
    vmName: NameSchema,
    fromHostId: HostIdSchema,
    toHostId: HostIdSchema,
    reason: TextSchema,
    scoreBefore: Type.Number(),
    scoreAfter: Type.Number(),
    source: LoadChangeSchema,
    destination: LoadChangeSchema,
    /** Not there in a plan that was made before it was predicted. */
    cost: Type.Optional(MoveCostSchema),
    /** It is made for the sake of this VM, which the plan moves as well. */
    forVmId: Type.Optional(VmIdSchema),
    /** VMs of these affinity rules that the plan moves to this host together, this one among them. */
    together: Type.Optional(
      Type.Unsafe<Together>(Type.Object({ rules: Type.Array(NameSchema), vmIds: Type.Array(VmIdSchema, { minItems: 2 }) }, strict)),
    ),
    /** From 1 on: moves of one round may be made at the same time. */
    round: Type.Optional(Type.Integer({ minimum: 1 })),
    /** The best of what was not chosen, and what was against it; `less-good`: only that the chosen move was better. */
    alternatives: Type.Optional(Type.Unsafe<readonly Alternative[]>(Type.Array(AlternativeSchema))),
    /** How well it is known what both hosts will do, by what their VMs' forecasts have earned; null where nothing is forecast. */
    confidencePercent: Type.Optional(orNull(Type.Number({ minimum: 0, maximum: 100 }))),
  },
  strict,
);

export const SkipSchema = Type.Object(
  {
    hostId: HostIdSchema,
    vmId: orNull(VmIdSchema),
    vmName: orNull(NameSchema),
    code: Type.Unsafe<SkipCode>(IdSchema),
    reason: TextSchema,
  },
  strict,
);

/** How the score is made up, before the first move and after each, and what each move is for. */
const PlanAccountSchema = Type.Unsafe<PlanAccount>(
  Type.Object(
    {
      terms: Type.Array(Type.Object({ name: NameSchema, weight: Type.Number(), values: Type.Array(Type.Number()) }, strict)),
      aims: Type.Array(Type.Object({ cpu: Type.Boolean(), memory: Type.Boolean(), rule: Type.Boolean() }, strict)),
    },
    strict,
  ),
);

export const PlanSchema = Type.Object(
  {
    planId: IdSchema,
    parentPlanId: orNull(IdSchema),
    createdAtMs: TimeSchema,
    expiresAtMs: TimeSchema,
    verdict: VerdictSchema,
    summary: TextSchema,
    scoreBefore: Type.Number(),
    scoreAfter: Type.Number(),
    moves: Type.Unsafe<readonly Move[]>(Type.Array(MoveSchema)),
    skipped: Type.Unsafe<readonly Skip[]>(Type.Array(SkipSchema)),
    account: Type.Optional(PlanAccountSchema),
  },
  strict,
);

export const ProofSchema = Type.Object(
  {
    provenAtMs: TimeSchema,
    profile: ProfileNameSchema,
    authentication: AuthenticationSchema,
    postQuantumKey: Type.Boolean({
      description:
        'The keys have an RFC 8784 pre-shared key mixed in: required at both ends, and reported as used by the one that initiated',
    }),
    sourceCertificateSha256: orNull(TextSchema),
    destinationCertificateSha256: orNull(TextSchema),
    encryption: TextSchema,
    integrity: orNull(TextSchema),
    keyExchange: TextSchema,
    extendedSequenceNumbers: Type.Boolean(),
    mode: TextSchema,
    spiSourceToDestination: TextSchema,
    spiDestinationToSource: TextSchema,
    protectedProbes: CountSchema,
    plainProbesDropped: CountSchema,
  },
  strict,
);

export const PhaseSchema = Type.Union([
  Type.Literal('asked'),
  Type.Literal('checked'),
  Type.Literal('secured'),
  Type.Literal('copying'),
  Type.Literal('resolving'),
  Type.Literal('verifying'),
  Type.Literal('done'),
  Type.Literal('failed'),
]);

export const MigrationSchema = Type.Object(
  {
    request: Type.Object(
      {
        migrationId: IdSchema,
        vmId: VmIdSchema,
        vmName: NameSchema,
        fromHostId: HostIdSchema,
        toHostId: HostIdSchema,
        cause: MoveCauseSchema,
        askedBy: NameSchema,
        approvedBy: orNull(NameSchema),
        channelKind: ChannelKindSchema,
        grantId: orNull(IdSchema),
        planId: orNull(IdSchema),
        vmEpoch: CountSchema,
        wish: MethodWishSchema,
        askedAtMs: TimeSchema,
      },
      strict,
    ),
    phase: PhaseSchema,
    phaseSinceMs: TimeSchema,
    proof: orNull(ProofSchema),
    progress: orNull(ProgressSchema),
    lastMoved: orNull(Type.Object({ sentBytes: Type.Number({ minimum: 0 }), atMs: TimeSchema }, strict)),
    outcome: orNull(JobOutcomeSchema),
    plan: orNull(TransferPlanSchema),
    decisions: DecisionsSchema,
    measures: orNull(MeasuresSchema),
    tuning: orNull(TuningRecordSchema),
    /** The source's end of the channel as the transfer began and as it ended. */
    channelBefore: orNull(ChannelReadingSchema),
    channelAfter: orNull(ChannelReadingSchema),
    failure: orNull(RefusalSchema),
    resolution: orNull(
      Type.Object(
        {
          sinceMs: TimeSchema,
          verdict: NameSchema,
          confirmations: CountSchema,
          workingSinceMs: orNull(TimeSchema),
          haltedSinceMs: orNull(TimeSchema),
          relocked: Type.Boolean(),
          relockTries: CountSchema,
          destinationEmptyTimes: Type.Optional(CountSchema),
          cause: orNull(RefusalSchema),
        },
        strict,
      ),
    ),
    abortAsked: Type.Boolean(),
    /** Null until the migration is closed: until its channel is down and its receipt can be read. Phase `done` or `failed` comes first. */
    endedAtMs: orNull(TimeSchema),
  },
  strict,
);

export const MigrateBodySchema = Type.Object(
  {
    vm: Type.String({ minLength: 1, maxLength: 256, description: "The VM's name or UUID" }),
    toHostId: Type.Optional(HostIdSchema),
    channelKind: Type.Optional(ChannelKindSchema),
    grantId: Type.Optional(IdSchema),
    wish: Type.Optional(MethodWishSchema),
    dryRun: Type.Optional(Type.Boolean()),
  },
  strict,
);

/** What a dry run answers: where the VM would go and what would be refused. */
export const MigrateCheckSchema = Type.Object(
  {
    vmId: VmIdSchema,
    vmName: NameSchema,
    fromHostId: HostIdSchema,
    toHostId: HostIdSchema,
    reason: TextSchema,
    refusal: orNull(RefusalSchema),
    /** Every check against that destination; null where it was not asked, because the wish itself was refused. */
    row: orNull(CheckRowSchema),
    /** How it would be moved and what that is expected to cost; null when it is refused. */
    plan: orNull(TransferPlanSchema),
    decisions: DecisionsSchema,
  },
  strict,
);

/** "Why can this VM not go there", for every host that was asked about. */
export const VmCheckSchema = Type.Object(
  { vmId: VmIdSchema, vmName: NameSchema, hostId: HostIdSchema, rows: Type.Array(CheckRowSchema) },
  strict,
);

/** Median of the absolute error, in percent of what happened; null without a finished migration that had a prediction. */
export const PredictionErrorsSchema = Type.Object(
  { migrations: CountSchema, totalPercent: orNull(PercentSchema), downtimePercent: orNull(PercentSchema) },
  strict,
);

export const TokenBodySchema = Type.Object({ hostId: HostIdSchema, lifetimeMs: Type.Optional(Type.Integer({ minimum: 1000 })) }, strict);

export const TokenSchema = Type.Object(
  { hostId: HostIdSchema, token: NameSchema, expiresAtMs: TimeSchema, caFingerprint: NameSchema, controllerUrl: TextSchema },
  strict,
);

/** Something that a person should look at. `sinceMs`: when the controller first saw it. */
export const AlarmSchema = Type.Object(
  {
    code: Type.Union([
      Type.Literal('certificate-ends'),
      Type.Literal('authority-ends'),
      Type.Literal('root-key-online'),
      Type.Literal('clock-skew'),
      Type.Literal('guard-missing'),
      Type.Literal('revoked-host-seen'),
      Type.Literal('revocation-list-full'),
    ]),
    severity: Type.Union([Type.Literal('hint'), Type.Literal('warning'), Type.Literal('critical')]),
    /** A host, or `cluster`. */
    subject: NameSchema,
    sentence: TextSchema,
    sinceMs: TimeSchema,
  },
  strict,
);

export const StatusSchema = Type.Object(
  {
    version: NameSchema,
    mode: ModeSchema,
    controllerEpoch: CountSchema,
    startedAtMs: TimeSchema,
    hostsUp: CountSchema,
    hostsTotal: CountSchema,
    vms: CountSchema,
    migrationsOpen: CountSchema,
    planIntervalMs: CountSchema,
    /** The gravest first. */
    alarms: Type.Unsafe<readonly Alarm[]>(Type.Array(AlarmSchema)),
  },
  strict,
);

export const ModeBodySchema = Type.Object({ mode: ModeSchema }, strict);

/** A receipt: the signed statement, the DSSE envelope it came in, and whether the signature holds. */
export const ReceiptSchema = Type.Object(
  { migrationId: IdSchema, valid: Type.Boolean(), keyId: TextSchema, statement: Type.Unknown(), envelope: Type.Unknown() },
  strict,
);

export const HistoryPointSchema = Type.Object(
  { hostId: HostIdSchema, atMs: TimeSchema, cpuPercent: PercentSchema, memoryPercent: PercentSchema },
  strict,
);

export const ErrorSchema = Type.Object({ code: IdSchema, message: TextSchema }, strict);

export type Alarm = Static<typeof AlarmSchema>;
export type HostResource = Static<typeof HostSchema>;
export type VmResource = Static<typeof VmSchema>;
export type PlanResource = Static<typeof PlanSchema>;
export type MigrationResource = Static<typeof MigrationSchema>;
export type MigrateBody = Static<typeof MigrateBodySchema>;
export type PredictionErrorsResource = Static<typeof PredictionErrorsSchema>;
export type VmCheckResource = Static<typeof VmCheckSchema>;
export type MigrateCheck = Static<typeof MigrateCheckSchema>;
export type TokenResource = Static<typeof TokenSchema>;
export type StatusResource = Static<typeof StatusSchema>;
export type ReceiptResource = Static<typeof ReceiptSchema>;
