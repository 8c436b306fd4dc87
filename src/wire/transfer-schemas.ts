/** Schemas of how a VM is moved, what that is expected to cost, and what it did cost. */
import { type CheckName, checkNames, type CheckRow, type HostOffer, type VmDefinition } from '#core/model/definition.ts';
import type { Prediction, TransferPlan } from '#core/model/forecast.ts';
import type { Arrival, Measures } from '#core/model/measures.ts';
import {
  type Compression,
  compressions,
  type Decision,
  type Method,
  methods,
  type PilotPolicy,
  type PresetName,
  presetNames,
} from '#core/model/method.ts';
import type { EchoReport } from '#core/ports.ts';
import { type Static, type TSchema, Type } from 'typebox';
import {
  AddressSchema,
  BytesSchema,
  CountSchema,
  HostIdSchema,
  NameSchema,
  orNull,
  RateSchema,
  RefusalCodeSchema,
  strict,
  TextSchema,
  TimeSchema,
  VmIdSchema,
} from './resources.ts';

type DeepReadonly<Value> = Value extends number | string
  ? Value
  : Value extends object
    ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> }
    : Value;

type Same<One, Other> = [One] extends [Other] ? ([Other] extends [One] ? true : false) : false;

/** The schema, typed as the core's own read-only type; does not compile when the two part. */
const of =
  <Model>() =>
  <Schema extends TSchema>(schema: Schema & (Same<DeepReadonly<Static<Schema>>, DeepReadonly<Model>> extends true ? unknown : never)) =>
    Type.Unsafe<Model>(schema);

const oneOf = <Name extends string>(names: readonly Name[]) => Type.Unsafe<Name>(Type.Union(names.map((name) => Type.Literal(name))));

export const MethodSchema = oneOf<Method>(methods);
export const CompressionSchema = oneOf<Compression>(compressions);
export const PresetSchema = oneOf<PresetName>(presetNames);
const Percent = Type.Number({ minimum: 1, maximum: 99 });
const Streams = Type.Integer({ minimum: 1, maximum: 64 });
const throttle = { initialPercent: Percent, incrementPercent: Percent };

export const TransferOptionsSchema = Type.Object(
  {
    method: MethodSchema,
    autoConverge: orNull(Type.Object(throttle, strict)),
    streams: Streams,
    compression: CompressionSchema,
    bandwidthBytesPerSecond: RateSchema,
    downtimeMsMax: RateSchema,
  },
  strict,
);

export const RungSchema = Type.Union([
  Type.Object({ kind: Type.Literal('streams'), streams: Streams }, strict),
  Type.Object({ kind: Type.Literal('compress'), compression: oneOf(compressions.filter((name) => name !== 'none')) }, strict),
  Type.Object({ kind: Type.Literal('auto-converge'), ...throttle }, strict),
  Type.Object({ kind: Type.Literal('raise-downtime') }, strict),
  Type.Object({ kind: Type.Literal('post-copy') }, strict),
  Type.Object({ kind: Type.Literal('stop-and-copy') }, strict),
]);

export const PilotPolicySchema = of<PilotPolicy>()(
  Type.Object(
    {
      preset: PresetSchema,
      ladder: Type.Array(RungSchema, { maxItems: 16 }),
      downtimeMsBudget: RateSchema,
      allowPostCopy: Type.Boolean(),
      stopMsMax: RateSchema,
      patienceMs: RateSchema,
      switchOverMsMax: RateSchema,
    },
    strict,
  ),
);

export const MethodWishSchema = Type.Object(
  {
    method: Type.Union([MethodSchema, Type.Literal('auto')]),
    preset: Type.Optional(PresetSchema),
    autoConverge: Type.Optional(Type.Boolean()),
    streams: Type.Optional(Streams),
    compression: Type.Optional(CompressionSchema),
    bandwidthBytesPerSecond: Type.Optional(RateSchema),
    downtimeMsMax: Type.Optional(RateSchema),
  },
  strict,
);

