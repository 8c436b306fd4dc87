/** The one door to @peculiar/x509: it needs reflect-metadata loaded first, and to be told which crypto to use. */
import 'reflect-metadata';
import { createPrivateKey, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { PlimsollError } from '#core/model/result.ts';

x509.cryptoProvider.set(webcrypto);

export { x509 };

/** Curves a key of the cluster may have, with the hash that matches the curve's strength (RFC 5656 section 6.2.1). */
const hashOfCurve = new Map([
  ['P-256', 'SHA-256'],
  ['P-384', 'SHA-384'],
]);

const curveOfOpenssl = new Map([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
]);

/** The ECDSA parameters to sign with a key of this curve; null for a curve that is not accepted. */
export function signingAlgorithmOf(curve: string): { readonly name: 'ECDSA'; readonly hash: string } | null {
  const hash = hashOfCurve.get(curve);
  return hash === undefined ? null : { name: 'ECDSA', hash };
}

/** Both halves of a P-256 or P-384 private key (PKCS#8 PEM) for webcrypto. Throws `config-invalid`. */
export async function importKeyPair(privateKeyPem: string): Promise<{ readonly keys: webcrypto.CryptoKeyPair; readonly curve: string }> {
  try {
    const key = createPrivateKey(privateKeyPem);
    const curve = curveOfOpenssl.get(key.asymmetricKeyDetails?.namedCurve ?? '');
    if (key.asymmetricKeyType !== 'ec' || curve === undefined) throw new TypeError(`a ${key.asymmetricKeyType} key`);
    const algorithm = { name: 'ECDSA', namedCurve: curve };
    const jwk = key.export({ format: 'jwk' });
    const publicJwk = { kty: 'EC', crv: curve, x: String(jwk.x), y: String(jwk.y) };
    const privateKey = await webcrypto.subtle.importKey('pkcs8', key.export({ format: 'der', type: 'pkcs8' }), algorithm, false, ['sign']);
    const publicKey = await webcrypto.subtle.importKey('jwk', publicJwk, algorithm, true, ['verify']);
    return { keys: { privateKey, publicKey }, curve };
  } catch (error) {
    throw new PlimsollError(
      'config-invalid',
      'The private key is not an ECDSA key of curve P-256 or P-384 in PEM form; create a new one.',
      {
        cause: error,
      },
    );
  }
}
