import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHostKey } from './host-key.ts';
import { createJoinToken, hashToken } from './join-token.ts';
import { openSigner, verifierFor } from './signer.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plimsoll-signer-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe("the controller's signing key", () => {
  it('is created once, in a private file, and signs what its public key verifies', async () => {
    const [signer, again] = await Promise.all([openSigner(dir), openSigner(dir)]);
    const data = new TextEncoder().encode('ticket');
    const verifier = verifierFor(again.publicKeyPem);
    expect(again.keyId).toBe(signer.keyId);
    expect(verifier.verify(data, signer.sign(data))).toBe(true);
    expect((await stat(join(dir, 'signer.key'))).mode & 0o777).toBe(0o600);
  });

  it('does not verify changed data, a changed signature or the signature of another key', async () => {
    const signer = await openSigner(join(dir, 'one'));
    const other = await openSigner(join(dir, 'two'));
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
    await expect(openSigner(dir)).rejects.toMatchObject({ code: 'config-invalid' });
    expect(() => verifierFor('rubbish')).toThrow(expect.objectContaining({ code: 'config-invalid' }) as Error);
    expect(() => verifierFor(createHostKey())).toThrow(expect.objectContaining({ code: 'config-invalid' }) as Error);
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
