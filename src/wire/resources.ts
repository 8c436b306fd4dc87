/** Schemas of the core model's values as they travel: in agent messages, the REST API and snapshot files. */
import { type RejectionCounts, sampleRejectionCodes } from '#core/load/rejection.ts';
import type { SaCounters } from '#core/model/channel.ts';
import { type MoveCause, moveCauses } from '#core/model/ledger.ts';
import type { RefusalCode } from '#core/model/result.ts';
import type { Bytes, Cores } from '#core/model/units.ts';
import type { VmSample } from '#core/model/vm.ts';
import { Type } from 'typebox';

export const strict = { additionalProperties: false } as const;

const name = (maxLength: number) => Type.String({ minLength: 1, maxLength });
export const HostIdSchema = Type.String({ pattern: '^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$', description: 'Name of a host' });
export const VmIdSchema = Type.String({
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  description: 'UUID of a VM, lower case',
});
export const IdSchema = Type.String({ pattern: '^[a-z0-9-]{1,64}$' });
export const NameSchema = name(256);
export const TextSchema = Type.String({ maxLength: 4096 });
export const AddressSchema = Type.String({ minLength: 2, maxLength: 45, pattern: '^[0-9a-fA-F:.]+$', description: 'IPv4 or IPv6 address' });
export const TimeSchema = Type.Integer({ minimum: 0, description: 'Milliseconds since the Unix epoch' });
export const CountSchema = Type.Integer({ minimum: 0 });
export const RateSchema = Type.Number({ minimum: 0 });
export const CoresSchema = Type.Unsafe<Cores>(Type.Number({ minimum: 0, description: 'Cores' }));
export const BytesSchema = Type.Unsafe<Bytes>(Type.Number({ minimum: 0, description: 'Bytes' }));
export const PercentSchema = Type.Number({ minimum: 0 });

export const orNull = <Schema extends Parameters<typeof Type.Union>[0][number]>(schema: Schema) => Type.Union([schema, Type.Null()]);

export const AddressesSchema = Type.Object(
  { underlay: AddressSchema, protected: AddressSchema, interface: Type.String({ pattern: '^[A-Za-z0-9_.-]{1,15}$' }) },
  strict,
);

export const CapacitySchema = Type.Object({ cpuCores: CoresSchema, memoryBytes: BytesSchema }, strict);

export const PressureSchema = Type.Object(
  { cpuSomePercent: PercentSchema, memorySomePercent: PercentSchema, ioSomePercent: PercentSchema },
  strict,
);

export const VmStateSchema = Type.Union([
  Type.Literal('running'),
  Type.Literal('paused'),
  Type.Literal('incoming'),
  Type.Literal('shut-off'),
  Type.Literal('crashed'),
  Type.Literal('unknown'),
]);

export const VmViewSchema = Type.Object(
  {
    vmId: VmIdSchema,
    name: NameSchema,
    state: VmStateSchema,
    vcpus: CountSchema,
    memoryBytes: BytesSchema,
    persistent: Type.Boolean(),
    jobActive: Type.Boolean(),
    postCopy: orNull(Type.Union([Type.Literal('active'), Type.Literal('failed')])),
  },
  strict,
);

export const VmSampleSchema = Type.Object(
  {
    vmId: VmIdSchema,
    name: NameSchema,
    state: VmStateSchema,
    vcpus: CountSchema,
    memoryBytes: BytesSchema,
    memoryResidentBytes: BytesSchema,
    cpuUsedCores: orNull(CoresSchema),
    cpuDelayCores: orNull(CoresSchema),
    netReceivedBytesPerSecond: orNull(RateSchema),
    netSentBytesPerSecond: orNull(RateSchema),
    diskReadBytesPerSecond: orNull(RateSchema),
    diskWrittenBytesPerSecond: orNull(RateSchema),
  },
  strict,
);

export const HostRatesSchema = Type.Object(
  {
    cpuStealCores: orNull(CoresSchema),
    netReceivedBytesPerSecond: orNull(RateSchema),
    netSentBytesPerSecond: orNull(RateSchema),
    diskReadBytesPerSecond: orNull(RateSchema),
    diskWrittenBytesPerSecond: orNull(RateSchema),
  },
  strict,
);

export const RejectionCountsSchema = Type.Unsafe<RejectionCounts>(
  Type.Object(Object.fromEntries(sampleRejectionCodes.map((code) => [code, Type.Optional(CountSchema)])), strict),
);

export const VmForecastSchema = Type.Object(
  {
    meanCores: CoresSchema,
    highCores: CoresSchema,
    horizonMs: CountSchema,
    usual: Type.Optional(Type.Object({ meanCores: CoresSchema, spreadCores: CoresSchema }, strict)),
    confidencePercent: Type.Number({ minimum: 0, maximum: 100 }),
  },
  strict,
);

