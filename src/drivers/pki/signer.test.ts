import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { receiptSigningPurpose } from './certificates.ts';
import { hostPurposes, whyNotIssued } from './chain.ts';
import { openClusterCa, type ClusterCa } from './cluster-ca.ts';
import { createHostKey } from './host-key.ts';
import { createJoinToken, hashToken } from './join-token.ts';
import { pemBlocks } from './pem.ts';
import { openSigner, verifierFor } from './signer.ts';

const nowMs = Date.now();
const dayMs = 24 * 3_600_000;

let dir: string;
let ca: ClusterCa;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plimsoll-signer-'));
  ca = await openClusterCa(join(dir, 'ca'), nowMs);
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe("the controller's signing key", () => {
  it('is created once, in a private file, and signs what its public key verifies', async () => {
    const [signer, again] = await Promise.all([openSigner(dir, ca), openSigner(dir, ca)]);
    const data = new TextEncoder().encode('ticket');
    const verifier = verifierFor(again.publicKeyPem);
    expect(again.keyId).toBe(signer.keyId);
    expect(verifier.verify(data, signer.sign(data))).toBe(true);
    expect((await stat(join(dir, 'signer.key'))).mode & 0o777).toBe(0o600);
  });

  it('does not verify changed data, a changed signature or the signature of another key', async () => {
    const signer = await openSigner(join(dir, 'one'), ca);
    const other = await openSigner(join(dir, 'two'), ca);
    const data = new TextEncoder().encode('ticket');
    const signature = signer.sign(data);
    const verifier = verifierFor(signer.publicKeyPem);
    expect(verifier.verify(new TextEncoder().encode('Ticket'), signature)).toBe(false);
    expect(verifier.verify(data, signature.with(0, (signature[0] ?? 0) ^ 1))).toBe(false);
    expect(verifier.verify(data, new Uint8Array())).toBe(false);
    expect(verifier.verify(data, other.sign(data))).toBe(false);
    expect(verifier.verify(data, signature)).toBe(true);
  });

  it('refuses what is no Ed25519 key', async () => {
    await writeFile(join(dir, 'signer.key'), createHostKey(), { mode: 0o600 });
    await expect(openSigner(dir, ca)).rejects.toMatchObject({ code: 'config-invalid' });
    expect(() => verifierFor('rubbish')).toThrow(expect.objectContaining({ code: 'config-invalid' }) as Error);
    expect(() => verifierFor(createHostKey())).toThrow(expect.objectContaining({ code: 'config-invalid' }) as Error);
  });
});

describe("the signing key's certificate", () => {
  it('names the key under the root, for receipts and nothing else, as far back as its CA', async () => {
    const signer = await openSigner(dir, ca, nowMs);
    const [leaf, intermediate] = pemBlocks(signer.certificatesPem, 'CERTIFICATE').map((pem) => new X509Certificate(pem));
    if (leaf === undefined || intermediate === undefined) throw new Error('two certificates');
    expect(leaf.publicKey.export({ format: 'pem', type: 'spki' })).toBe(signer.publicKeyPem);
    expect(leaf.keyUsage).toEqual([receiptSigningPurpose]);
    const chain = { leaf, intermediate, root: new X509Certificate(ca.rootPem) };
    expect(whyNotIssued(chain, [receiptSigningPurpose])).toBeNull();
    expect(whyNotIssued(chain, hostPurposes)).not.toBeNull();
    expect(leaf.validFromDate).toEqual(intermediate.validFromDate);
  });

  it('is kept across restarts, and made anew with a new intermediate, under another root, or when it is damaged', async () => {
    const signer = await openSigner(dir, ca, nowMs);
    const first = signer.certificatesPem;
    expect((await openSigner(dir, ca, nowMs)).certificatesPem).toBe(first);
    const laterMs = nowMs + 21 * dayMs;
    expect(await signer.renewCertificate(laterMs)).toBe(false);
    await ca.renewIntermediate(laterMs);
    expect(await signer.renewCertificate(laterMs)).toBe(true);
    expect(signer.certificatesPem).not.toBe(first);
    expect((await openSigner(dir, ca, laterMs)).certificatesPem).toBe(signer.certificatesPem);
    await writeFile(join(dir, 'signer.crt'), 'rubbish');
    expect((await openSigner(dir, ca, laterMs)).certificatesPem).toContain('BEGIN CERTIFICATE');
    const other = await openClusterCa(join(dir, 'other'), nowMs);
    expect((await openSigner(dir, other, nowMs)).certificatesPem).not.toBe(first);
  });
});

describe('a join token', () => {
  it('is new each time and known only by its hash', () => {
    const one = createJoinToken();
    const two = createJoinToken();
    expect(one.token).not.toBe(two.token);
    expect(one.tokenHash).toBe(hashToken(one.token));
    expect(one.tokenHash).toMatch(/^[0-9a-f]{64}$/);
    expect(one.tokenHash).not.toBe(two.tokenHash);
  });
});
