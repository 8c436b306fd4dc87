import { X509Certificate } from 'node:crypto';
import { PlimsollError } from '#core/model/result.ts';
import { subjectKeyId } from './certificates.ts';
import { pemBlocks, sha256Hex } from './pem.ts';
import { x509 } from './x509.ts';

/** What is looked at in a certificate from outside: names, numbers and dates. */
export interface CertificateFacts {
  readonly commonName: string;
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** Of the DER, hex. */
  readonly sha256: string;
  /** Subject key identifier of the CA that signed it, hex; empty when the certificate does not say. */
  readonly authorityId: string;
  /** Its own subject key identifier, hex. */
  readonly subjectId: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Facts of the first certificate in a PEM text, which in a chain is the holder's own. Throws `input-invalid`. */
export function certificateFacts(pem: string): CertificateFacts {
  const certificate = parseCertificate('The certificate', pem);
  const parsed = new x509.X509Certificate(certificate.raw);
  return {
    commonName: commonNameOf(certificate),
    serialNumber: certificate.serialNumber.toLowerCase(),
    sha256: sha256Hex(certificate.raw),
    authorityId: parsed.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId ?? '',
    subjectId: subjectKeyId(parsed),
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** The first certificate in a PEM text. Throws `input-invalid`, its message beginning with `what`. */
export function parseCertificate(what: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pemBlocks(pem, 'CERTIFICATE')[0] ?? '');
  } catch (error) {
    throw new PlimsollError('input-invalid', `${what} is not a certificate in PEM form.`, { cause: error });
  }
}

/** Empty when there is none, or more than one. */
export function commonNameOf(certificate: X509Certificate): string {
  const name: unknown = certificate.toLegacyObject().subject.CN;
  return typeof name === 'string' ? name : '';
}

/** When a certificate or CA should be replaced: two thirds of its life are over. */
export function renewalDueMs({ notBeforeMs, notAfterMs }: Pick<CertificateFacts, 'notBeforeMs' | 'notAfterMs'>): number {
  return notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3;
}
