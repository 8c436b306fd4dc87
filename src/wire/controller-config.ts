import { defaultPolicy, type Mode, type Policy } from '#core/model/policy.ts';
import { PlimsollError } from '#core/model/result.ts';
import { type Static, Type } from 'typebox';
import { AddressSchema, strict } from './resources.ts';

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
        },
        strict,
      ),
    ),
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
    policy: policyOf(file.policy ?? {}),
  };
}

function policyOf(given: NonNullable<ControllerConfigFile['policy']>): Policy {
  const policy: Policy = {
    ...defaultPolicy,
    ...given,
    cpuLine: { ...defaultPolicy.cpuLine, ...given.cpuLine },
    memoryLine: { ...defaultPolicy.memoryLine, ...given.memoryLine },
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
  if (policy.coolDownMs > policy.coolDownMsMax) {
    throw new PlimsollError(
      'config-invalid',
      `policy: coolDownMs (${policy.coolDownMs}) must not be above coolDownMsMax (${policy.coolDownMsMax})`,
    );
  }
  return policy;
}