export const VerdictSchema = Type.Union([
  Type.Literal('moves'),
  Type.Literal('balanced'),
  Type.Literal('no-beneficial-move'),
  Type.Literal('frozen'),
]);

export const QuarantineSchema = Type.Object(
  { code: IdSchema, message: TextSchema, sinceMs: TimeSchema, cleanSamplesLeft: CountSchema },
  strict,
);

export const SampleSchema = Type.Object(
  {
    hostId: HostIdSchema,
    sequence: CountSchema,
    bootId: IdSchema,
    takenAtMs: TimeSchema,
    host: Type.Object(
      {
        cpuUsedCores: orNull(CoresSchema),
        memoryUsedBytes: BytesSchema,
        capacity: CapacitySchema,
        pressure: orNull(PressureSchema),
        rates: Type.Optional(HostRatesSchema),
      },
      strict,
    ),
    vms: Type.Unsafe<readonly VmSample[]>(Type.Array(VmSampleSchema, { maxItems: 4096 })),
  },
  strict,
);

const saCounters = {
  spiIn: TextSchema,
  spiOut: TextSchema,
  bytesIn: CountSchema,
  bytesOut: CountSchema,
  packetsIn: CountSchema,
  packetsOut: CountSchema,
};

export const ProfileNameSchema = Type.Union([
  Type.Literal('esp-tunnel'),
  Type.Literal('esp-transport'),
  Type.Literal('ah'),
  Type.Literal('ah+esp'),
]);

export const AuthenticationSchema = Type.Union([Type.Literal('certificate'), Type.Literal('psk')]);

const ProposalsSchema = Type.Readonly(
  Type.Unsafe<readonly string[]>(Type.Array(Type.String({ pattern: '^[a-z0-9_-]{3,128}$' }), { minItems: 1, maxItems: 8 })),
);

export const ChannelProfileSchema = Type.Object(
  {
    name: ProfileNameSchema,
    ikeProposals: ProposalsSchema,
    espProposals: ProposalsSchema,
    ahProposals: ProposalsSchema,
    udpEncapsulation: Type.Union([Type.Literal('when-needed'), Type.Literal('always')]),
    authentication: AuthenticationSchema,
    postQuantumKey: Type.Boolean(),
    rekeySeconds: Type.Integer({ minimum: 60, maximum: 86_400 }),
    rekeyBytes: Type.Integer({ minimum: 2 ** 20 }),
    replayWindowPackets: Type.Integer({ minimum: 128, maximum: 32_768 }),
  },
  strict,
);

const SharedKeySchema = Type.String({ pattern: '^[A-Za-z0-9+/]{43,172}={0,2}$', description: 'A key of at least 256 bits, base64' });
export const ChannelSecretsSchema = Type.Object({ preSharedKey: orNull(SharedKeySchema), postQuantumKey: orNull(SharedKeySchema) }, strict);

export const ChannelKindSchema = Type.Union([
  Type.Literal('ipsec'),
  Type.Literal('qemu-tls'),
  Type.Literal('ssh'),
  Type.Literal('sealed-image'),
  Type.Literal('none'),
]);

export const SecurityAssociationSchema = Type.Object(
  {
    peerHostId: HostIdSchema,
    ikeUniqueId: TextSchema,
    childUniqueId: TextSchema,
    protocol: Type.Union([Type.Literal('esp'), Type.Literal('ah')]),
    state: Type.Union([Type.Literal('installed'), Type.Literal('rekeying'), Type.Literal('deleting'), Type.Literal('other')]),
    mode: Type.Union([Type.Literal('tunnel'), Type.Literal('transport'), Type.Literal('other')]),
    udpEncapsulated: Type.Boolean(),
    encryption: TextSchema,
    integrity: orNull(TextSchema),
    keyExchange: TextSchema,
    extendedSequenceNumbers: Type.Boolean(),
    ...saCounters,
    outer: orNull(Type.Object({ integrity: TextSchema, ...saCounters }, strict)),
    replaced: Type.Unsafe<readonly SaCounters[]>(Type.Array(Type.Object(saCounters, strict), { maxItems: 64 })),
  },
  strict,
);

export const GuardStateSchema = Type.Object(
  {
    installed: Type.Boolean(),
    droppedInPackets: CountSchema,
    droppedOutPackets: CountSchema,
    droppedProbePackets: CountSchema,
    exemptPeers: Type.Unsafe<readonly string[]>(Type.Array(AddressSchema, { maxItems: 4096 })),
  },
  strict,
);

export const IpsecErrorsSchema = Type.Object(
  { integrityPackets: CountSchema, replayPackets: CountSchema, unknownSpiPackets: CountSchema, plainTextPackets: CountSchema },
  strict,
);

