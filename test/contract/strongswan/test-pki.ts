import 'reflect-metadata';
import { type X509Certificate, generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

const { subtle } = webcrypto;
const dayMs = 24 * 3_600_000;
const curve = { name: 'ECDSA', namedCurve: 'P-384' } as const;
const signing = { name: 'ECDSA', hash: 'SHA-384' } as const;

interface Holder {
  readonly certificate: x509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

export interface Leaf {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly serialNumber: string;
  readonly notAfterMs: number;
}

export interface LeafOptions {
  /** DNS name in the certificate. */
  readonly name: string;
  /** Default: from an hour ago for a day. */
  readonly notAfterMs?: number;
}

/** A root, an intermediate under it, leaves under that, and the revocation lists of both: as small as a test needs it. */
export class TestPki {
  readonly rootPem: string;
  readonly intermediatePem: string;
  readonly #root: Holder;
  readonly #intermediate: Holder;
  #number = 0;

  private constructor(root: Holder, intermediate: Holder) {
    this.#root = root;
    this.#intermediate = intermediate;
    this.rootPem = pemOf(root.certificate);
    this.intermediatePem = pemOf(intermediate.certificate);
  }

  static async create(name: string): Promise<TestPki> {
    const root = await createCa(`${name} root`, null);
    return new TestPki(root, await createCa(`${name} intermediate`, root));
  }

  async issue({ name, notAfterMs = Date.now() + dayMs }: LeafOptions): Promise<Leaf> {
    const keys = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
    const issuer = this.#intermediate;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: `01${randomBytes(8).toString('hex')}`,
      subject: [{ CN: [name] }],
      issuer: issuer.certificate.subjectName,
      notBefore: new Date(Math.min(Date.now(), notAfterMs) - 3_600_000),
      notAfter: new Date(notAfterMs),
      publicKey: keys.publicKey,
      signingKey: issuer.keys.privateKey,
      signingAlgorithm: signing,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey),
      ],
    });
    const der = Buffer.from(await subtle.exportKey('pkcs8', keys.privateKey));
    const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
    const privateKeyPem = ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n');
    return { certificatePem: pemOf(certificate), privateKeyPem, serialNumber: certificate.serialNumber, notAfterMs };
  }

  /** A fresh list of each CA; the intermediate's names these serial numbers. */
  async lists(revoked: readonly string[] = []): Promise<readonly string[]> {
    return [await this.#list(this.#root, []), await this.intermediateList(revoked)];
  }

  intermediateList(revoked: readonly string[] = []): Promise<string> {
    return this.#list(this.#intermediate, revoked);
  }

  /** As if the intermediate itself had been revoked. */
  async rootListAgainstIntermediate(): Promise<string> {
    return await this.#list(this.#root, [this.#intermediate.certificate.serialNumber]);
  }

  async #list(issuer: Holder, revoked: readonly string[]): Promise<string> {
    this.#number += 1;
    const crl = await x509.X509CrlGenerator.create({
      issuer: issuer.certificate.subjectName.toString(),
      thisUpdate: new Date(Date.now() - 60_000 + this.#number * 1_000),
      nextUpdate: new Date(Date.now() + dayMs),
      entries: revoked.map((serialNumber) => ({ serialNumber, revocationDate: new Date(Date.now() - 60_000) })),
      signingKey: issuer.keys.privateKey,
      signingAlgorithm: signing,
      extensions: [await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey)],
    });
    // RFC 7468 section 6; the library writes the old label.
    return `${crl.toString('pem').replaceAll(' CRL-', ' X509 CRL-')}\n`;
  }
}

async function createCa(name: string, issuer: Holder | null): Promise<Holder> {
  const keys = await subtle.generateKey(curve, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: `01${randomBytes(8).toString('hex')}`,
    subject: [{ CN: [`${name} ${randomBytes(4).toString('hex')}`] }],
    ...(issuer === null ? {} : { issuer: issuer.certificate.subjectName }),
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 30 * dayMs),
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    signingAlgorithm: signing,
    extensions: [
      new x509.BasicConstraintsExtension(true, issuer === null ? 1 : 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create((issuer?.keys ?? keys).publicKey),
    ],
  });
  return { certificate, keys };
}

/** A P-256 key as hosts have it, PKCS#8. */
export function createHostKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

/** Whether one of these lists, signed by the CA, is there, and what it says of the certificate. */
export function statusIn(lists: readonly Uint8Array[], ca: X509Certificate, certificate: X509Certificate): 'good' | 'revoked' | 'unknown' {
  for (const der of lists.toReversed()) {
    const crl = new x509.X509Crl(new Uint8Array(der));
    if (crl.issuer !== new x509.X509Certificate(new Uint8Array(ca.raw)).subject) continue;
    return crl.findRevoked(certificate.serialNumber) === null ? 'good' : 'revoked';
  }
  return 'unknown';
}
