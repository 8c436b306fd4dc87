import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { type Document, isMap, isNode, isPair, isScalar, type Node } from 'yaml';

/** One place where a document breaks its schema. */
export interface SchemaFault {
  /** Characters from the start of the text. */
  readonly offset: number;
  /** Key path, and what to do. */
  readonly sentence: string;
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly message: string;
  readonly params: object;
}

/** JSON Schema's types in the words of someone who writes YAML. */
const typeNames: ReadonlyMap<string, string> = new Map([
  ['string', 'text'],
  ['object', 'a section'],
  ['array', 'a list'],
  ['number', 'a number'],
  ['integer', 'a whole number'],
  ['boolean', 'true or false'],
]);

/** What is wrong with `value`, which `document` holds: one fault for each place, in the order of the text. */
export function schemaFaults(schema: TSchema, value: unknown, document: Document): readonly SchemaFault[] {
  const validator = Compile(schema);
  if (validator.Check(value)) return [];
  const byPath = new Map<string, SchemaError[]>();
  for (const error of validator.Errors(value)) {
    // An unknown key is also reported as `boolean` at the key itself, which is the place to show.
    if (error.keyword === 'additionalProperties') continue;
    byPath.set(error.instancePath, [...(byPath.get(error.instancePath) ?? []), error]);
  }
  return [...byPath].map(([pointer, errors]) => faultAt(schema, pointer, errors, document)).toSorted((a, b) => a.offset - b.offset);
}

function faultAt(schema: TSchema, pointer: string, errors: readonly SchemaError[], document: Document): SchemaFault {
  const keys = keysOf(pointer);
  const found = describeValue(document.getIn(keys));
  const sentence = sentenceOf(schema, keys, errors, found);
  return {
    offset: offsetOf(document, keys, errors.some(isUnknownKey)),
    sentence: keys.length === 0 ? sentence : `${keys.join('.')}: ${sentence}`,
  };
}

function sentenceOf(schema: TSchema, keys: readonly string[], errors: readonly SchemaError[], found: string): string {
  if (errors.some(isUnknownKey)) return unknownKeySentence(schema, keys);
  const required = errors.find((error) => error.keyword === 'required');
  if (required) return `needs ${listOf(required.params, 'requiredProperties')}: add it`;
  const allowed = errors.filter((error) => error.keyword === 'const').map((error) => valueIn(error.params, 'allowedValue'));
  if (allowed.length > 0) return `must be ${allowed.join(' or ')}, not ${found}`;
  const [first] = errors;
  if (first?.keyword === 'pattern') return `${found} has not the right form: it must match ${valueIn(first.params, 'pattern')}`;
  if (first?.keyword === 'type')
    return `must be ${typeNames.get(valueIn(first.params, 'type')) ?? valueIn(first.params, 'type')}, not ${found}`;
  return `${first?.message ?? 'is not valid'}, not ${found}`;
}

function isUnknownKey(error: SchemaError): boolean {
  return error.keyword === 'boolean';
}

function unknownKeySentence(schema: TSchema, keys: readonly string[]): string {
  const known = knownKeys(schema, keys.slice(0, -1));
  const name = keys.at(-1) ?? '';
  const close = known.find((candidate) => isClose(candidate, name));
  if (close !== undefined) return `there is no such key: did you mean ${close}?`;
  return known.length === 0 ? 'there is no such key: remove it' : `there is no such key: remove it, or use one of ${known.join(', ')}`;
}

/** Keys that the schema knows at a place, as far as plain objects lead there. */
function knownKeys(schema: TSchema, path: readonly string[]): readonly string[] {
  let current: unknown = schema;
  for (const key of path) current = memberOf(memberOf(current, 'properties'), key);
  const properties = memberOf(current, 'properties');
  return typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
}

/** Equal but for case and separators, or one letter added, lost or changed, or two neighbours swapped. */
function isClose(known: string, written: string): boolean {
  const a = known.toLowerCase();
  const b = written.toLowerCase().replaceAll(/[-_]/g, '');
  if (a === b) return true;
  if (Math.abs(a.length - b.length) > 1) return false;
  let same = 0;
  while (same < a.length && a[same] === b[same]) same += 1;
  const restA = a.slice(same);
  const restB = b.slice(same);
  const swapped = restA.length > 1 && restB === `${restA[1] ?? ''}${restA[0] ?? ''}${restA.slice(2)}`;
  return swapped || restA.slice(1) === restB || restA === restB.slice(1) || restA.slice(1) === restB.slice(1);
}

/** Where to look: the key for an unknown key, else the value; the nearest place above for what is missing. */
function offsetOf(document: Document, keys: readonly string[], ofKey: boolean): number {
  if (ofKey) {
    const key = keyNode(document, keys);
    if (key?.range) return key.range[0];
  }
  for (let depth = keys.length; depth >= 0; depth -= 1) {
    const node = depth === 0 ? document.contents : document.getIn(keys.slice(0, depth), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

function keyNode(document: Document, keys: readonly string[]): Node | null {
  const parent = keys.length === 1 ? document.contents : document.getIn(keys.slice(0, -1), true);
  if (!isMap(parent)) return null;
  const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === keys.at(-1));
  return pair !== undefined && isNode(pair.key) ? pair.key : null;
}

/** RFC 6901, section 4. */
function keysOf(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function describeValue(value: unknown): string {
  if (value === null) return 'nothing';
  if (typeof value === 'string') return `the text ${JSON.stringify(value.slice(0, 80))}`;
  if (typeof value === 'number' || typeof value === 'boolean') return `${value}`;
  return isMap(value) ? 'a section' : 'a list';
}

function valueIn(params: object, key: string): string {
  const value = memberOf(params, key);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function listOf(params: object, key: string): string {
  const list = memberOf(params, key);
  return Array.isArray(list) ? list.join(', ') : valueIn(params, key);
}
