/** A snapshot as a file and as the answer of the REST API: one schema. Times are milliseconds since the Unix epoch. */
import { checkSnapshot, type SnapshotViolation } from '#core/checks/check-snapshot.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import { defaultPolicy, type Mode, type Policy } from '#core/model/policy.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { PairRefusal, Rule } from '#core/model/rule.ts';
import type { InFlight, PairBandwidth, Snapshot, SnapshotHost, SnapshotVm, VmFacts } from '#core/model/snapshot.ts';
import { type Static, Type } from 'typebox';
import { PairBandwidthSchema, VmFactsSchema } from './bounds-schemas.ts';
import { ModeSchema, PolicySchema } from './controller-config.ts';
import {
  BytesSchema,
  CapacitySchema,
  ChannelProfileSchema,
  CoresSchema,
  CountSchema,
  HostIdSchema,
  IdSchema,
  MoveCauseSchema,
  NameSchema,
  orNull,
  PercentSchema,
  PressureSchema,
  QuarantineSchema,
  RateSchema,
  RefusalCodeSchema,
  strict,
  TextSchema,
  TimeSchema,
  VmForecastSchema,
  VmIdSchema,
  VmStateSchema,
} from './resources.ts';
import { PairRefusalSchema, RulesSchema } from './rule-schemas.ts';
import { CompressionSchema, PilotPolicySchema } from './transfer-schemas.ts';
import { parse } from './validate.ts';

export const snapshotFormat = 'plimsoll-snapshot';
/** Grows with each change that an older reader would misread. */
export const snapshotVersion = 1;

const hostsMax = 100_000;
const vmsMax = 1_000_000;
const refusalsMax = 10_000;
const bandwidthsMax = 1_000_000;

const HostSchema = Type.Object(
  {
    hostId: HostIdSchema,
    status: Type.Union([Type.Literal('up'), Type.Literal('silent'), Type.Literal('joined')]),
    capacity: CapacitySchema,
    cpuUsedCores: CoresSchema,
    memoryUsedBytes: BytesSchema,
    networkBytesPerSecond: orNull(RateSchema),
    diskBytesPerSecond: orNull(RateSchema),
    pressure: orNull(PressureSchema),
    sampledAtMs: TimeSchema,
    roundsOverLine: CountSchema,
    relieving: Type.Object({ cpu: Type.Boolean(), memory: Type.Boolean() }, strict),
    quarantine: orNull(QuarantineSchema),
    cordoned: Type.Boolean(),
    unfit: orNull(TextSchema),
  },
  strict,
);

const VmSchema = Type.Object(
  {
    vmId: VmIdSchema,
    name: NameSchema,
    hostId: HostIdSchema,
    state: VmStateSchema,
    vcpus: CountSchema,
    cpuUsedCores: CoresSchema,
    cpuDelayCores: CoresSchema,
    memoryBytes: BytesSchema,
    networkBytesPerSecond: orNull(RateSchema),
    diskBytesPerSecond: orNull(RateSchema),
    forecast: orNull(VmForecastSchema),
  },
  strict,
);

const InFlightSchema = Type.Object({ vmId: VmIdSchema, fromHostId: HostIdSchema, toHostId: HostIdSchema }, strict);

const LedgerEntrySchema = Type.Object(
  {
    migrationId: IdSchema,
    vmId: VmIdSchema,
    fromHostId: HostIdSchema,
    toHostId: HostIdSchema,
    cause: MoveCauseSchema,
    startedAtMs: TimeSchema,
    endedAtMs: TimeSchema,
    outcome: Type.Union([Type.Literal('moved'), Type.Literal('stayed'), Type.Literal('unclear')]),
    failureCode: orNull(RefusalCodeSchema),
    sentBytes: orNull(RateSchema),
  },
  strict,
);

/** The policy with every default filled in: a later version's defaults do not change what a file says. */
const WholePolicySchema = Type.Object(
  {
    ...PolicySchema.properties,
    forecast: Type.Object({ horizonMs: CountSchema }, strict),
    migration: Type.Object(
      {
        pilot: PilotPolicySchema,
        streams: Type.Integer({ minimum: 1, maximum: 64 }),
        compression: CompressionSchema,
        predictionMarginPercent: PercentSchema,
      },
      strict,
    ),
    channel: Type.Object(
      {
        profile: ChannelProfileSchema,
        tuning: Type.Object(
          { mode: Type.Union([Type.Literal('off'), Type.Literal('clamp'), Type.Literal('raise')]), mtuBytesMax: CountSchema },
          strict,
        ),
        clockSkewMsMax: CountSchema,
      },
      strict,
    ),
  },
  strict,
);

