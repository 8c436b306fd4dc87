import type { ReceiptResource } from '#wire/api.ts';
import type { ReceiptFile, ReceiptVerdict } from './processes.ts';
import { formatBytes, formatDuration, formatRate, formatTime, printable, unknown } from './format.ts';
import { fields } from './table.ts';

const depthMax = 16;

/** A receipt: whether its signature holds, then its statement line by line. */
export function printReceipt(receipt: ReceiptResource | ReceiptFile): string {
  return [
    fields([
      ['receipt of', receipt.migrationId],
      ['signature', verdictOf(receipt)],
    ]),
    ...warningOf(receipt.statement),
    '',
    ...linesOf(receipt.statement, 0),
  ].join('\n');
}

/** What an offline check found, then the statement. */
export function printVerdict(verdict: ReceiptVerdict): string {
  if (!verdict.valid) return `NOT VALID: ${printable(verdict.why)}`;
  const { commonName, certificateSha256, rootName } = verdict.signedBy;
  return [
    fields([
      ['signature', 'valid'],
      ['signed by', `${commonName} (certificate sha256:${certificateSha256})`],
      ['root', rootName],
    ]),
    ...warningOf(verdict.statement),
    '',
    ...linesOf(verdict.statement, 0),
  ].join('\n');
}

function verdictOf(receipt: ReceiptResource | ReceiptFile): string {
  if (receipt.valid === null) return "not checked: 'plimsoll receipt verify' does";
  if (receipt.valid) return `valid (key ${printable(receipt.keyId)})`;
  return `NOT VALID (key ${printable(receipt.keyId)}): the receipt was changed, or was not signed by this controller`;
}

/** A migration that IPsec did not protect says so before everything else. */
function warningOf(statement: unknown): readonly string[] {
  const channel = memberOf(statement, 'channel');
  if (memberOf(channel, 'weaker') !== true) return [];
  const kind = String(memberOf(channel, 'kind'));
  return [
    kind === 'none'
      ? 'WARNING: the memory of this VM crossed the network in PLAIN TEXT'
      : `WARNING: protected by ${printable(kind)}, which is weaker than IPsec`,
  ];
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}

/** Any JSON as indented `key: value` lines; units follow from the ends of the keys. */
function linesOf(value: unknown, depth: number): readonly string[] {
  const indent = '  '.repeat(depth);
  if (typeof value !== 'object' || value === null || depth >= depthMax) return [`${indent}${scalar('', value)}`];
  return Object.entries(value).flatMap(([key, member]) => {
    const name = Array.isArray(value) ? `${Number(key) + 1}.` : `${printable(key)}:`;
    if (typeof member !== 'object' || member === null) return [`${indent}${name} ${scalar(key, member)}`];
    if (Object.keys(member).length === 0) return [`${indent}${name} none`];
    return [`${indent}${name}`, ...linesOf(member, depth + 1)];
  });
}

function scalar(key: string, value: unknown): string {
  if (value === null || value === undefined) return unknown;
  if (typeof value !== 'number') return printable(typeof value === 'string' ? value : JSON.stringify(value));
  if (key.endsWith('AtMs')) return formatTime(value);
  if (key.endsWith('Ms')) return formatDuration(value);
  if (key.endsWith('BytesPerSecond')) return formatRate(value);
  if (/bytes/i.test(key)) return `${formatBytes(value)} (${value} bytes)`;
  return String(value);
}