export const DecisionSchema = Type.Object(
  {
    by: Type.Union([Type.Literal('choice'), Type.Literal('autopilot'), Type.Literal('recovery')]),
    atMs: TimeSchema,
    elapsedMs: RateSchema,
    action: NameSchema,
    reason: TextSchema,
  },
  strict,
);
/** More than any ladder can make; an agent that says more is not believed. */
export const DecisionsSchema = Type.Unsafe<readonly Decision[]>(Type.Array(DecisionSchema, { maxItems: 256 }));

export const MemoryActivitySchema = Type.Object(
  {
    measuredAtMs: TimeSchema,
    measuredForMs: RateSchema,
    usedBytes: orNull(RateSchema),
    dirtyBytesPerSecond: RateSchema,
    workingSetBytes: RateSchema,
  },
  strict,
);

const MeasuredBandwidthSchema = Type.Object(
  { bytesPerSecond: RateSchema, measuredAtMs: TimeSchema, by: Type.Union([Type.Literal('stream'), Type.Literal('migration')]) },
  strict,
);

const RangeSchema = Type.Object({ low: RateSchema, expected: RateSchema, high: RateSchema }, strict);

export const PredictionSchema = of<Prediction>()(
  Type.Object(
    {
      method: MethodSchema,
      totalMs: RangeSchema,
      downtimeMs: RangeSchema,
      bytes: RangeSchema,
      rounds: CountSchema,
      converges: Type.Boolean(),
      memoryBytes: RateSchema,
      activity: MemoryActivitySchema,
      bandwidth: MeasuredBandwidthSchema,
      correctedBy: CountSchema,
    },
    strict,
  ),
);

export const TransferPlanSchema = of<TransferPlan>()(
  Type.Object(
    { options: TransferOptionsSchema, pilot: PilotPolicySchema, reason: TextSchema, prediction: orNull(PredictionSchema) },
    strict,
  ),
);

const Seconds = orNull(RateSchema);
export const HostCostSchema = Type.Object({ hypervisorCpuSeconds: Seconds, ipsecCpuSeconds: Seconds, agentCpuSeconds: Seconds }, strict);

/** What an agent says of a job that ended well. */
export const JobOutcomeSchema = Type.Object(
  {
    totalMs: RateSchema,
    downtimeMs: orNull(RateSchema),
    memorySentBytes: RateSchema,
    iterations: orNull(RateSchema),
    cipher: Type.Optional(orNull(TextSchema)),
    attempts: Type.Optional(CountSchema),
    sourceCost: Type.Optional(orNull(HostCostSchema)),
  },
  strict,
);

export const EchoReportSchema = of<EchoReport>()(
  Type.Object(
    {
      intervalMs: RateSchema,
      sent: CountSchema,
      answered: CountSchema,
      lastAnswerAtMs: orNull(RateSchema),
      delayMsP50: orNull(RateSchema),
      delayMsP99: orNull(RateSchema),
      gaps: Type.Array(Type.Object({ fromMs: RateSchema, untilMs: orNull(RateSchema) }, strict), { maxItems: 1000 }),
    },
    strict,
  ),
);

const OutsideViewSchema = Type.Object(
  {
    witnessHostId: HostIdSchema,
    address: AddressSchema,
    intervalMs: RateSchema,
    sent: CountSchema,
    answered: CountSchema,
    downtimeMs: RateSchema,
    brownoutMs: RateSchema,
    delayMsP50: RateSchema,
    delayMsP99: RateSchema,
  },
  strict,
);

const Known = orNull(Type.Boolean());
export const ArrivalSchema = of<Arrival>()(
  Type.Object(
    {
      definitionRight: Known,
      sourceClean: Known,
      announced: Known,
      answers: Known,
      lockedOnce: Known,
      troubles: Type.Array(TextSchema, { maxItems: 64 }),
    },
    strict,
  ),
);

