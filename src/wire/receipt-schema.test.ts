import { describe, expect, it } from 'vitest';
import { receiptOf, type ReceiptStatementV2 } from '#core/migration/receipt.ts';
import { begin } from '#core/migration/step.ts';
import type { Decision } from '#core/model/method.ts';
import { receiptJsonSchema, ReceiptStatementSchema, ReceiptStatementV2Schema } from './receipt-schema.ts';
import { violations } from './validate.ts';

const { migration } = begin({
  migrationId: 'm1',
  vmId: '00000000-0000-4000-8000-000000000001',
  vmName: 'web1',
  fromHostId: 'a',
  toHostId: 'b',
  cause: 'operator',
  askedBy: 'ana',
  approvedBy: null,
  channelKind: 'none',
  grantId: 'g1',
  planId: null,
  vmEpoch: 1,
  wish: { method: 'auto' },
  askedAtMs: 5,
});
const statement = receiptOf({ ...migration, phase: 'done', endedAtMs: 9 }, 1, null);
const {
  method: _method,
  prediction: _prediction,
  measures: _measures,
  decisions: _decisions,
  decisionsLeftOut: _left,
  ...rest
} = statement;
const earlier: ReceiptStatementV2 = { ...rest, version: 2 };

describe('the schema of receipts', () => {
  it('takes a statement of this version', () => {
    expect(violations(ReceiptStatementSchema, statement)).toEqual([]);
  });

  it('takes one that was signed before there were methods, and each version only as what it is', () => {
    expect(violations(ReceiptStatementV2Schema, earlier)).toEqual([]);
    expect(violations(ReceiptStatementSchema, earlier)).not.toEqual([]);
    expect(violations(ReceiptStatementV2Schema, statement)).not.toEqual([]);
    expect(violations(ReceiptStatementV2Schema, { ...statement, version: 2 })).not.toEqual([]);
  });

  it('is published for both', () => {
    expect(receiptJsonSchema.anyOf).toEqual([ReceiptStatementSchema, ReceiptStatementV2Schema]);
  });

  it('takes no more decisions than a receipt may have, and as many as it makes of too many', () => {
    const decision: Decision = { by: 'autopilot', atMs: 1, elapsedMs: 1, action: 'a'.repeat(999), reason: 'r'.repeat(9999) };
    const decisions = Array.from({ length: 65 }, () => decision);
    expect(violations(ReceiptStatementSchema, receiptOf({ ...migration, decisions }, 1, null))).toEqual([]);
    const short = decisions.map((one) => ({ ...one, action: 'a', reason: 'r' }));
    expect(violations(ReceiptStatementSchema, { ...statement, decisions: short })).not.toEqual([]);
  });
});
