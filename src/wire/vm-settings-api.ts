/** What operators want for single VMs, as REST resources. */
import { type Static, Type } from 'typebox';
import { ClassNameSchema, TenantSchema } from './bounds-schemas.ts';
import { LabelChangesSchema, LabelsSchema } from './label-schemas.ts';
import { AddressSchema, orNull, strict, TimeSchema, VmIdSchema } from './resources.ts';

/** What operators want for one VM. */
export const VmSettingsSchema = Type.Object(
  {
    vmId: VmIdSchema,
    /** Where its clients reach it: asked for answers while it is migrated. Null: the hosts' neighbour tables are asked for it. */
    address: orNull(AddressSchema),
    /** After its host's death it may be started on another one. */
    restartable: Type.Boolean(),
    /** As it was given; null: none was. */
    slaClass: orNull(ClassNameSchema),
    /** The class that holds: `standard` where none was given, or where `policy.classes` does not have it any more. */
    effectiveClass: ClassNameSchema,
    tenant: orNull(TenantSchema),
    labels: LabelsSchema,
    /** Null when nobody has ever set any: these are the defaults. */
    updatedAtMs: orNull(TimeSchema),
  },
  strict,
);

/** What is left out stays as it is. */
export const VmSettingsBodySchema = Type.Object(
  {
    address: Type.Optional(orNull(AddressSchema)),
    restartable: Type.Optional(Type.Boolean()),
    slaClass: Type.Optional(orNull(ClassNameSchema)),
    tenant: Type.Optional(orNull(TenantSchema)),
    /** Those that are left out stay; null takes one back. */
    labels: Type.Optional(LabelChangesSchema),
  },
  { ...strict, minProperties: 1 },
);

export type VmSettingsResource = Static<typeof VmSettingsSchema>;
export type VmSettingsBody = Static<typeof VmSettingsBodySchema>;
