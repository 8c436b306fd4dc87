import { PlimsollError } from '#core/model/result.ts';

/** Labels of RFC 7468; its section 6 lets a parser take "CRL" too. */
const labels = { certificate: 'CERTIFICATE', list: '(?:X509 )?CRL' } as const;

/** The DER of each PEM block of this kind, in order. Throws `ipsec-failed` when the text holds anything else. */
export function derBlocks(pem: string, kind: keyof typeof labels, what: string): readonly Uint8Array[] {
  const label = labels[kind];
  const block = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, 'g');
  const blocks = [...pem.matchAll(block)].map(([, base64]) => new Uint8Array(Buffer.from(base64 ?? '', 'base64')));
  if (pem.replaceAll(block, '').trim() === '') return blocks;
  throw new PlimsollError('ipsec-failed', `${what} cannot be read: let the controller send this host's trust again.`);
}
