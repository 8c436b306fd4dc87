import type { ReceiptResource } from '#wire/api.ts';
import { formatBytes, formatDuration, formatRate, formatTime, printable, unknown } from './format.ts';
import { fields } from './table.ts';

const depthMax = 16;

/** A receipt: whether its signature holds, then its statement line by line. */
export function printReceipt(receipt: ReceiptResource): string {
  const verdict = receipt.valid
    ? `valid (key ${printable(receipt.keyId)})`
    : `NOT VALID (key ${printable(receipt.keyId)}): the receipt was changed, or was not signed by this controller`;
  return [
    fields([
      ['receipt of', receipt.migrationId],
      ['signature', verdict],
    ]),
    '',
    ...linesOf(receipt.statement, 0),
  ].join('\n');
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
