import type { X509Certificate } from 'node:crypto';
import { x509 } from './x509.ts';

/** A leaf, the one CA between, and the root: Plimsoll's chains have no other shape. */
export interface Chain {
  readonly leaf: X509Certificate;
  readonly intermediate: X509Certificate;
  readonly root: X509Certificate;
}

/** Extended key usages of a certificate of a host. */
export const hostPurposes = [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth] as const;

/**
 * Null when `root` vouches for the leaf: signatures, who may sign, and purposes (RFC 5280 section 6.1 for chains of
 * this one shape). Else what is wrong, as half a sentence. Dates are `whyNotValid`'s matter.
 */
export function whyNotIssued({ leaf, intermediate, root }: Chain, purposes: readonly string[]): string | null {
  if (!isIssued(root, root)) return 'the root is not a CA that has signed itself';
  if (!isIssued(intermediate, root)) return 'the intermediate CA is not signed by the root of this cluster';
  if (leaf.ca || !isIssued(leaf, intermediate)) return 'the certificate is not signed by its intermediate CA';
  const missing = purposes.find((purpose) => !(leaf.keyUsage ?? []).includes(purpose));
  return missing === undefined ? null : `the certificate is not for the purpose ${missing}`;
}

/** Null when all three were valid at that time; else which one was not, as half a sentence. */
export function whyNotValid(chain: Chain, atMs: number): string | null {
  for (const [name, certificate] of [
    ['root', chain.root],
    ['intermediate CA', chain.intermediate],
    ['certificate', chain.leaf],
  ] as const) {
    if (certificate.validToDate.getTime() < atMs) return `the ${name} ended on ${certificate.validToDate.toISOString()}`;
    if (certificate.validFromDate.getTime() > atMs) return `the ${name} is valid from ${certificate.validFromDate.toISOString()} only`;
  }
  return null;
}

/** Whether a CA has signed it; `checkIssued` also looks at names, key identifiers and the permission to sign certificates. */
export function isIssued(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
