/** What stands in each certificate of a cluster. */
import { randomBytes, type KeyObject, type webcrypto } from 'node:crypto';
import { PlimsollError } from '#core/model/result.ts';
import { x509 } from './x509.ts';

const dayMs = 24 * 3_600_000;
export const rootLifetimeMs = 10 * 365 * dayMs;
export const intermediateLifetimeMs = 30 * dayMs;
/** Certificates and lists are valid from a little before now, so that a host whose clock is behind accepts them at once. */
export const backdateMs = 5 * 60_000;

/**
 * Extended key usage of the certificate that vouches for the key of receipts. An OID below 2.25 is a UUID and needs no
 * registration (ITU-T X.667 section 7): this one is fd3c6f5e-0b7a-4c61-9f0e-5d2a7c8e4b13.
 */
export const receiptSigningPurpose = '2.25.336608479543561271937315662265618156307';

/** A CA's certificate with its private key. */
export interface CertifiedKey {
  readonly certificate: x509.X509Certificate;
  readonly certificatePem: string;
  readonly privateKey: webcrypto.CryptoKey;
  /** The same key for node's own signing. */
  readonly keyObject: KeyObject;
  /** Subject key identifier, hex: what the CA's certificates and lists name it by. */
  readonly id: string;
}

/** The CAs are P-384 keys. */
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-384' } as const;

export async function createRoot(keys: webcrypto.CryptoKeyPair, nowMs: number): Promise<string> {
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    // The suffix tells the CAs of two clusters apart where only names are shown (libvirt's and charon's logs).
    name: [{ CN: [`Plimsoll root CA ${randomBytes(4).toString('hex')}`] }],
    serialNumber: newSerialNumber(),
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + rootLifetimeMs),
    keys,
    signingAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pemOf(certificate);
}

export async function createIntermediate(root: CertifiedKey, publicKey: webcrypto.CryptoKey, nowMs: number): Promise<string> {
  const certificate = await x509.X509CertificateGenerator.create({
    // A name of its own for each: GnuTLS looks up the issuer by its name, and two are in use at a change.
    subject: [{ CN: [`Plimsoll intermediate CA ${randomBytes(4).toString('hex')}`] }],
    issuer: root.certificate.subjectName,
    serialNumber: newSerialNumber(),
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(Math.min(nowMs + intermediateLifetimeMs, root.certificate.notAfter.getTime())),
    publicKey,
    signingKey: root.privateKey,
    signingAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(root.certificate.publicKey),
    ],
  });
  return pemOf(certificate);
}

export interface Leaf {
  readonly commonName: string;
  readonly alternativeNames: readonly { readonly type: 'dns' | 'ip'; readonly value: string }[];
  /** OIDs of extended key usages. */
  readonly purposes: readonly string[];
  readonly publicKey: x509.PublicKey;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Never outlives its issuer. Throws `input-invalid` when nothing of the lifetime is left. */
export async function createLeaf(issuer: CertifiedKey, leaf: Leaf): Promise<x509.X509Certificate> {
  const notAfterMs = Math.min(leaf.notAfterMs, issuer.certificate.notAfter.getTime());
  if (!(notAfterMs > leaf.notBeforeMs)) {
    throw new PlimsollError('input-invalid', `A certificate cannot end before it begins; give a positive lifetime.`);
  }
  return await x509.X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: [{ CN: [leaf.commonName] }],
    issuer: issuer.certificate.subjectName,
    notBefore: new Date(leaf.notBeforeMs),
    notAfter: new Date(notAfterMs),
    publicKey: leaf.publicKey,
    signingKey: issuer.privateKey,
    signingAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      // Not critical: libvirt 9.0 refuses a critical key usage without keyEncipherment ("usage does not permit
      // key encipherment"), which RFC 8813 section 3 forbids for ECDSA keys; when not critical it only warns.
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, false),
      new x509.ExtendedKeyUsageExtension([...leaf.purposes], false),
      ...(leaf.alternativeNames.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension([...leaf.alternativeNames])]),
      await x509.SubjectKeyIdentifierExtension.create(leaf.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey),
    ],
  });
}

export const pemOf = (certificate: x509.X509Certificate): string => `${certificate.toString('pem')}\n`;

/** Subject key identifier, hex; empty when the certificate has none. */
export function subjectKeyId(certificate: x509.X509Certificate): string {
  return certificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId ?? '';
}

/** Positive and unguessable (RFC 5280 section 4.1.2.2): 127 random bits, the first byte never 0. */
function newSerialNumber(): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial.toString('hex');
}
