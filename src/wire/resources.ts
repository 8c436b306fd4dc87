/** Schemas of the core model's values as they travel: in agent messages, the REST API and snapshot files. */
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
      },
      strict,
    ),
    vms: Type.Unsafe<readonly VmSample[]>(Type.Array(VmSampleSchema, { maxItems: 4096 })),
  },
  strict,
);

export const SecurityAssociationSchema = Type.Object(
  {
    peerHostId: HostIdSchema,
    ikeUniqueId: TextSchema,
    childUniqueId: TextSchema,
    state: Type.Union([Type.Literal('installed'), Type.Literal('rekeying'), Type.Literal('deleting'), Type.Literal('other')]),
    mode: Type.Union([Type.Literal('tunnel'), Type.Literal('transport'), Type.Literal('other')]),
    udpEncapsulated: Type.Boolean(),
    encryption: TextSchema,
    integrity: orNull(TextSchema),
    keyExchange: TextSchema,
    spiIn: TextSchema,
    spiOut: TextSchema,
    bytesIn: CountSchema,
    bytesOut: CountSchema,
    packetsIn: CountSchema,
    packetsOut: CountSchema,
  },
  strict,
);

export const GuardStateSchema = Type.Object(
  { installed: Type.Boolean(), droppedInPackets: CountSchema, droppedOutPackets: CountSchema, droppedProbePackets: CountSchema },
  strict,
);

export const ProofFactsSchema = Type.Object(
  {
    hostId: HostIdSchema,
    peerHostId: HostIdSchema,
    before: orNull(SecurityAssociationSchema),
    after: orNull(SecurityAssociationSchema),
    guardBefore: GuardStateSchema,
    guardAfter: GuardStateSchema,
    protectedProbes: CountSchema,
    plainProbes: CountSchema,
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
  },
  strict,
);

export const JobOutcomeSchema = Type.Object(
  { totalMs: RateSchema, downtimeMs: orNull(RateSchema), memorySentBytes: RateSchema, iterations: orNull(RateSchema) },
  strict,
);

export const RefusalSchema = Type.Object({ code: Type.Unsafe<RefusalCode>(IdSchema), message: TextSchema }, strict);

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
