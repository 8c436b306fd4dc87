import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { revocationListBytesMax, revokedCertificatesMax } from '#core/channel/revocation-limits.ts';
import { CaFolder } from './ca-folder.ts';
import type { CertifiedKey } from './certificates.ts';
import { createRevocationList, readRevocationLists, revocationCheck } from './revocation-list.ts';

const nowMs = Date.UTC(2026, 5, 1);

let dir: string;
let issuer: CertifiedKey;
let other: CertifiedKey;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plimsoll-crl-'));
  [issuer, other] = await Promise.all([rootIn(join(dir, 'one')), rootIn(join(dir, 'two'))]);
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

async function rootIn(folder: string): Promise<CertifiedKey> {
  const files = new CaFolder(folder);
  return await files.loadRootKey(await files.openRoot(nowMs));
}

function listOf(serialNumbers: readonly string[], number = 1): Promise<string> {
  const entries = serialNumbers.map((serialNumber) => ({ serialNumber, revokedAtMs: nowMs }));
  return createRevocationList(issuer, { entries, number, thisUpdateMs: nowMs, nextUpdateMs: nowMs + 1000 });
}

function bytesOf(pem: string): number {
  return Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ''), 'base64').length;
}

/** As certificates have them: 16 bytes, the first neither 0 nor with its highest bit set. */
const serialNumbers = fc.uniqueArray(
  fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((bytes) => Buffer.from(bytes.with(0, ((bytes[0] ?? 0) & 0x3f) | 0x40)).toString('hex')),
  { maxLength: 30 },
);

describe('a revocation list', () => {
  it('comes back as it was written: issuer, number, end and entries, whatever they are', async () => {
    await fc.assert(
      fc.asyncProperty(serialNumbers, fc.integer({ min: 0, max: 2 ** 52 }), async (serials, number) => {
        const [list] = readRevocationLists(await listOf(serials, number));
        expect(list).toMatchObject({ authorityId: issuer.id, number: BigInt(number), nextUpdateMs: nowMs + 1000 });
        expect([...(list?.serialNumbers ?? [])].toSorted()).toEqual(serials.toSorted());
        expect(await list?.isSignedBy(issuer.certificatePem)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('is not signed by another CA, nor when a byte of it was changed', async () => {
    const pem = await listOf(['40aa']);
    const [list] = readRevocationLists(pem);
    expect(await list?.isSignedBy(other.certificatePem)).toBe(false);
    const der = Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ''), 'base64');
    der[der.indexOf('40aa', 0, 'hex') + 1] = 0xab;
    const changed = `-----BEGIN X509 CRL-----\n${der.toString('base64')}\n-----END X509 CRL-----\n`;
    const [forged] = readRevocationLists(changed);
    expect([...(forged?.serialNumbers ?? [])]).toEqual(['40ab']);
    expect(await forged?.isSignedBy(issuer.certificatePem)).toBe(false);
    expect(await list?.isSignedBy(issuer.certificatePem)).toBe(true);
  });

  it('holds as many as it says, in well under the time that a revocation may take; one more is refused', async () => {
    const serials = Array.from({ length: revokedCertificatesMax }, (_, index) => `40${index.toString(16).padStart(30, '0')}`);
    const beganMs = performance.now();
    const pem = await listOf(serials);
    const [list] = readRevocationLists(pem);
    expect(performance.now() - beganMs).toBeLessThan(10_000);
    expect(bytesOf(pem)).toBeLessThanOrEqual(revocationListBytesMax);
    expect(list?.serialNumbers.size).toBe(revokedCertificatesMax);
    await expect(listOf([...serials, '41'])).rejects.toMatchObject({ code: 'input-invalid' });
  }, 30_000);

  it('is refused when it is too long for charon, whatever the number of its entries', async () => {
    const serials = Array.from({ length: revokedCertificatesMax }, (_, index) => `40${index.toString(16).padStart(38, '0')}`);
    await expect(listOf(serials)).rejects.toMatchObject({
      code: 'input-invalid',
      message: expect.stringContaining(`a list of ${revokedCertificatesMax}`),
    });
    const [fits] = [serials.slice(0, 1600)];
    expect(bytesOf(await listOf(fits))).toBeGreaterThan(0.9 * revocationListBytesMax);
  }, 30_000);

  it('is looked up by CA and number, in any case of letters', async () => {
    const isRevoked = revocationCheck([await listOf(['40ab']), await listOf([])]);
    expect(isRevoked({ serialNumber: '40AB', authorityId: issuer.id })).toBe(true);
    expect(isRevoked({ serialNumber: '40ac', authorityId: issuer.id })).toBe(false);
    expect(isRevoked({ serialNumber: '40ab', authorityId: other.id })).toBe(false);
  });

  it('that cannot be read is told', () => {
    expect(() => readRevocationLists('-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n')).toThrow(
      expect.objectContaining({ code: 'input-invalid' }) as Error,
    );
    expect(readRevocationLists('')).toEqual([]);
  });
});
