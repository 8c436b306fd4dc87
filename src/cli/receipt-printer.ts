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

/** Any JSON as indented `key: value` lines; units follow from the ends of the keys. Ranges and decisions are one line each. */
function linesOf(value: unknown, depth: number): readonly string[] {
  const indent = '  '.repeat(depth);
  if (typeof value !== 'object' || value === null || depth >= depthMax) return [`${indent}${scalar('', value)}`];
  return Object.entries(value).flatMap(([key, member]) => {
    const name = Array.isArray(value) ? `${Number(key) + 1}.` : `${printable(key)}:`;
    const oneLine = rangeText(key, member) ?? decisionText(member);
    if (oneLine !== null) return [`${indent}${name} ${oneLine}`];
    if (typeof member !== 'object' || member === null) return [`${indent}${name} ${scalar(key, member)}`];
    if (Object.keys(member).length === 0) return [`${indent}${name} none`];
    return [`${indent}${name}`, ...linesOf(member, depth + 1)];
  });
}

/** `8.1 s (7.0 s to 10.2 s)`; null for what is no range. */
function rangeText(key: string, member: unknown): string | null {
  const [low, expected, high] = ['low', 'expected', 'high'].map((end) => memberOf(member, end));
  if (typeof low !== 'number' || typeof expected !== 'number' || typeof high !== 'number') return null;
  // Forecasts are not exact to the byte.
  const text = (end: number): string => (key === 'bytes' ? formatBytes(Math.round(end)) : scalar(key, end));
  return `${text(expected)} (${text(low)} to ${text(high)})`;
}

/** `+1.5 s autopilot: post-copy: nothing better for 5 s`; null for what is no decision. */
function decisionText(member: unknown): string | null {
  const [by, action, reason, elapsedMs] = ['by', 'action', 'reason', 'elapsedMs'].map((part) => memberOf(member, part));
  if (typeof by !== 'string' || typeof action !== 'string' || typeof reason !== 'string' || typeof elapsedMs !== 'number') return null;
  const when = by === 'choice' ? 'before' : `+${formatDuration(elapsedMs)}`;
  return `${when} ${printable(by)}: ${printable(action)}: ${printable(reason)}`;
}

function scalar(key: string, value: unknown): string {
  if (value === null || value === undefined) return unknown;
  if (typeof value !== 'number') return printable(typeof value === 'string' ? value : JSON.stringify(value));
  if (key.endsWith('AtMs')) return formatTime(value);
  // Round trips in a cluster take less than a millisecond.
  if (key.startsWith('delayMs') && value < 10) return `${value.toFixed(2)} ms`;
  if (/Ms(P\d+|Max)?$/.test(key)) return formatDuration(value);
  if (key.endsWith('Seconds')) return `${value.toFixed(2)} s`;
  if (key.endsWith('Percent')) return `${value} %`;
  if (key.endsWith('BytesPerSecond') || key === 'bytesPerSecond') return formatRate(value);
  if (/bytes/i.test(key)) return `${formatBytes(value)} (${value} bytes)`;
  return String(value);
}