export const MeasuresSchema = of<Measures>()(
  Type.Object(
    {
      method: MethodSchema,
      attempts: CountSchema,
      totalMs: RateSchema,
      hypervisorDowntimeMs: orNull(RateSchema),
      outside: orNull(OutsideViewSchema),
      memorySentBytes: RateSchema,
      rounds: orNull(RateSchema),
      espBytes: orNull(RateSchema),
      espPackets: orNull(RateSchema),
      source: orNull(HostCostSchema),
      destination: orNull(HostCostSchema),
      arrival: orNull(ArrivalSchema),
    },
    strict,
  ),
);

const InterfaceSchema = Type.Object(
  { kind: NameSchema, source: orNull(TextSchema), mac: Type.String({ pattern: '^([0-9a-f]{2}:){5}[0-9a-f]{2}$' }) },
  strict,
);
const DiskSchema = Type.Object(
  {
    target: NameSchema,
    device: Type.Optional(NameSchema),
    startupPolicy: Type.Optional(orNull(NameSchema)),
    kind: NameSchema,
    source: orNull(TextSchema),
    readOnly: Type.Boolean(),
    shareable: Type.Boolean(),
    cache: orNull(NameSchema),
  },
  strict,
);
const LeaseSchema = Type.Object({ lockspace: TextSchema, key: TextSchema, path: TextSchema }, strict);
export const leasesMax = 256;
export const LeasesSchema = Type.Array(LeaseSchema, { maxItems: leasesMax });

export const VmDefinitionSchema = of<VmDefinition>()(
  Type.Object(
    {
      vmId: VmIdSchema,
      name: NameSchema,
      type: NameSchema,
      architecture: NameSchema,
      machine: orNull(NameSchema),
      emulator: orNull(TextSchema),
      vcpus: CountSchema,
      memoryBytes: BytesSchema,
      cpuMode: orNull(NameSchema),
      cpuModel: orNull(NameSchema),
      interfaces: Type.Array(InterfaceSchema, { maxItems: 256 }),
      disks: Type.Array(DiskSchema, { maxItems: 1024 }),
      leases: LeasesSchema,
      hostOnly: Type.Array(TextSchema, { maxItems: 256 }),
      files: Type.Optional(Type.Array(TextSchema, { maxItems: 256 })),
      persistent: Type.Boolean(),
    },
    strict,
  ),
);

/** The hypervisor's own text of a definition. */
export const DefinitionTextSchema = Type.String({ maxLength: 1024 * 1024 });

const names = Type.Array(TextSchema, { maxItems: 4096 });
export const HostOfferSchema = of<HostOffer>()(
  Type.Object(
    {
      hostId: HostIdSchema,
      libvirtVersion: CountSchema,
      qemuVersion: CountSchema,
      machines: names,
      cpu: Type.Union([Type.Literal('identical'), Type.Literal('superset'), Type.Literal('incompatible'), Type.Literal('unknown')]),
      cpuDetail: orNull(TextSchema),
      emulatorPresent: Known,
      networks: names,
      disks: Type.Array(Type.Object({ target: NameSchema, reachable: Known, why: orNull(TextSchema) }, strict), { maxItems: 1024 }),
      leasesMissing: names,
      filesMissing: Type.Optional(names),
      memoryFreeBytes: orNull(BytesSchema),
      ownCopy: orNull(NameSchema),
    },
    strict,
  ),
);

export const FindingSchema = Type.Object(
  {
    check: oneOf<CheckName>(checkNames),
    verdict: Type.Union([Type.Literal('pass'), Type.Literal('warn'), Type.Literal('refuse'), Type.Literal('unknown')]),
    code: orNull(RefusalCodeSchema),
    sentence: TextSchema,
  },
  strict,
);

export const CheckRowSchema = of<CheckRow>()(
  Type.Object({ hostId: HostIdSchema, possible: Type.Boolean(), findings: Type.Array(FindingSchema, { maxItems: 64 }) }, strict),
);
