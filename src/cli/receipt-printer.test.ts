import { expect, test } from 'vitest';
import { printReceipt } from './receipt-printer.ts';

const linesOf = (statement: unknown): readonly string[] =>
  printReceipt({ migrationId: 'm-1', valid: true, keyId: 'sha256:abcd', statement, envelope: {} }).split('\n').slice(3);

test('a receipt: what was predicted beside what happened, each figure with its unit', () => {
  const statement = {
    version: 3,
    method: { options: { method: 'pre-copy', streams: 1, autoConverge: null, downtimeMsMax: 300 }, reason: 'it converges' },
    prediction: {
      totalMs: { low: 7000, expected: 8100, high: 10_200 },
      downtimeMs: { low: 20, expected: 35.25, high: 60 },
      bytes: { low: 1024, expected: 2048.5, high: 4096 },
      rounds: 3,
      bandwidth: { bytesPerSecond: 1_048_576, by: 'stream' },
    },
    measures: {
      hypervisorDowntimeMs: 41,
      outside: { downtimeMs: 45, brownoutMs: 0, delayMsP50: 0.4, delayMsP99: 12 },
      espBytes: 2048,
      source: { hypervisorCpuSeconds: 1.25, ipsecCpuSeconds: null },
      destination: null,
      arrival: { sourceClean: true, troubles: [] },
    },
  };
  expect(linesOf(statement)).toEqual([
    'version: 3',
    'method:',
    '  options:',
    '    method: pre-copy',
    '    streams: 1',
    '    autoConverge: -',
    '    downtimeMsMax: 300 ms',
    '  reason: it converges',
    'prediction:',
    '  totalMs: 8.1 s (7.0 s to 10.2 s)',
    '  downtimeMs: 35 ms (20 ms to 60 ms)',
    '  bytes: 2.00 KiB (1.00 KiB to 4.00 KiB)',
    '  rounds: 3',
    '  bandwidth:',
    '    bytesPerSecond: 1.00 MiB/s',
    '    by: stream',
    'measures:',
    '  hypervisorDowntimeMs: 41 ms',
    '  outside:',
    '    downtimeMs: 45 ms',
    '    brownoutMs: 0 ms',
    '    delayMsP50: 0.40 ms',
    '    delayMsP99: 12 ms',
    '  espBytes: 2.00 KiB (2048 bytes)',
    '  source:',
    '    hypervisorCpuSeconds: 1.25 s',
    '    ipsecCpuSeconds: -',
    '  destination: -',
    '  arrival:',
    '    sourceClean: true',
    '    troubles: none',
  ]);
});

test('a receipt: each decision is one line, and obeys no terminal', () => {
  const decisions = [
    { by: 'choice', atMs: 1, elapsedMs: 0, action: 'start hybrid', reason: 'pre-copy would not end' },
    { by: 'autopilot', atMs: 2, elapsedMs: 1500, action: 'post-copy', reason: 'nothing better\u001b[31m' },
  ];
  expect(linesOf({ decisions, decisionsLeftOut: 0 })).toEqual([
    'decisions:',
    '  1. before choice: start hybrid: pre-copy would not end',
    '  2. +1.5 s autopilot: post-copy: nothing better\u{fffd}[31m',
    'decisionsLeftOut: 0',
  ]);
});

test('a receipt of an earlier version is shown as it is', () => {
  expect(linesOf({ version: 2, transfer: { totalMs: 900, hypervisorBytes: 1024 } })).toEqual([
    'version: 2',
    'transfer:',
    '  totalMs: 900 ms',
    '  hypervisorBytes: 1.00 KiB (1024 bytes)',
  ]);
});
