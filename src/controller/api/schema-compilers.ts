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
    const converted = httpPart === 'body' ? value : Convert(schema, value);
    const found = violations(schema, converted);
    if (found.length === 0) return { value: converted };
    return { error: new PlimsollError('input-invalid', `${partName(httpPart)} is not valid: ${describe(found)}`) };
  };

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
