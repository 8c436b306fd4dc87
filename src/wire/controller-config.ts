import { judgeProfile, type SuiteName, suites } from '#core/channel/algorithms.ts';
import { memoryFault } from '#core/channel/profiles.ts';
import type { Rung } from '#core/model/method.ts';
import {
  type ChannelPolicy,
  defaultPolicy,
  directions,
  type ForecastPolicy,
  type MigrationPolicy,
  type Mode,
  pilotPolicyOf,
  type Policy,
  strategies,
} from '#core/model/policy.ts';
import { PlimsollError } from '#core/model/result.ts';
import { type Static, Type } from 'typebox';
import { BudgetsSchema, ClassesSchema, ClassesSectionSchema, classesOf } from './bounds-schemas.ts';
import { AddressSchema, AuthenticationSchema, ProfileNameSchema, strict } from './resources.ts';
import { CompressionSchema, PresetSchema, RungSchema } from './transfer-schemas.ts';

const Path = Type.String({ pattern: '^/', minLength: 2, maxLength: 1024 });
const Milliseconds = Type.Integer({ minimum: 0, maximum: 1_000_000_000 });
const Line = Type.Object(
  { startPercent: Type.Number({ minimum: 1, maximum: 1000 }), stopPercent: Type.Number({ minimum: 1, maximum: 1000 }) },
  strict,
);

export const ModeSchema = Type.Union([Type.Literal('observe'), Type.Literal('approve'), Type.Literal('automatic')]);

export const PolicySchema = Type.Object(
  {
    cpuLine: Line,
    memoryLine: Line,
    sustainedRounds: Type.Integer({ minimum: 1, maximum: 1000 }),
    smoothingHalfLifeMs: Milliseconds,
    minimumGainPercent: Type.Number({ minimum: 0, maximum: 100 }),
    coolDownMs: Milliseconds,
    coolDownMsMax: Milliseconds,
    sampleAgeMsMax: Milliseconds,
    planLifetimeMs: Milliseconds,
    movesPerPlanMax: Type.Integer({ minimum: 1, maximum: 1000 }),
    migrationsPerHostMax: Type.Integer({ minimum: 1, maximum: 64 }),
    migrationsPerClusterMax: Type.Integer({ minimum: 1, maximum: 1000 }),
    migrationBandwidthBytesPerSecond: Type.Number({ minimum: 0 }),
    downtimeMsMax: Milliseconds,
    noProgressMsMax: Milliseconds,
    headroom: Type.Object({ hostFailures: Type.Union([Type.Literal(0), Type.Literal(1)]) }, strict),
    strategy: Type.Enum(strategies),
    direction: Type.Enum(directions),
    pull: Type.Object(
      { belowPercent: Type.Number({ minimum: 1, maximum: 100 }), marginPercent: Type.Number({ minimum: 1, maximum: 100 }) },
      strict,
    ),
    balance: Type.Object(
      {
        shortageMs: Type.Integer({ minimum: 1000, maximum: 86_400_000 }),
        coreSecondsPerGib: Type.Number({ minimum: 0, maximum: 1e6 }),
        usualMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400_000 })),
        copyCores: Type.Optional(Type.Number({ minimum: 0, maximum: 1000 })),
      },
      strict,
    ),
    returnMsMin: Milliseconds,
    classes: ClassesSchema,
    budgets: BudgetsSchema,
    assumedBandwidthBytesPerSecond: Type.Number({ minimum: 0 }),
    rejectedMsMin: Milliseconds,
  },
  strict,
);

const Proposals = Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { minItems: 1, maxItems: 8 });

