import { jobStatsParamsMax, stringBytesMax } from './limits.ts';
import { DecodeError, type XdrDecoder } from './xdr-decoder.ts';
import { EncodeError, type XdrEncoder } from './xdr-encoder.ts';
import type { ServerFault } from './errors.ts';

/** libvirt's handle of a domain. `id` is -1 when it is not running. The daemon looks it up by `uuid`. */
export interface DomainRef {
  readonly name: string;
  /** Lower case with dashes. */
  readonly uuid: string;
  readonly id: number;
}

/** A named value with one of libvirt's seven types. 64 bit values are bigints so that no counter loses its low bits. */
export type TypedParam = { readonly field: string } & TypedValue;
export type TypedValue =
  | { readonly type: 'i32'; readonly value: number }
  | { readonly type: 'u32'; readonly value: number }
  | { readonly type: 'i64'; readonly value: bigint }
  | { readonly type: 'u64'; readonly value: bigint }
  | { readonly type: 'f64'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string };

/** VIR_TYPED_PARAM_*: 1 to 7 in this order. */
const typeOrder = ['i32', 'u32', 'i64', 'u64', 'f64', 'bool', 'string'] as const;
const typedReaders: readonly ((decoder: XdrDecoder) => TypedValue)[] = [
  (decoder) => ({ type: 'i32', value: decoder.i32() }),
  (decoder) => ({ type: 'u32', value: decoder.u32() }),
  (decoder) => ({ type: 'i64', value: decoder.i64() }),
  (decoder) => ({ type: 'u64', value: decoder.u64() }),
  (decoder) => ({ type: 'f64', value: decoder.f64() }),
  (decoder) => ({ type: 'bool', value: decoder.i32() !== 0 }),
  (decoder) => ({ type: 'string', value: decodeString(decoder) }),
];
/** Least bytes of a typed parameter: empty name, type, 32 bit value. */
export const typedParamBytesMin = 12;
/** Least bytes of a domain: empty name, UUID, id. */
export const domainBytesMin = 24;
const uuidBytes = 16;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/u;

export function decodeString(decoder: XdrDecoder): string {
  return decoder.string(stringBytesMax);
}

export function encodeString(encoder: XdrEncoder, value: string): void {
  encoder.string(value, stringBytesMax);
}

export function decodeOptionalString(decoder: XdrDecoder): string | null {
  return decoder.optional(decodeString);
}

export function decodeUuid(decoder: XdrDecoder): string {
  const hex = Buffer.from(decoder.fixedOpaque(uuidBytes)).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export function encodeUuid(encoder: XdrEncoder, uuid: string): void {
  const lower = uuid.toLowerCase();
  if (!uuidPattern.test(lower)) throw new EncodeError(`${uuid} is not a UUID with dashes`);
  encoder.fixedOpaque(Buffer.from(lower.replaceAll('-', ''), 'hex'), uuidBytes);
}

export function decodeDomain(decoder: XdrDecoder): DomainRef {
  return { name: decodeString(decoder), uuid: decodeUuid(decoder), id: decoder.i32() };
}

export function encodeDomain(encoder: XdrEncoder, domain: DomainRef): void {
  encodeString(encoder, domain.name);
  encodeUuid(encoder, domain.uuid);
  encoder.i32(domain.id);
}

export function decodeTypedParam(decoder: XdrDecoder): TypedParam {
  const field = decodeString(decoder);
  const at = decoder.offset;
  const number = decoder.u32();
  const read = typedReaders[number - 1];
  if (read === undefined) throw new DecodeError('unknown-variant', at, `typed parameter ${field} has type ${number}`);
  return { field, ...read(decoder) };
}

export function encodeTypedParam(encoder: XdrEncoder, param: TypedParam): void {
  encodeString(encoder, param.field);
  encoder.u32(typeOrder.indexOf(param.type) + 1);
  switch (param.type) {
    case 'i32':
      encoder.i32(param.value);
      break;
    case 'u32':
      encoder.u32(param.value);
      break;
    case 'i64':
      encoder.i64(param.value);
      break;
    case 'u64':
      encoder.u64(param.value);
      break;
    case 'f64':
      encoder.f64(param.value);
      break;
    case 'bool':
      encoder.i32(param.value ? 1 : 0);
      break;
    case 'string':
      encodeString(encoder, param.value);
      break;
  }
}

export function decodeTypedParams(decoder: XdrDecoder, paramsMax = jobStatsParamsMax): TypedParam[] {
  return decoder.array(paramsMax, typedParamBytesMin, decodeTypedParam);
}

/** The body of a reply with status "error" (virNetMessageError): only its first four fields carry meaning today. */
export function decodeFault(decoder: XdrDecoder): ServerFault {
  const code = decoder.i32();
  const domain = decoder.i32();
  const message = decodeOptionalString(decoder) ?? 'no message given';
  const level = decoder.i32();
  decoder.optional(decodeDomain);
  for (let index = 0; index < 3; index += 1) decodeOptionalString(decoder);
  decoder.i32();
  decoder.i32();
  decoder.optional((inner) => ({ name: decodeString(inner), uuid: decodeUuid(inner) }));
  decoder.end();
  return { code, domain, level, message };
}
