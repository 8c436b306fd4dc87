import { PlimsollError } from '#core/model/result.ts';
import { signingAlgorithmOf, x509 } from './x509.ts';

/** A P-384 request is about 700 bytes. */
const requestCharactersMax = 8 * 1024;

/** The key of a request (PKCS#10, PEM) that proves to have it; nothing else in the request counts. Throws `input-invalid`. */
export async function publicKeyOfRequest(requestPem: string): Promise<x509.PublicKey> {
  const advice = 'create a new request with the plimsoll agent.';
  if (requestPem.length > requestCharactersMax) {
    throw new PlimsollError('input-invalid', `The certificate request is too large; ${advice}`);
  }
  let request: x509.Pkcs10CertificateRequest;
  let proven: boolean;
  try {
    request = new x509.Pkcs10CertificateRequest(requestPem);
    proven = await request.verify();
  } catch (error) {
    throw new PlimsollError('input-invalid', `The certificate request cannot be read; ${advice}`, { cause: error });
  }
  if (!proven) throw new PlimsollError('input-invalid', `The certificate request is not signed by its own key; ${advice}`);
  const algorithm = request.publicKey.algorithm;
  const curve = 'namedCurve' in algorithm && typeof algorithm.namedCurve === 'string' ? algorithm.namedCurve : '';
  if (algorithm.name !== 'ECDSA' || signingAlgorithmOf(curve) === null) {
    throw new PlimsollError(
      'input-invalid',
      `The certificate request has a ${algorithm.name} ${curve} key, not ECDSA P-256 or P-384; ${advice}`,
    );
  }
  return request.publicKey;
}
