/**
 * DSSE, the "dead simple signing envelope" of the secure-systems-lab specification: what is signed is the
 * pre-authentication encoding of a type and the exact payload bytes, so no canonical form of JSON is needed.
 */
const encoder = new TextEncoder();

/** PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body, lengths in decimal bytes. */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const typeBytes = encoder.encode(payloadType);
  const head = encoder.encode(`DSSEv1 ${typeBytes.length} `);
  const middle = encoder.encode(` ${payload.length} `);
  const encoded = new Uint8Array(head.length + typeBytes.length + middle.length + payload.length);
  encoded.set(head, 0);
  encoded.set(typeBytes, head.length);
  encoded.set(middle, head.length + typeBytes.length);
  encoded.set(payload, head.length + typeBytes.length + middle.length);
  return encoded;
}

/** A signed statement as it is stored and shown; payload and signature are base64. */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** Reads a stored envelope; null for what is none. */
export function parseEnvelope(text: string): Envelope | null {
  const value = parseJson(text);
  if (!isRecord(value) || typeof value['payloadType'] !== 'string' || typeof value['payload'] !== 'string') return null;
  const { payloadType, payload, signatures } = value;
  return Array.isArray(signatures) && signatures.every(isSignature) ? { payloadType, payload, signatures } : null;
}

/** The value of a JSON text; null for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isSignature(value: unknown): value is Envelope['signatures'][number] {
  return isRecord(value) && typeof value['keyid'] === 'string' && typeof value['sig'] === 'string';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

export const ticketPayloadType = 'application/vnd.plimsoll.ticket+json';
export const receiptPayloadType = 'application/vnd.plimsoll.receipt+json';
