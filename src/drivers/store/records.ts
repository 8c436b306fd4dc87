/** The shapes of what is kept as JSON or as a word in a column; `satisfies` ties them to the model. */
import { type Static, Type } from 'typebox';
import type { TuningRecord } from '#core/model/channel.ts';
import { moveCauses } from '#core/model/ledger.ts';
import type { Migration } from '#core/model/migration.ts';
import type { RefusalCode } from '#core/model/result.ts';
import type { Alternative, Plan, Together } from '#core/model/plan.ts';
import type { Grant } from '#core/store.ts';
import { atMs, count, id, number, orNull, text } from './basic-shapes.ts';
import { decision, measures, methodWish, transferPlan } from './transfer-records.ts';

/** Codes are never reused, so a well-formed one from an older version stays readable. */
export const refusalCode = Type.Unsafe<RefusalCode>(Type.String({ pattern: '^[a-z]+(-[a-z]+)*$' }));
export const moveCause = Type.Enum([...moveCauses]);
export const ledgerOutcome = Type.Enum(['moved', 'stayed', 'unclear']);
export const operatingMode = Type.Enum(['observe', 'approve', 'automatic']);
export const hostAddresses = Type.Object({ underlay: id, protected: id, interface: id });

const saCounters = { spiIn: text, spiOut: text, bytesIn: count, bytesOut: count, packetsIn: count, packetsOut: count };

const securityAssociation = Type.Object({
  peerHostId: id,
  ikeUniqueId: text,
  childUniqueId: text,
  protocol: Type.Enum(['esp', 'ah']),
  state: Type.Enum(['installed', 'rekeying', 'deleting', 'other']),
  mode: Type.Enum(['tunnel', 'transport', 'other']),
  udpEncapsulated: Type.Boolean(),
  encryption: text,
  integrity: orNull(text),
  keyExchange: text,
  extendedSequenceNumbers: Type.Boolean(),
  ...saCounters,
  outer: orNull(Type.Object({ integrity: text, ...saCounters })),
  replaced: Type.Array(Type.Object(saCounters)),
});

const channelReading = Type.Object({
  sa: orNull(securityAssociation),
  guard: Type.Object({
    installed: Type.Boolean(),
    droppedInPackets: count,
    droppedOutPackets: count,
    droppedProbePackets: count,
    exemptPeers: Type.Array(text),
  }),
  errors: orNull(Type.Object({ integrityPackets: count, replayPackets: count, unknownSpiPackets: count, plainTextPackets: count })),
});

const profileName = Type.Enum(['esp-tunnel', 'esp-transport', 'ah', 'ah+esp']);

const proof = Type.Object({
  provenAtMs: atMs,
  profile: profileName,
  authentication: Type.Enum(['certificate', 'psk']),
  postQuantumKey: Type.Boolean(),
  sourceCertificateSha256: orNull(text),
  destinationCertificateSha256: orNull(text),
  encryption: text,
  integrity: orNull(text),
  keyExchange: text,
  extendedSequenceNumbers: Type.Boolean(),
  mode: text,
  spiSourceToDestination: text,
  spiDestinationToSource: text,
  protectedProbes: count,
  plainProbesDropped: count,
});

export const tuningRecord = Type.Object({
  measuredAtMs: atMs,
  pathMtuBytes: count,
  limitedBy: Type.Enum(['path', 'interface', 'userspace-esp', 'policy']),
  overheadBytes: count,
  mssBeforeBytes: count,
  mssAfterBytes: count,
  mtuBeforeBytes: count,
  mtuAfterBytes: count,
  bytesPerSecondBefore: orNull(number),
  bytesPerSecondAfter: orNull(number),
  kept: Type.Enum(['before', 'after']),
});

export const grantRecord = Type.Object({
  grantId: id,
  fromHostId: id,
  toHostId: id,
  reason: text,
  requestedBy: id,
  requestedAtMs: atMs,
  approvedBy: orNull(id),
  approvedAtMs: orNull(atMs),
  expiresAtMs: atMs,
  withdrawnAtMs: orNull(atMs),
});

const progress = Type.Object({
  elapsedMs: number,
  memoryTotalBytes: number,
  memoryRemainingBytes: number,
  memorySentBytes: number,
  bandwidthBytesPerSecond: orNull(number),
  dirtyPagesPerSecond: orNull(number),
  pageSizeBytes: orNull(number),
  iteration: orNull(number),
  expectedDowntimeMs: orNull(number),
  stage: Type.Enum(['copying', 'stopped', 'post-copy', 'post-copy-failed']),
  throttlePercent: orNull(number),
});

const jobOutcome = Type.Object({
  totalMs: number,
  downtimeMs: orNull(number),
  memorySentBytes: number,
  iterations: orNull(number),
  cipher: Type.Optional(orNull(text)),
});

const refusal = Type.Object({ code: refusalCode, message: text });
const resolution = Type.Object({
  sinceMs: atMs,
  verdict: text,
  confirmations: count,
  workingSinceMs: orNull(atMs),
  haltedSinceMs: orNull(atMs),
  relocked: Type.Boolean(),
  relockTries: count,
  destinationEmptyTimes: Type.Optional(count),
  cause: orNull(refusal),
});

