import { ErrorSchema } from '#wire/api.ts';
import { HostIdSchema, IdSchema, NameSchema, strict } from '#wire/resources.ts';
import { type TSchema, Type } from 'typebox';

export const HostPathSchema = Type.Object({ hostId: HostIdSchema }, strict);
export const VmPathSchema = Type.Object({ ref: NameSchema }, strict);
export const PlanPathSchema = Type.Object({ planId: IdSchema }, strict);
export const MigrationPathSchema = Type.Object({ migrationId: IdSchema }, strict);
export const GrantPathSchema = Type.Object({ grantId: IdSchema }, strict);
/** Both directions are the same channel; where one end begins, it is the first. */
export const PairPathSchema = Type.Object({ hostA: HostIdSchema, hostB: HostIdSchema }, strict);
export const NoQuerySchema = Type.Object({}, strict);

/** Who asks, by their own word, for the record. The socket's mode decides who may ask at all; nobody checks the name. */
export const AskerHeadersSchema = Type.Object({
  'x-plimsoll-user': Type.Optional(
    Type.String({ pattern: '^[ -~]{1,256}$', description: "The operator's name, as they say it: it is not checked; 'local' when absent" }),
  ),
});

export function askedBy(headers: { readonly 'x-plimsoll-user'?: string }): string {
  return headers['x-plimsoll-user'] ?? 'local';
}

/** The answers of a route: its own, and `{code, message}` for every failure. */
export function answers<const Success extends Readonly<Record<number, TSchema>>>(success: Success) {
  return { ...success, '4xx': ErrorSchema, '5xx': ErrorSchema };
}
