/** What the shapes of rows and records are made of. */
import { Type } from 'typebox';

export const text = Type.String();
export const id = Type.String({ minLength: 1 });
export const number = Type.Number();
export const count = Type.Integer({ minimum: 0 });
export const atMs = Type.Number({ minimum: 0 });

export function orNull<Schema extends Parameters<typeof Type.Union>[0][number]>(schema: Schema) {
  return Type.Union([Type.Null(), schema]);
}
