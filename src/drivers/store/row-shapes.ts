/** The border between the file and the model: every row that is read is checked, every record before it is written. */
import { type Static, type TSchema, Type } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { PlimsollError } from '#core/model/result.ts';
import { atMs, id, orNull, text } from './basic-shapes.ts';

const validators = new WeakMap<TSchema, Validator>();

function validatorOf(schema: TSchema): Validator {
  const known = validators.get(schema);
  if (known) return known;
  const validator = Compile(schema);
  validators.set(schema, validator);
  return validator;
}

/** The first fault of a value as `/path what is wrong`; null when it fits. */
function faultOf(schema: TSchema, value: unknown): string | null {
  const validator = validatorOf(schema);
  if (validator.Check(value)) return null;
  // Errors come from the inside out; the deepest path names the fault best.
  const [first] = [...validator.Errors(value)].toSorted((left, right) => right.instancePath.length - left.instancePath.length);
  return first === undefined ? 'does not fit' : `${first.instancePath || 'it'} ${first.message}`;
}

function corrupt(table: string, key: string, fault: string): PlimsollError {
  const sentence = `The database row ${key} of table ${table} is damaged: ${fault}; restore the database from a backup, or remove this row.`;
  return new PlimsollError('internal', sentence);
}

/** Checks a value that was read. Throws PlimsollError that names table, row and fault. */
export function checked<Schema extends TSchema>(schema: Schema, value: unknown, table: string, key: string): Static<Schema> {
  const fault = faultOf(schema, value);
  if (fault !== null) throw corrupt(table, key, fault);
  return value as Static<Schema>;
}

/** Reads a JSON column. Throws PlimsollError that names table, row and fault. */
export function parsedJson<Schema extends TSchema>(schema: Schema, json: unknown, table: string, key: string): Static<Schema> {
  if (typeof json !== 'string') throw corrupt(table, key, 'its JSON column holds no text');
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw corrupt(table, key, `its JSON cannot be read (${cause instanceof Error ? cause.message : String(cause)})`);
  }
  return checked(schema, value, table, key);
}

/**
 * Refuses a value that could not be read back (JSON turns NaN into null). Throws PlimsollError `internal`:
 * a fault of this program, not of the operator.
 */
export function writable<Value>(schema: TSchema, value: Value, table: string, key: string): Value {
  const fault = faultOf(schema, value);
  if (fault === null) return value;
  throw new PlimsollError(
    'internal',
    `Refused to write row ${key} of table ${table}: ${fault}. This is a fault of Plimsoll; please report it.`,
  );
}

const atMsOrNull = orNull(atMs);
/** As much as an agent can send. */
const definitionLengthMax = 1024 * 1024;

/** Plain columns; words and JSON columns are checked by the shapes in records.ts. */
export const rowShapes = {
  epoch: Type.Integer({ minimum: 1 }),
  host: Type.Object({ host_id: id, joined_at_ms: atMs, last_seen_at_ms: atMsOrNull, revoked_at_ms: atMsOrNull }),
  token: Type.Object({ token_hash: id, host_id: id, expires_at_ms: atMs, used_at_ms: atMsOrNull }),
  history: Type.Object({
    host_id: id,
    at_ms: atMs,
    cpu_percent: Type.Number({ minimum: 0 }),
    memory_percent: Type.Number({ minimum: 0 }),
  }),
  certificate: Type.Object({
    authority_id: id,
    serial_number: id,
    host_id: id,
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    not_before_ms: atMs,
    not_after_ms: atMs,
    revoked_at_ms: atMsOrNull,
  }),
  audit: Type.Object({ at_ms: atMs, who: id, verb: id, subject: text, detail: text }),
  keptChannel: Type.Object({ host_a: id, host_b: id }),
  receipt: Type.Object({ migration_id: id, sequence: Type.Integer({ minimum: 0 }), created_at_ms: atMs, envelope: text }),
  vmSettings: Type.Object({
    vm_id: id,
    restartable: Type.Union([Type.Literal(0), Type.Literal(1)]),
    address: orNull(id),
    definition_text: orNull(Type.String({ maxLength: definitionLengthMax })),
    sla_class: orNull(id),
    tenant: orNull(id),
    labels: orNull(text),
    updated_at_ms: atMs,
  }),
} as const;
