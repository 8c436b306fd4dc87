/** Receipts as the controller signs them with its real key, checked with the root certificate alone. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeParts } from '#controller/fakes.ts';
import { Receipts } from '#controller/receipts.ts';
import { openClusterCa } from '#drivers/pki/cluster-ca.ts';
import { openSigner, verifierFor } from '#drivers/pki/signer.ts';
import { verifyReceipt } from '#drivers/pki/verify-receipt.ts';
import { ReceiptStatementSchema } from '#wire/receipt-schema.ts';
import type { ReceiptResource } from '#wire/api.ts';
import { violations } from '#wire/validate.ts';
import { fullMigrationOf, migrationOf } from '#test/contract/store/samples.ts';
import { runCli } from './run-cli.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

let folder = '';
let rootPem = '';
let filled: ReceiptResource;
let empty: ReceiptResource;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-receipt-'));
  const ca = await openClusterCa(join(folder, 'pki'));
  const signer = await openSigner(join(folder, 'pki'), ca);
  rootPem = ca.rootPem;
  const receipts = new Receipts({ ...fakeParts(), sha256, signer, verifier: verifierFor(signer.publicKeyPem) });
  const nowMs = Date.now();
  await receipts.write({ ...fullMigrationOf('m1', nowMs), endedAtMs: nowMs });
  await receipts.write(migrationOf('m2', nowMs, { phase: 'failed', endedAtMs: nowMs }));
  [filled, empty] = [await receipts.read('m1'), await receipts.read('m2')];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a receipt', () => {
  it('states what its schema says, with every part filled or empty', () => {
    for (const { statement } of [filled, empty]) expect(violations(ReceiptStatementSchema, statement)).toEqual([]);
    expect(violations(ReceiptStatementSchema, { ...(filled.statement as object), version: 1 })).not.toEqual([]);
  });

  it('is valid to whoever has the root certificate, and nothing else', () => {
    expect(verifyReceipt(JSON.stringify(filled.envelope), rootPem)).toMatchObject({ valid: true, statement: { migrationId: 'm1' } });
  });

  it('is not valid once a byte of it was changed, nor under the root of another cluster', async () => {
    const envelope = filled.envelope as { readonly payload: string };
    const forged = Buffer.from(JSON.stringify({ ...(filled.statement as object), outcome: 'moved' })).toString('base64');
    expect(verifyReceipt(JSON.stringify({ ...envelope, payload: forged }), rootPem)).toMatchObject({ valid: false });
    const other = await openClusterCa(join(folder, 'other'));
    expect(verifyReceipt(JSON.stringify(envelope), other.rootPem)).toMatchObject({ valid: false });
  });

  it('is checked on the command line, offline; a forged one has exit code 1', async () => {
    const [good, bad, ca] = ['good.json', 'bad.json', 'ca.crt'].map((name) => join(folder, name));
    writeFileSync(good ?? '', JSON.stringify(filled));
    writeFileSync(bad ?? '', JSON.stringify({ ...(filled.envelope as object), payload: (empty.envelope as { payload: string }).payload }));
    writeFileSync(ca ?? '', rootPem);
    const valid = await runCli(['receipt', 'verify', good ?? '', '--ca', ca ?? '']);
    expect(valid).toMatchObject({ code: 0, err: '' });
    expect(valid.out).toMatch(/^signature: valid\n/);
    expect(valid.out).toContain('PLAIN TEXT');
    const forged = await runCli(['receipt', 'verify', bad ?? '', '--ca', ca ?? '']);
    expect([forged.code, forged.out]).toEqual([1, expect.stringMatching(/^NOT VALID: /)]);
  });
});
