import { PlimsollError } from '#core/model/result.ts';
import { violations } from '#wire/validate.ts';
import type { FastifySchemaCompiler } from 'fastify';
import type { FastifySerializerCompiler } from 'fastify/types/schema.js';
import type { TSchema } from 'typebox';
import { Convert } from 'typebox/value';

const violationsShownMax = 3;

/** Checks what a client sends. Path, query and headers arrive as text and are converted first; a body is taken as it is. */
export const requestValidator: FastifySchemaCompiler<TSchema> =
  ({ schema, httpPart }) =>
  (value) => {
    const converted = httpPart === 'body' ? value : convertedOf(schema, value);
    const found = violations(schema, converted);
    if (found.length === 0) return { value: converted };
    return { error: new PlimsollError('input-invalid', `${partName(httpPart)} is not valid: ${describe(found)}`) };
  };

/** What the texts mean; one that would be read as another figure than it says (`1.5` as 1, nothing as 0) stays a text, and is refused. */
function convertedOf(schema: TSchema, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const converted = Convert(schema, { ...value });
  if (typeof converted !== 'object' || converted === null) return converted;
  const meant = new Map<string, unknown>(Object.entries(converted));
  return Object.fromEntries(
    Object.entries(value).map(([name, text]: [string, unknown]) => {
      const figure = meant.get(name);
      return [name, typeof figure === 'number' && String(figure) !== text ? text : figure];
    }),
  );
}

/** Checks what the controller answers: a resource that breaks its own schema is a fault of ours and is not sent. */
export const responseSerializer: FastifySerializerCompiler<TSchema> =
  ({ schema, method, url }) =>
  (value) => {
    const found = violations(schema, value);
    if (found.length > 0) throw new Error(`${method} ${url} would have broken its schema: ${describe(found)}`);
    return JSON.stringify(value);
  };

function partName(httpPart: string | undefined): string {
  if (httpPart === 'querystring') return 'the query';
  if (httpPart === 'params') return 'the path';
  return httpPart === 'headers' ? 'a header' : 'the request body';
}

function describe(found: ReturnType<typeof violations>): string {
  return found
    .slice(0, violationsShownMax)
    .map((violation) => `${violation.path || '(top)'} ${violation.message}`)
    .join('; ');
}
