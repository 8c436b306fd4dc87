/** The REST API's resources of channels: what stands between two hosts, its proof and its packet sizes. */
import type { PeerTuning } from '#core/model/channel.ts';
import { type Static, Type } from 'typebox';
import { ProofSchema } from './api.ts';
import {
  CountSchema,
  GuardStateSchema,
  HostIdSchema,
  IdSchema,
  IpsecErrorsSchema,
  orNull,
  PeerTuningSchema,
  ProfileNameSchema,
  RateSchema,
  RefusalSchema,
  SecurityAssociationSchema,
  strict,
  TextSchema,
  TuningRecordSchema,
  WayFactsSchema,
} from './resources.ts';

/** One end of a channel as its own host reports it. */
export const ChannelEndSchema = Type.Object(
  {
    hostId: HostIdSchema,
    /** Why the host could not say; the rest is then null. */
    refusal: orNull(RefusalSchema),
    backend: orNull(TextSchema),
    sa: orNull(SecurityAssociationSchema),
    guard: orNull(GuardStateSchema),
    /** Of all SAs of this host. */
    errors: orNull(IpsecErrorsSchema),
    tuned: Type.Unsafe<PeerTuning | null>(orNull(PeerTuningSchema)),
  },
  strict,
);

/** Everything between two hosts; `hostA` < `hostB`. */
export const ChannelSchema = Type.Object(
  {
    hostA: HostIdSchema,
    hostB: HostIdSchema,
    /** `up`: both ends have the same SA. `half`: one end, or two SAs that do not fit. `unknown`: no end has one, and not both could say. */
    state: Type.Union([Type.Literal('up'), Type.Literal('half'), Type.Literal('down'), Type.Literal('unknown')]),
    /** Of the policy: what the next channel of this pair will use. */
    profile: ProfileNameSchema,
    ends: Type.Array(ChannelEndSchema, { minItems: 2, maxItems: 2 }),
    /** The newest measurement of packet sizes between them. */
    tuning: orNull(TuningRecordSchema),
    migrationId: orNull(IdSchema),
  },
  strict,
);

export const ProveBodySchema = Type.Object(
  {
    keep: Type.Optional(Type.Boolean({ description: 'Leave the channel up (default: only if that was asked for before)' })),
    /** Another one than the policy's, to compare. Migrations use the policy's. */
    profile: Type.Optional(ProfileNameSchema),
  },
  strict,
);

/** The answer to a proof on demand: the proof, or why there is none. */
export const ProveSchema = Type.Object(
  {
    fromHostId: HostIdSchema,
    toHostId: HostIdSchema,
    proof: orNull(ProofSchema),
    refusal: orNull(RefusalSchema),
    /** The channel was left up. */
    kept: Type.Boolean(),
    tookMs: RateSchema,
  },
  strict,
);

export const TuneBodySchema = Type.Object(
  {
    apply: Type.Optional(Type.Boolean({ description: 'Keep the better settings; without it everything is put back' })),
    profile: Type.Optional(ProfileNameSchema),
    streamMs: Type.Optional(Type.Integer({ minimum: 200, maximum: 15_000, description: 'Length of each measuring stream' })),
  },
  strict,
);

const StreamSchema = Type.Object(
  { bytes: CountSchema, durationMs: RateSchema, packetsOut: CountSchema, packetBytesOut: CountSchema, bytesPerSecond: RateSchema },
  strict,
);

/** Predicted and measured, before and after. */
export const TuneSchema = Type.Object(
  {
    fromHostId: HostIdSchema,
    toHostId: HostIdSchema,
    profile: ProfileNameSchema,
    ways: Type.Array(Type.Object({ hostId: HostIdSchema, way: WayFactsSchema }, strict), { minItems: 2, maxItems: 2 }),
    record: TuningRecordSchema,
    /** Packets for the same bytes, after against before: below 1 is better. */
    packetRatioPredicted: RateSchema,
    packetRatioMeasured: orNull(RateSchema),
    before: orNull(StreamSchema),
    after: orNull(StreamSchema),
    applied: Type.Boolean(),
    reason: TextSchema,
  },
  strict,
);

/** What became of one host's part. */
export const ResetSchema = Type.Object(
  {
    hostA: HostIdSchema,
    hostB: HostIdSchema,
    ends: Type.Array(Type.Object({ hostId: HostIdSchema, refusal: orNull(RefusalSchema) }, strict), { minItems: 2, maxItems: 2 }),
  },
  strict,
);

export type ChannelEndResource = Static<typeof ChannelEndSchema>;
export type ChannelResource = Static<typeof ChannelSchema>;
export type ProveBody = Static<typeof ProveBodySchema>;
export type ProveResource = Static<typeof ProveSchema>;
export type TuneBody = Static<typeof TuneBodySchema>;
export type TuneResource = Static<typeof TuneSchema>;
export type StreamResource = Static<typeof StreamSchema>;
export type ResetResource = Static<typeof ResetSchema>;