/** How migrations are protected. What is not given is the default: AES-256-GCM in tunnel mode, between certificates. */
export const ChannelSectionSchema = Type.Object(
  {
    profile: Type.Optional(ProfileNameSchema),
    suite: Type.Optional(Type.Unsafe<SuiteName>(Type.Union(Object.keys(suites).map((name) => Type.Literal(name))))),
    /** In strongSwan's words, best first; instead of a suite. */
    proposals: Type.Optional(
      Type.Object({ ike: Type.Optional(Proposals), esp: Type.Optional(Proposals), ah: Type.Optional(Proposals) }, strict),
    ),
    authentication: Type.Optional(AuthenticationSchema),
    postQuantumKey: Type.Optional(Type.Boolean()),
    udpEncapsulation: Type.Optional(Type.Union([Type.Literal('when-needed'), Type.Literal('always')])),
    rekeySeconds: Type.Optional(Type.Integer()),
    rekeyBytes: Type.Optional(Type.Integer()),
    replayWindowPackets: Type.Optional(Type.Integer()),
    tuning: Type.Optional(
      Type.Object(
        {
          mode: Type.Optional(Type.Union([Type.Literal('off'), Type.Literal('clamp'), Type.Literal('raise')])),
          mtuBytesMax: Type.Optional(Type.Integer({ minimum: 1280, maximum: 65_535 })),
        },
        strict,
      ),
    ),
    clockSkewMsMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 3_600_000 })),
  },
  strict,
);

/** How transfers are made. What is not given is as the preset has it. */
export const MigrationSectionSchema = Type.Object(
  {
    preset: Type.Optional(PresetSchema),
    ladder: Type.Optional(Type.Array(RungSchema, { maxItems: 16 })),
    downtimeMsBudget: Type.Optional(Milliseconds),
    allowPostCopy: Type.Optional(Type.Boolean()),
    stopMsMax: Type.Optional(Milliseconds),
    patienceMs: Type.Optional(Type.Integer({ minimum: 1000, maximum: 3_600_000 })),
    switchOverMsMax: Type.Optional(Type.Integer({ minimum: 1000, maximum: 600_000 })),
    streams: Type.Optional(Type.Integer({ minimum: 1, maximum: 16 })),
    compression: Type.Optional(CompressionSchema),
    predictionMarginPercent: Type.Optional(Type.Number({ minimum: 0, maximum: 90 })),
  },
  strict,
);

/** How far ahead is looked. The buckets that a forecast is made of are of five minutes. */
export const ForecastSectionSchema = Type.Object({ horizonSeconds: Type.Optional(Type.Integer({ minimum: 300, maximum: 7200 })) }, strict);

const leafLifetimeMsMin = 5000;

const CertificatesSectionSchema = Type.Object(
  {
    leafLifetimeMs: Type.Optional(Type.Integer({ minimum: leafLifetimeMsMin, maximum: 30 * 86_400_000 })),
    crlIntervalMs: Type.Optional(Type.Integer({ minimum: 1000, maximum: 3 * 86_400_000 })),
  },
  strict,
);

/** `controller.yaml`. Policy keys that are not given keep their defaults. */
export const ControllerConfigSchema = Type.Object(
  {
    dataDir: Path,
    listen: Type.Object({ address: AddressSchema, port: Type.Integer({ minimum: 0, maximum: 65_535 }) }, strict),
    /** Unix socket of the REST API; only its owner may speak to it. */
    socket: Type.Optional(Path),
    mode: Type.Optional(ModeSchema),
    planIntervalMs: Type.Optional(Type.Integer({ minimum: 200, maximum: 86_400_000 })),
    historyDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650 })),
    policy: Type.Optional(
      Type.Object(
        {
          ...Type.Partial(PolicySchema).properties,
          cpuLine: Type.Optional(Type.Partial(Line, strict)),
          memoryLine: Type.Optional(Type.Partial(Line, strict)),
          classes: Type.Optional(ClassesSectionSchema),
          budgets: Type.Optional(Type.Partial(BudgetsSchema, strict)),
        },
        strict,
      ),
    ),
    channel: Type.Optional(ChannelSectionSchema),
    migration: Type.Optional(MigrationSectionSchema),
    forecast: Type.Optional(ForecastSectionSchema),
    certificates: Type.Optional(CertificatesSectionSchema),
  },
  strict,
);

