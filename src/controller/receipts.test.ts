import { describe, expect, it } from 'vitest';
import { encodeBase64 } from '#core/access/base64.ts';
import { type Envelope, preAuthenticationEncoding, receiptPayloadType, ticketPayloadType } from '#core/access/envelope.ts';
import { begin } from '#core/migration/step.ts';
import type { Migration } from '#core/model/migration.ts';
import { wish } from './fake-cluster.ts';
import { checksum, fakeParts, type FakeParts } from './fakes.ts';
import { Receipts } from './receipts.ts';

function ended(migrationId: string): Migration {
  const { migration } = begin({ ...wish, migrationId, vmEpoch: 1, askedAtMs: 1 });
  return { ...migration, phase: 'done', endedAtMs: 2 };
}

async function withTwo(): Promise<{ readonly parts: FakeParts; readonly receipts: Receipts }> {
  const parts = fakeParts();
  const receipts = new Receipts(parts);
  await Promise.all([receipts.write(ended('m1')), receipts.write(ended('m2'))]);
  return { parts, receipts };
}

function tamper(parts: FakeParts, change: (envelope: Envelope) => unknown): void {
  const [first, ...others] = parts.store.receipts;
  if (!first) throw new Error('there is no receipt');
  const changed = change(JSON.parse(first.envelope) as Envelope);
  const envelope = typeof changed === 'string' ? changed : JSON.stringify(changed);
  parts.store.receipts.splice(0, Infinity, { ...first, envelope }, ...others);
}

function signedAs(type: string, statement: unknown): Envelope {
  const payload = new TextEncoder().encode(JSON.stringify(statement));
  const sig = encodeBase64(checksum(preAuthenticationEncoding(type, payload)));
  return { payloadType: type, payload: encodeBase64(payload), signatures: [{ keyid: 'key1', sig }] };
}

describe('receipts', () => {
  it('are signed, and each names the hash of the one before it, also when written at once', async () => {
    const { parts, receipts } = await withTwo();
    const [first] = parts.store.receipts;
    expect(await receipts.read('m1')).toMatchObject({ valid: true, keyId: 'key1', statement: { sequence: 1, previousSha256: null } });
    const previousSha256 = parts.sha256(first?.envelope ?? '');
    expect(await receipts.read('m2')).toMatchObject({ valid: true, statement: { sequence: 2, previousSha256 } });
  });

  it('are written once', async () => {
    const { parts, receipts } = await withTwo();
    await receipts.write(ended('m1'));
    expect(parts.store.receipts).toHaveLength(2);
  });

  it('that cannot be written are no obstacle for the next one, and leave no gap', async () => {
    const { parts, receipts } = await withTwo();
    parts.store.failing.add('saveReceipt');
    await expect(receipts.write(ended('m3'))).rejects.toThrow('disk full');
    parts.store.failing.clear();
    await receipts.write(ended('m4'));
    expect(await receipts.read('m4')).toMatchObject({ valid: true, statement: { sequence: 3 } });
  });

  it('of unknown migrations are unknown', async () => {
    const { receipts } = await withTwo();
    await expect(receipts.read('m9')).rejects.toMatchObject({ code: 'receipt-unknown' });
  });

  const forged = { ...ended('m1').request, outcome: 'moved' };
  const tampered: readonly (readonly [story: string, change: (envelope: Envelope) => unknown])[] = [
    ['its statement was changed', (envelope) => ({ ...envelope, payload: signedAs(receiptPayloadType, forged).payload })],
    ['its signature was changed', (envelope) => ({ ...envelope, signatures: [{ keyid: 'key1', sig: 'AAAA' }] })],
    ['its signature was removed', (envelope) => ({ ...envelope, signatures: [] })],
    ['its type was changed', (envelope) => ({ ...envelope, payloadType: ticketPayloadType })],
    ['a signed ticket stands in its place', () => signedAs(ticketPayloadType, { migrationId: 'm1' })],
    ["another migration's receipt stands in its place", () => signedAs(receiptPayloadType, { migrationId: 'm2' })],
    ['it is not JSON', () => 'rubbish'],
    ['it is no envelope', () => ({ payload: 7 })],
    ['its statement is not base64', (envelope) => ({ ...envelope, payload: '***' })],
    ['its statement is not JSON', (envelope) => ({ ...envelope, payload: 'AAAA' })],
  ];

  it.each(tampered)('are shown as not valid when %s', async (_story, change) => {
    const { parts, receipts } = await withTwo();
    tamper(parts, (envelope) => envelope);
    expect(await receipts.read('m1')).toMatchObject({ valid: true });
    tamper(parts, change);
    expect(await receipts.read('m1')).toMatchObject({ migrationId: 'm1', valid: false });
  });
});
