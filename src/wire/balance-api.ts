/** How balancing stands: what was planned, whose word is not taken, and what the forecasts were worth. */
import { type Static, Type } from 'typebox';
import { ModeSchema } from './controller-config.ts';
import {
  CountSchema,
  HostIdSchema,
  IdSchema,
  orNull,
  PercentSchema,
  QuarantineSchema,
  RejectionCountsSchema,
  strict,
  TextSchema,
  TimeSchema,
  VerdictSchema,
} from './resources.ts';

export const BalanceSchema = Type.Object(
  {
    mode: ModeSchema,
    planIntervalMs: CountSchema,
    /** The newest plan; null before the first round. */
    plan: orNull(
      Type.Object({ planId: IdSchema, verdict: VerdictSchema, summary: TextSchema, createdAtMs: TimeSchema, moves: CountSchema }, strict),
    ),
    hosts: CountSchema,
    overLine: Type.Array(Type.Object({ hostId: HostIdSchema, roundsOverLine: CountSchema }, strict)),
    quarantined: Type.Array(Type.Object({ hostId: HostIdSchema, quarantine: QuarantineSchema }, strict)),
    samples: Type.Object({ accepted: CountSchema, rejected: CountSchema, rejectedBy: RejectionCountsSchema }, strict),
    forecast: Type.Object(
      {
        horizonMs: CountSchema,
        /** VMs that have been reported, and those of them that have a forecast. */
        vmsTotal: CountSchema,
        vms: CountSchema,
        /** Those of them with a confidence of at least 50 %. */
        confidentVms: CountSchema,
        /** Those of them whose days are known. */
        seasonalVms: CountSchema,
        /** Of the means of five minutes, those that were not above the high figure: 90 % are promised. Null before the first horizon has passed. */
        hitPercent: orNull(PercentSchema),
        /** Error of the mean figure, of that of "it stays as it is". */
        errorOfNaivePercent: orNull(PercentSchema),
      },
      strict,
    ),
  },
  strict,
);

export type BalanceResource = Static<typeof BalanceSchema>;
