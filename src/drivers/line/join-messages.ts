import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { PlimsollError } from '#core/model/result.ts';

const pem = Type.String({ minLength: 1, maxLength: 8 * 1024 });
/** A list of 4,096 revoked certificates takes about 300,000 characters. */
const crlPem = Type.String({ minLength: 1, maxLength: 1024 * 1024 });
const address = Type.String({ minLength: 1, maxLength: 64 });

/** What a host sends to join: the token proves the permission, the request proves the key. */
export const joinRequestSchema = Type.Object(
  {
    token: Type.String({ minLength: 1, maxLength: 256 }),
    hostId: Type.String({ minLength: 1, maxLength: 64 }),
    requestPem: pem,
    addresses: Type.Object(
      // IFNAMSIZ of Linux: 15 characters and the end mark.
      { underlay: address, protected: address, interface: Type.String({ minLength: 1, maxLength: 15 }) },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);

/**
 * What it gets: its certificate, the intermediate CAs in use (the one that signed it first), the root, each CA's revocation list,
 * and the key (Ed25519, SPKI PEM) that signs tickets.
 */
export const joinReplySchema = Type.Object({
  certificatePem: pem,
  intermediatesPem: Type.String({ minLength: 1, maxLength: 64 * 1024 }),
  caPem: pem,
  crlPems: Type.Array(crlPem, { maxItems: 16 }),
  ticketKeyPem: pem,
});

export const refusalSchema = Type.Object({
  code: Type.String({ minLength: 1, maxLength: 64 }),
  message: Type.String({ maxLength: 2_000 }),
});

export type JoinRequest = Static<typeof joinRequestSchema>;
export type JoinReply = Static<typeof joinReplySchema>;

const joinRequest = Compile(joinRequestSchema);
const joinReply = Compile(joinReplySchema);
const refusal = Compile(refusalSchema);

/** Throws `message-invalid`. */
export function parseJoinRequest(value: unknown): JoinRequest {
  if (joinRequest.Check(value)) return value;
  throw invalid('The join request', joinRequest.Errors(value));
}

/** Throws `message-invalid`. */
export function parseJoinReply(value: unknown): JoinReply {
  if (joinReply.Check(value)) return value;
  throw invalid('The reply to the join request', joinReply.Errors(value));
}

/** Null when the value is no refusal. */
export function parseRefusal(value: unknown): Static<typeof refusalSchema> | null {
  return refusal.Check(value) ? value : null;
}

function invalid(what: string, errors: readonly { readonly instancePath: string; readonly message: string }[]): PlimsollError {
  const [first] = errors;
  const where = first === undefined ? '' : ` (${first.instancePath || 'top level'}: ${first.message})`;
  return new PlimsollError('message-invalid', `${what} is malformed${where}; use the same version of plimsoll on both sides.`);
}