export const migrationRecord = Type.Object({
  request: Type.Object({
    migrationId: id,
    vmId: id,
    vmName: text,
    fromHostId: id,
    toHostId: id,
    cause: moveCause,
    askedBy: text,
    approvedBy: orNull(text),
    channelKind: Type.Enum(['ipsec', 'qemu-tls', 'ssh', 'sealed-image', 'none']),
    grantId: orNull(id),
    planId: orNull(id),
    vmEpoch: count,
    wish: methodWish,
    askedAtMs: atMs,
  }),
  phase: Type.Enum(['asked', 'checked', 'secured', 'copying', 'resolving', 'verifying', 'done', 'failed']),
  phaseSinceMs: atMs,
  proof: orNull(proof),
  progress: orNull(progress),
  lastMoved: orNull(Type.Object({ sentBytes: number, atMs })),
  outcome: orNull(jobOutcome),
  plan: orNull(transferPlan),
  decisions: Type.Array(decision),
  measures: orNull(measures),
  tuning: orNull(tuningRecord),
  channelBefore: orNull(channelReading),
  channelAfter: orNull(channelReading),
  failure: orNull(refusal),
  resolution: orNull(resolution),
  abortAsked: Type.Boolean(),
  endedAtMs: orNull(atMs),
});

const loadChange = Type.Object({
  hostId: id,
  cpuBeforePercent: number,
  cpuAfterPercent: number,
  memoryBeforePercent: number,
  memoryAfterPercent: number,
});

const alternative = Type.Object({ vmId: id, vmName: text, toHostId: id, scoreAfter: number, code: text, reason: text });

const move = Type.Object({
  vmId: id,
  vmName: text,
  fromHostId: id,
  toHostId: id,
  reason: text,
  scoreBefore: number,
  scoreAfter: number,
  source: loadChange,
  destination: loadChange,
  cost: Type.Optional(
    Type.Object({
      bytes: number,
      bytesBy: Type.Enum(['activity', 'memory']),
      durationMs: orNull(number),
      downtimeMs: orNull(number),
      slaClass: text,
      priceCoreSeconds: orNull(number),
      savedCoreSeconds: orNull(number),
    }),
  ),
  forVmId: Type.Optional(id),
  together: Type.Optional(Type.Unsafe<Together>(Type.Object({ rules: Type.Array(text), vmIds: Type.Array(id) }))),
  round: Type.Optional(number),
  alternatives: Type.Optional(Type.Unsafe<Alternative[]>(Type.Array(alternative))),
  confidencePercent: Type.Optional(orNull(number)),
});

const skipCode = Type.Enum([
  'cool-down',
  'in-flight',
  'not-running',
  'no-target-cpu',
  'no-target-memory',
  'no-target-fresh',
  'gain-too-small',
  'stale-sample',
  'quarantined',
  'not-sustained',
  'only-vm',
  'limit-reached',
  'rule-pin',
  'rule-affinity',
  'rule-anti-affinity',
  'rule-ignore',
  'rule-window',
  'cordoned',
  'refused',
  'rejected',
  'unfit',
  'headroom',
  'returned',
  'class-never',
  'class-approve-only',
  'downtime-limit',
  'copy-too-long',
  'budget-vm',
  'budget-tenant',
  'budget-cluster',
  'budget-bytes',
  'not-pulled',
]);

const skip = Type.Object({ hostId: id, vmId: orNull(id), vmName: orNull(text), code: skipCode, reason: text });

const account = Type.Object({
  terms: Type.Array(Type.Object({ name: text, weight: number, values: Type.Array(number) })),
  aims: Type.Array(Type.Object({ cpu: Type.Boolean(), memory: Type.Boolean(), rule: Type.Boolean() })),
});

export const planRecord = Type.Object({
  planId: id,
  parentPlanId: orNull(id),
  createdAtMs: atMs,
  expiresAtMs: atMs,
  verdict: Type.Enum(['moves', 'balanced', 'no-beneficial-move', 'frozen']),
  summary: text,
  scoreBefore: number,
  scoreAfter: number,
  moves: Type.Array(move),
  skipped: Type.Array(skip),
  account: Type.Optional(account),
});

/** Fails to compile when the model and the shapes above part, in either direction. */
type Same<Kept, Model> = [Kept] extends [Model] ? ([Model] extends [DeepReadonly<Kept>] ? true : never) : never;
type DeepReadonly<Value> = Value extends object ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> } : Value;
export type ShapesMatchTheModel = [
  Same<Static<typeof migrationRecord>, Migration>,
  Same<Static<typeof planRecord>, Plan>,
  Same<Static<typeof grantRecord>, Grant>,
  Same<Static<typeof tuningRecord>, TuningRecord>,
];
const shapesMatch: ShapesMatchTheModel = [true, true, true, true];
void shapesMatch;
