import { createHash, randomBytes } from 'node:crypto';

const tokenBytes = 32;

/** A one-time permission to join: 256 random bits, so that guessing needs no rate limit. Only the hash is kept. */
export function createJoinToken(): { readonly token: string; readonly tokenHash: string } {
  const token = `plimsoll-join-${randomBytes(tokenBytes).toString('base64url')}`;
  return { token, tokenHash: hashToken(token) };
}

/** SHA-256 of the token, lower-case hex; a fast hash is enough for a secret of 256 random bits. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex');
}