export type ControllerConfigFile = Static<typeof ControllerConfigSchema>;

/** The file with its defaults filled in. */
export interface ControllerConfig {
  readonly dataDir: string;
  readonly listen: { readonly address: string; readonly port: number };
  readonly socket: string;
  readonly mode: Mode;
  readonly planIntervalMs: number;
  readonly historyDays: number;
  readonly policy: Policy;
  readonly certificates: { readonly leafLifetimeMs: number; readonly crlIntervalMs: number };
}

/** Throws `config-invalid` for figures that contradict each other. */
export function controllerConfigOf(file: ControllerConfigFile): ControllerConfig {
  return {
    dataDir: file.dataDir,
    listen: file.listen,
    socket: file.socket ?? '/run/plimsoll/controller.sock',
    mode: file.mode ?? 'observe',
    planIntervalMs: file.planIntervalMs ?? 10_000,
    historyDays: file.historyDays ?? 30,
    policy: policyOf(file),
    certificates: {
      leafLifetimeMs: file.certificates?.leafLifetimeMs ?? 86_400_000,
      crlIntervalMs: file.certificates?.crlIntervalMs ?? 3_600_000,
    },
  };
}

function policyOf(file: ControllerConfigFile): Policy {
  const given = file.policy ?? {};
  const policy: Policy = {
    ...defaultPolicy,
    ...given,
    cpuLine: { ...defaultPolicy.cpuLine, ...given.cpuLine },
    memoryLine: { ...defaultPolicy.memoryLine, ...given.memoryLine },
    classes: classesOf(given.classes ?? {}),
    budgets: { ...defaultPolicy.budgets, ...given.budgets },
    forecast: forecastPolicyOf(file.forecast ?? {}),
    channel: channelPolicyOf(file.channel ?? {}),
    migration: migrationPolicyOf(file.migration ?? {}, given.downtimeMsMax ?? defaultPolicy.downtimeMsMax),
  };
  for (const name of ['cpuLine', 'memoryLine'] as const) {
    const { startPercent, stopPercent } = policy[name];
    if (stopPercent >= startPercent) {
      throw new PlimsollError(
        'config-invalid',
        `policy.${name}: stopPercent (${stopPercent}) must be below startPercent (${startPercent})`,
      );
    }
  }
  if (policy.strategy === 'pack' && policy.direction !== 'push') {
    throw new PlimsollError(
      'config-invalid',
      `policy: direction ${policy.direction} fills the hosts that strategy pack empties: leave the direction at push, or take another strategy`,
    );
  }
  const { patienceMs } = policy.migration.pilot;
  if (patienceMs >= policy.noProgressMsMax) {
    throw new PlimsollError(
      'config-invalid',
      `migration: patienceMs (${patienceMs}) must be below policy.noProgressMsMax (${policy.noProgressMsMax}), which ends the transfer before anything is tried`,
    );
  }
  if (policy.coolDownMs > policy.coolDownMsMax) {
    throw new PlimsollError(
      'config-invalid',
      `policy: coolDownMs (${policy.coolDownMs}) must not be above coolDownMsMax (${policy.coolDownMsMax})`,
    );
  }
  return policy;
}

function forecastPolicyOf({ horizonSeconds }: Static<typeof ForecastSectionSchema>): ForecastPolicy {
  return horizonSeconds === undefined ? defaultPolicy.forecast : { horizonMs: horizonSeconds * 1000 };
}

/**
 * The migration section with its defaults. `downtimeMsMax`: the limit that transfers begin with; a larger one than the preset's budget
 * is the operator's word on the budget too. Throws `config-invalid` for what the rest of the section forbids.
 */
