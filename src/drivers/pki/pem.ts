import { createHash } from 'node:crypto';

export type PemLabel = 'CERTIFICATE' | 'PRIVATE KEY' | 'X509 CRL';

/** All blocks with this label, each with its markers and a final newline. */
export function pemBlocks(text: string, label: PemLabel): readonly string[] {
  const pattern = new RegExp(`-----BEGIN ${label}-----[A-Za-z0-9+/=\\s]+-----END ${label}-----`, 'g');
  return [...text.matchAll(pattern)].map((match) => `${match[0]}\n`);
}

/** `sha256:` and the lower-case hex digest of the bytes. */
export function fingerprintOf(der: Uint8Array): string {
  return `sha256:${sha256Hex(der)}`;
}

export function sha256Hex(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