export const ChannelReadingSchema = Type.Object(
  { sa: orNull(SecurityAssociationSchema), guard: GuardStateSchema, errors: orNull(IpsecErrorsSchema) },
  strict,
);

const Sha256Schema = Type.String({ pattern: '^[0-9a-f]{64}$' });

export const ProofFactsSchema = Type.Object(
  {
    hostId: HostIdSchema,
    peerHostId: HostIdSchema,
    certificateSha256: orNull(Sha256Schema),
    before: orNull(SecurityAssociationSchema),
    after: orNull(SecurityAssociationSchema),
    guardBefore: GuardStateSchema,
    guardAfter: GuardStateSchema,
    protectedProbes: CountSchema,
    plainProbes: CountSchema,
  },
  strict,
);

const MtuSchema = Type.Integer({ minimum: 68, maximum: 65_536 });

export const WayFactsSchema = Type.Object(
  {
    interface: NameSchema,
    interfaceMtuBytes: MtuSchema,
    interfaceMtuBytesMax: orNull(MtuSchema),
    routeMtuBytes: orNull(MtuSchema),
    tunnelMtuBytes: orNull(MtuSchema),
  },
  strict,
);

export const PeerTuningSchema = Type.Object(
  {
    peerHostId: HostIdSchema,
    peerUnderlay: AddressSchema,
    peerChannelAddress: AddressSchema,
    interface: NameSchema,
    mssBytes: orNull(Type.Integer({ minimum: 64, maximum: 65_495 })),
    routeMtuBytes: orNull(MtuSchema),
    interfaceMtuBytes: orNull(MtuSchema),
  },
  strict,
);

export const TuningRecordSchema = Type.Object(
  {
    measuredAtMs: TimeSchema,
    pathMtuBytes: MtuSchema,
    limitedBy: Type.Union([Type.Literal('path'), Type.Literal('interface'), Type.Literal('userspace-esp'), Type.Literal('policy')]),
    overheadBytes: CountSchema,
    mssBeforeBytes: CountSchema,
    mssAfterBytes: CountSchema,
    mtuBeforeBytes: MtuSchema,
    mtuAfterBytes: MtuSchema,
    bytesPerSecondBefore: orNull(RateSchema),
    bytesPerSecondAfter: orNull(RateSchema),
    kept: Type.Union([Type.Literal('before'), Type.Literal('after')]),
  },
  strict,
);

export const ProgressSchema = Type.Object(
  {
    elapsedMs: RateSchema,
    memoryTotalBytes: RateSchema,
    memoryRemainingBytes: RateSchema,
    memorySentBytes: RateSchema,
    bandwidthBytesPerSecond: orNull(RateSchema),
    dirtyPagesPerSecond: orNull(RateSchema),
    pageSizeBytes: orNull(RateSchema),
    iteration: orNull(RateSchema),
    expectedDowntimeMs: orNull(RateSchema),
    stage: Type.Union([Type.Literal('copying'), Type.Literal('stopped'), Type.Literal('post-copy'), Type.Literal('post-copy-failed')]),
    throttlePercent: orNull(PercentSchema),
  },
  strict,
);

export const ImageStandingSchema = Type.Union([
  Type.Literal('moving'),
  Type.Literal('kept'),
  Type.Literal('given'),
  Type.Literal('offered'),
  Type.Literal('opened'),
  Type.Literal('restoring'),
  Type.Literal('begun'),
]);

export const ImageDigestSchema = Type.Object({ sha256: Sha256Schema, bytes: CountSchema }, strict);

export const ImageOfferSchema = Type.Object(
  {
    address: AddressSchema,
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    token: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    recipient: Type.String({ pattern: '^age1[02-9ac-hj-np-z]{58}$', description: 'Public key of age' }),
  },
  strict,
);

export const MoveCauseSchema = Type.Unsafe<MoveCause>(Type.Union(moveCauses.map((cause) => Type.Literal(cause))));
export const RefusalCodeSchema = Type.Unsafe<RefusalCode>(IdSchema);
export const RefusalSchema = Type.Object({ code: RefusalCodeSchema, message: TextSchema }, strict);

export const SignedTicketSchema = Type.Object(
  { payload: Type.String({ maxLength: 8192 }), signature: Type.String({ maxLength: 256 }) },
  strict,
);

export const TicketSchema = Type.Object(
  {
    ticketId: IdSchema,
    migrationId: IdSchema,
    vmId: VmIdSchema,
    fromHostId: HostIdSchema,
    toHostId: HostIdSchema,
    vmEpoch: CountSchema,
    controllerEpoch: CountSchema,
    issuedAtMs: TimeSchema,
    expiresAtMs: TimeSchema,
  },
  strict,
);
