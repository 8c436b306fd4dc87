/** The REST API's resources of membership: certificates, revocation, break-glass grants and the audit. */
import { type Static, Type } from 'typebox';
import { CountSchema, HostIdSchema, IdSchema, NameSchema, orNull, RefusalSchema, strict, TextSchema, TimeSchema } from './resources.ts';

const ReasonSchema = Type.String({ minLength: 3, maxLength: 1000, description: 'Why, for the audit' });

export const CertificateSchema = Type.Object(
  {
    hostId: HostIdSchema,
    serialNumber: NameSchema,
    authorityId: NameSchema,
    sha256: TextSchema,
    notBeforeMs: TimeSchema,
    notAfterMs: TimeSchema,
    revokedAtMs: orNull(TimeSchema),
  },
  strict,
);

export const RevokeBodySchema = Type.Object({ reason: ReasonSchema }, strict);

/** What a revocation has done. Agents that are not told now are told when they dial in. */
export const RevocationSchema = Type.Object(
  {
    hostId: HostIdSchema,
    revokedAtMs: TimeSchema,
    certificates: CountSchema,
    told: Type.Array(HostIdSchema),
    notTold: Type.Array(Type.Object({ hostId: HostIdSchema, refusal: RefusalSchema }, strict)),
    tookMs: CountSchema,
  },
  strict,
);

export const RenewBodySchema = Type.Object(
  { hostId: Type.Optional(Type.String({ ...HostIdSchema, description: 'Without it: every host that is connected' })) },
  strict,
);

export const RenewalSchema = Type.Object(
  { hostId: HostIdSchema, certificate: orNull(CertificateSchema), refusal: orNull(RefusalSchema) },
  strict,
);

export const GrantBodySchema = Type.Object(
  {
    fromHostId: HostIdSchema,
    toHostId: HostIdSchema,
    reason: ReasonSchema,
    lifetimeMs: Type.Integer({ minimum: 60_000, maximum: 28_800_000 }),
  },
  strict,
);

export const GrantSchema = Type.Object(
  {
    grantId: IdSchema,
    state: Type.Union([Type.Literal('requested'), Type.Literal('approved'), Type.Literal('expired'), Type.Literal('withdrawn')]),
    fromHostId: HostIdSchema,
    toHostId: HostIdSchema,
    reason: TextSchema,
    requestedBy: NameSchema,
    requestedAtMs: TimeSchema,
    approvedBy: orNull(NameSchema),
    approvedAtMs: orNull(TimeSchema),
    expiresAtMs: TimeSchema,
    withdrawnAtMs: orNull(TimeSchema),
  },
  strict,
);

export const AuditEntrySchema = Type.Object(
  { atMs: TimeSchema, who: NameSchema, verb: NameSchema, subject: TextSchema, detail: TextSchema },
  strict,
);

export type CertificateResource = Static<typeof CertificateSchema>;
export type RevocationResource = Static<typeof RevocationSchema>;
export type RenewalResource = Static<typeof RenewalSchema>;
export type GrantBody = Static<typeof GrantBodySchema>;
export type GrantResource = Static<typeof GrantSchema>;
export type AuditResource = Static<typeof AuditEntrySchema>;