export function migrationPolicyOf(
  given: Static<typeof MigrationSectionSchema>,
  downtimeMsMax = defaultPolicy.downtimeMsMax,
): MigrationPolicy {
  const { streams, compression, predictionMarginPercent, preset, ...pilotOnly } = given;
  const normal = defaultPolicy.migration;
  const ofPreset = pilotPolicyOf(preset ?? normal.pilot.preset);
  const pilot = { ...ofPreset, downtimeMsBudget: Math.max(ofPreset.downtimeMsBudget, downtimeMsMax), ...pilotOnly };
  const policy: MigrationPolicy = {
    pilot,
    streams: streams ?? normal.streams,
    compression: compression ?? normal.compression,
    predictionMarginPercent: predictionMarginPercent ?? normal.predictionMarginPercent,
  };
  const fault = contradictionIn(policy, given.ladder ?? [], downtimeMsMax);
  if (fault !== null) throw new PlimsollError('config-invalid', `migration: ${fault}`);
  return policy;
}

/** `ownLadder`: rungs that the operator has written; those of a preset are left out where the rest does not allow them. */
function contradictionIn(
  { pilot, streams, compression }: MigrationPolicy,
  ownLadder: readonly Rung[],
  downtimeMsMax: number,
): string | null {
  const has = (kind: Rung['kind']): boolean => ownLadder.some((rung) => rung.kind === kind);
  if (has('post-copy') && !pilot.allowPostCopy) {
    return 'the ladder has post-copy, which is not allowed: set allowPostCopy, or take it out';
  }
  if (has('stop-and-copy') && pilot.stopMsMax === 0) {
    return 'the ladder has stop-and-copy, but stopMsMax accepts no stop: set it, or take it out';
  }
  if (pilot.downtimeMsBudget < downtimeMsMax) {
    return `downtimeMsBudget (${pilot.downtimeMsBudget}) must not be below policy.downtimeMsMax (${downtimeMsMax}), which transfers begin with`;
  }
  if ((compression === 'zlib' || compression === 'zstd') && streams < 2) {
    return `${compression} compresses several streams: set streams to 2 or more, or take xbzrle`;
  }
  return null;
}

/**
 * The channel section with its defaults. Throws `config-invalid` that names what is refused: for an algorithm the RFC and its
 * requirement word, for a profile that does not encrypt why a VM's memory may not go through it.
 */
export function channelPolicyOf(given: Static<typeof ChannelSectionSchema>): ChannelPolicy {
  const { profile: normal, tuning, clockSkewMsMax } = defaultPolicy.channel;
  if (given.suite !== undefined && given.proposals !== undefined)
    throw new PlimsollError('config-invalid', 'channel: give a suite or proposals of your own, not both');
  const suite = suites[given.suite ?? 'aes-gcm'];
  const policy: ChannelPolicy = {
    profile: {
      name: given.profile ?? normal.name,
      ikeProposals: given.proposals?.ike ?? suite.ikeProposals,
      espProposals: given.proposals?.esp ?? suite.espProposals,
      ahProposals: given.proposals?.ah ?? suite.ahProposals,
      udpEncapsulation: given.udpEncapsulation ?? normal.udpEncapsulation,
      authentication: given.authentication ?? normal.authentication,
      postQuantumKey: given.postQuantumKey ?? normal.postQuantumKey,
      rekeySeconds: given.rekeySeconds ?? normal.rekeySeconds,
      rekeyBytes: given.rekeyBytes ?? normal.rekeyBytes,
      replayWindowPackets: given.replayWindowPackets ?? normal.replayWindowPackets,
    },
    tuning: { mode: given.tuning?.mode ?? tuning.mode, mtuBytesMax: given.tuning?.mtuBytesMax ?? tuning.mtuBytesMax },
    clockSkewMsMax: given.clockSkewMsMax ?? clockSkewMsMax,
  };
  const refusal = judgeProfile(policy.profile) ?? memoryFault(policy.profile);
  if (refusal !== null) throw new PlimsollError('config-invalid', `channel: ${refusal.message}`);
  return policy;
}
