import { decodeBase64 } from '#core/access/base64.ts';
import { PlimsollError } from '#core/model/result.ts';

/** SHA-256 (hex) of the DER of the first certificate in a PEM text: of the host's own, which stands before its CAs. */
export function certificateSha256(pem: string, sha256: (data: Uint8Array) => string): string {
  const body = /-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/.exec(pem)?.[1] ?? '';
  const der = decodeBase64(body.replaceAll(/\s/g, ''));
  if (der === null || der.length === 0) throw new PlimsollError('config-invalid', "this host's certificate is damaged: join again");
  return sha256(der);
}
