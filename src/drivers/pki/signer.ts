import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';
import type { Signer, Verifier } from '#core/ports.ts';
import { receiptSigningPurpose } from './certificates.ts';
import { certificateFacts, parseCertificate, renewalDueMs } from './certificate-facts.ts';
import { whyNotIssued } from './chain.ts';
import type { ClusterCa } from './cluster-ca.ts';
import { createDurably, ensurePrivateDir, readIfPresent, readPrivateIfPresent, replaceDurably } from './durable-file.ts';
import { fingerprintOf, pemBlocks } from './pem.ts';

const signerFile = 'signer.key';
const certificateFile = 'signer.crt';

/** What a signer needs of the cluster's authority. */
export type SignerAuthority = Pick<ClusterCa, 'rootPem' | 'issueSigner'>;

/**
 * The controller's signing key; `keyId` is `sha256:` and the hex SHA-256 of the public key's SPKI DER. `certificatesPem` is its
 * certificate and the intermediate CA that signed it.
 */
export interface KeySigner extends Signer {
  /** SPKI PEM: what agents keep to verify tickets with. */
  readonly publicKeyPem: string;
  /** Gets a new certificate when the present one is past two thirds of its life and the authority gives a longer one; tells whether it did. */
  renewCertificate(nowMs: number): Promise<boolean>;
}

/**
 * Loads the Ed25519 key of `dir`, or creates it (folder 0700, file 0600, on disk when this resolves), and its certificate.
 * Throws `config-invalid`.
 */
export async function openSigner(dir: string, authority: SignerAuthority, nowMs: number = Date.now()): Promise<KeySigner> {
  await ensurePrivateDir(dir);
  const path = join(dir, signerFile);
  const existing = await readPrivateIfPresent(path);
  const created = existing ?? generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const own = existing !== null || (await createDurably(path, created)) ? created : ((await readPrivateIfPresent(path)) ?? '');
  const key = readEd25519(path, () => createPrivateKey(own));
  const certificatePath = join(dir, certificateFile);
  const signer = new CertifiedSigner(key, authority, certificatePath, (await readIfPresent(certificatePath)) ?? '');
  await signer.renewCertificate(nowMs);
  return signer;
}

class CertifiedSigner implements KeySigner {
  readonly keyId: string;
  readonly publicKeyPem: string;
  readonly #key: KeyObject;
  readonly #authority: SignerAuthority;
  readonly #path: string;
  #certificatesPem: string;

  constructor(key: KeyObject, authority: SignerAuthority, path: string, certificatesPem: string) {
    const publicKey = createPublicKey(key);
    this.keyId = fingerprintOf(publicKey.export({ format: 'der', type: 'spki' }));
    this.publicKeyPem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
    this.#key = key;
    this.#authority = authority;
    this.#path = path;
    this.#certificatesPem = certificatesPem;
  }

  get certificatesPem(): string {
    return this.#certificatesPem;
  }

  sign(data: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, data, this.#key));
  }

  async renewCertificate(nowMs: number): Promise<boolean> {
    const present = this.#presentDates();
    if (present !== null && nowMs < renewalDueMs(present)) return false;
    const issued = await this.#authority.issueSigner(this.publicKeyPem, nowMs);
    // While the root's key is away there is nothing better to be had than what the present intermediate gives.
    if (present !== null && issued.notAfterMs <= present.notAfterMs) return false;
    const certificatesPem = `${issued.certificatePem}${issued.intermediatesPem}`;
    await replaceDurably(this.#path, certificatesPem);
    this.#certificatesPem = certificatesPem;
    return true;
  }

  /** Null when what is there does not vouch for this key under this root: it is made anew. */
  #presentDates(): { readonly notBeforeMs: number; readonly notAfterMs: number } | null {
    const [leafPem, intermediatePem] = pemBlocks(this.#certificatesPem, 'CERTIFICATE');
    if (leafPem === undefined || intermediatePem === undefined) return null;
    const leaf = parseCertificate(this.#path, leafPem);
    const intermediate = parseCertificate(this.#path, intermediatePem);
    const root = parseCertificate('The root', this.#authority.rootPem);
    const mine = leaf.checkPrivateKey(this.#key);
    return mine && whyNotIssued({ leaf, intermediate, root }, [receiptSigningPurpose]) === null ? certificateFacts(leafPem) : null;
  }
}

/** Verifies with this Ed25519 public key (SPKI PEM). Throws `config-invalid` when it is none. */
export function verifierFor(publicKeyPem: string): Verifier {
  const key = readEd25519('The verification key', () => createPublicKey(publicKeyPem));
  return { verify: (data, signature) => verify(null, data, key, signature) };
}

function readEd25519(what: string, read: () => KeyObject): KeyObject {
  try {
    const key = read();
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (error) {
    throw new PlimsollError('config-invalid', `${what} is not a key in PEM form; restore it from a backup.`, { cause: error });
  }
  throw new PlimsollError('config-invalid', `${what} is not an Ed25519 key; restore it from a backup.`);
}