export const SnapshotFileSchema = Type.Object(
  {
    format: Type.Literal(snapshotFormat),
    version: Type.Literal(snapshotVersion),
    /** Null where it is not of a controller. */
    mode: orNull(ModeSchema),
    takenAtMs: TimeSchema,
    policy: Type.Unsafe<Policy>(WholePolicySchema),
    hosts: Type.Unsafe<readonly SnapshotHost[]>(Type.Array(HostSchema, { maxItems: hostsMax })),
    vms: Type.Unsafe<readonly SnapshotVm[]>(Type.Array(VmSchema, { maxItems: vmsMax })),
    inFlight: Type.Unsafe<readonly InFlight[]>(Type.Array(InFlightSchema, { maxItems: vmsMax })),
    ledger: Type.Unsafe<readonly LedgerEntry[]>(Type.Array(LedgerEntrySchema, { maxItems: vmsMax })),
    rules: Type.Unsafe<readonly Rule[]>(RulesSchema),
    refusals: Type.Unsafe<readonly PairRefusal[]>(Type.Array(PairRefusalSchema, { maxItems: refusalsMax })),
    vmFacts: Type.Unsafe<readonly VmFacts[]>(Type.Array(VmFactsSchema, { maxItems: vmsMax })),
    bandwidths: Type.Unsafe<readonly PairBandwidth[]>(Type.Array(PairBandwidthSchema, { maxItems: bandwidthsMax })),
    automatic: Type.Boolean(),
  },
  strict,
);

export type SnapshotFile = Static<typeof SnapshotFileSchema>;

export function snapshotFileOf(snapshot: Snapshot, mode: Mode | null): SnapshotFile {
  const { takenAtMs, policy, hosts, vms } = snapshot;
  return { format: snapshotFormat, version: snapshotVersion, mode, takenAtMs, policy, hosts, vms, ...restOf(snapshot) };
}

export function snapshotOf(file: SnapshotFile): Snapshot {
  const { takenAtMs, policy, hosts, vms } = file;
  return { takenAtMs, policy, hosts, vms, ...restOf(file) };
}

function restOf({
  inFlight,
  ledger,
  rules,
  refusals,
  vmFacts,
  bandwidths,
  automatic,
}: Omit<Snapshot, 'takenAtMs' | 'policy' | 'hosts' | 'vms'>) {
  return { inFlight, ledger, rules, refusals, vmFacts, bandwidths, automatic };
}

/**
 * Checks what a file holds. `what` names it. Throws PlimsollError `input-invalid` for what is no snapshot, and `version-unsupported`
 * for one that this version does not know. Figures that cannot be true are for `unsoundIn`.
 */
export function parseSnapshotFile(value: unknown, what: string): SnapshotFile {
  if (typeof value !== 'object' || value === null || !('format' in value) || value.format !== snapshotFormat) {
    throw new PlimsollError('input-invalid', `${what} holds no snapshot: 'plimsoll snapshot save FILE' writes one`);
  }
  const version = 'version' in value ? value.version : undefined;
  if (version !== snapshotVersion) {
    throw new PlimsollError(
      'version-unsupported',
      `${what} is a snapshot of version ${String(version)}, this plimsoll reads version ${snapshotVersion}: use the plimsoll that wrote it`,
    );
  }
  return parse(SnapshotFileSchema, withLaterParts(value), what, 'input-invalid');
}

const noTraffic = { networkBytesPerSecond: null, diskBytesPerSecond: null };

/** Parts that files of this version have had since later: what is not in one is not known, or not there. */
function withLaterParts(value: object): object {
  const file: Readonly<Partial<Record<'hosts' | 'vms' | 'policy' | 'ledger' | 'mode', unknown>>> = value;
  const { hosts, vms, policy, ledger, mode } = file;
  const {
    headroom,
    forecast,
    strategy,
    direction,
    pull,
    balance,
    returnMsMin,
    rejectedMsMin,
    classes,
    budgets,
    assumedBandwidthBytesPerSecond,
  } = defaultPolicy;
  const laterPolicy = {
    headroom,
    forecast,
    strategy,
    direction,
    pull,
    balance,
    returnMsMin,
    rejectedMsMin,
    classes,
    budgets,
    assumedBandwidthBytesPerSecond,
  };
  const each = (items: readonly unknown[], parts: object) => items.map((item) => (isObject(item) ? { ...parts, ...item } : item));
  return {
    rules: [],
    refusals: [],
    vmFacts: [],
    bandwidths: [],
    automatic: mode === 'automatic',
    ...value,
    ...(isObject(policy) ? { policy: { ...laterPolicy, ...policy } } : {}),
    ...(Array.isArray(ledger) ? { ledger: each(ledger, { sentBytes: null }) } : {}),
    ...(Array.isArray(hosts) ? { hosts: each(hosts, { ...noTraffic, quarantine: null, cordoned: false, unfit: null }) } : {}),
    ...(Array.isArray(vms) ? { vms: each(vms, { ...noTraffic, forecast: null, cpuDelayCores: 0 }) } : {}),
  };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** What in it cannot be true, such as a VM on a host that is not there. A live cluster can look like that for a moment. */
export function unsoundIn(file: SnapshotFile): readonly SnapshotViolation[] {
  return checkSnapshot(snapshotOf(file));
}
