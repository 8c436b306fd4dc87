import { PlimsollError, type RefusalCode } from '#core/model/result.ts';
import type { Static, TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';

const errorsShownMax = 3;
const validators = new WeakMap<TSchema, Validator>();

/** Where in a value a schema was broken (JSON pointer) and how. */
export interface Violation {
  readonly path: string;
  readonly message: string;
}

/** What is wrong with a value; empty when it fits the schema. */
export function violations(schema: TSchema, value: unknown): readonly Violation[] {
  const validator = compiled(schema);
  if (validator.Check(value)) return [];
  return [...validator.Errors(value)]
    .filter((error) => error.keyword !== 'boolean')
    .map((error) => ({ path: error.instancePath, message: describe(error) }));
}

/**
 * Checks a value from outside and returns it typed. Throws PlimsollError(`code`) that names `what`, the
 * place and the fault of the first few violations.
 */
export function parse<Schema extends TSchema>(
  schema: Schema,
  value: unknown,
  what: string,
  code: RefusalCode = 'message-invalid',
): Static<Schema> {
  const found = violations(schema, value);
  if (found.length === 0) return value as Static<Schema>;
  const shown = found.slice(0, errorsShownMax).map((violation) => `${violation.path || '(top)'} ${violation.message}`);
  throw new PlimsollError(code, `${what} is not valid: ${shown.join('; ')}`);
}

function compiled(schema: TSchema): Validator {
  const known = validators.get(schema);
  if (known) return known;
  const validator = Compile(schema);
  validators.set(schema, validator);
  return validator;
}

function describe(error: { readonly keyword: string; readonly message: string; readonly params: object }): string {
  if (error.keyword === 'additionalProperties' && 'additionalProperties' in error.params) {
    return `has unknown keys: ${String(error.params.additionalProperties)}`;
  }
  return error.message;
}
