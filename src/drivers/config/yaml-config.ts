import { PlimsollError } from '#core/model/result.ts';
import { readFileSync, statSync } from 'node:fs';
import type { Static, TSchema } from 'typebox';
import { LineCounter, parseDocument } from 'yaml';
import { schemaFaults } from './schema-faults.ts';

const fileBytesMax = 1024 * 1024;
const faultsShownMax = 5;

/**
 * Reads a YAML file and checks it against `schema`: unknown keys, wrong types, values out of range and duplicate
 * keys are refused. Throws PlimsollError `config-invalid`; its message has one line for each of the first faults:
 * `file:line:column: key.path: what to do`.
 */
export function loadYamlConfig<Schema extends TSchema>(path: string, schema: Schema): Static<Schema> {
  return parseYamlConfig(readText(path), path, schema);
}

/** The same for text that is already here; `path` only names it. */
export function parseYamlConfig<Schema extends TSchema>(text: string, path: string, schema: Schema): Static<Schema> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, stringKeys: true });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  refuse(document.errors.map((error) => `${place(error.pos[0])}: ${yamlSentence(error.code, error.message)}`));
  const value = valueOf(() => document.toJS({ maxAliasCount: 100 }), path);
  if (value === null || value === undefined) refuse([`${path}:1:1: the file is empty: write the settings into it`]);
  refuse(schemaFaults(schema, value, document).map((fault) => `${place(fault.offset)}: ${fault.sentence}`));
  return value as Static<Schema>;
}

function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > fileBytesMax) refuse([`${path}: the file is larger than ${fileBytesMax} bytes: this is not a configuration of Plimsoll`]);
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof PlimsollError) throw cause;
    throw new PlimsollError('config-invalid', unreadable(path, cause), { cause });
  }
}

function unreadable(path: string, cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') return `${path}: there is no such file: create it, or name another one with --config`;
  if (code === 'EACCES') return `${path}: the file may not be read: run this as the user it belongs to, or as root`;
  return `${path}: the file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
}

/** Aliases are resolved here, where a document that would grow without bound is refused. */
function valueOf(read: () => unknown, path: string): unknown {
  try {
    return read();
  } catch (cause) {
    throw new PlimsollError('config-invalid', `${path}: the aliases in the file cannot be resolved: write the values out`, { cause });
  }
}

function yamlSentence(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'this key is already set above: keep one of the two';
  if (code === 'MULTIPLE_DOCS') return 'the file holds several documents: keep one and remove the line of dashes';
  if (code === 'TAB_AS_INDENT') return 'the line is indented with a tab: use spaces';
  if (code === 'NON_STRING_KEY') return 'a key has to be plain text: put it in quotes';
  const [firstLine = message] = message.split('\n');
  return `this is not YAML: ${firstLine}`;
}

function refuse(faults: readonly string[]): void {
  if (faults.length === 0) return;
  const rest = faults.length - faultsShownMax;
  const more = rest > 0 ? [`and ${rest} more`] : [];
  throw new PlimsollError('config-invalid', [...faults.slice(0, faultsShownMax), ...more].join('\n'));
}
