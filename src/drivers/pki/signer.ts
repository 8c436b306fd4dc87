import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';
import type { Signer, Verifier } from '#core/ports.ts';
import { createDurably, ensurePrivateDir, readPrivateIfPresent } from './durable-file.ts';
import { fingerprintOf } from './pem.ts';

const signerFile = 'signer.key';

/** The controller's signing key; `keyId` is `sha256:` and the hex SHA-256 of the public key's SPKI DER. */
export interface KeySigner extends Signer {
  /** SPKI PEM: what agents keep to verify tickets with. */
  readonly publicKeyPem: string;
}

/** Loads the Ed25519 key of `dir`, or creates it (folder 0700, file 0600, on disk when this resolves). Throws `config-invalid`. */
export async function openSigner(dir: string): Promise<KeySigner> {
  await ensurePrivateDir(dir);
  const path = join(dir, signerFile);
  const existing = await readPrivateIfPresent(path);
  if (existing !== null) return loadSigner(path, existing);
  const created = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  if (await createDurably(path, created)) return loadSigner(path, created);
  return loadSigner(path, (await readPrivateIfPresent(path)) ?? '');
}

/** Verifies with this Ed25519 public key (SPKI PEM). Throws `config-invalid` when it is none. */
export function verifierFor(publicKeyPem: string): Verifier {
  const key = readEd25519('The verification key', () => createPublicKey(publicKeyPem));
  return { verify: (data, signature) => verify(null, data, key, signature) };
}

function loadSigner(path: string, privateKeyPem: string): KeySigner {
  const key = readEd25519(path, () => createPrivateKey(privateKeyPem));
  const publicKey = createPublicKey(key);
  return {
    keyId: fingerprintOf(publicKey.export({ format: 'der', type: 'spki' })),
    publicKeyPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    sign: (data) => new Uint8Array(sign(null, data, key)),
  };
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
