import { generateKeyPairSync } from 'node:crypto';
import type { HostId } from '#core/model/host.ts';
import { checkHostId } from './names.ts';
import { importKeyPair, signingAlgorithmOf, x509 } from './x509.ts';

/** A new ECDSA P-256 private key, PKCS#8 PEM: the form that node, GnuTLS and charon all read. */
export function createHostKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/**
 * A certificate request (PKCS#10 PEM) signed with the host's key. The controller takes the public key from it
 * and nothing else. Throws `input-invalid` on a bad name, `config-invalid` on a bad key.
 */
export async function createHostRequest(hostId: HostId, privateKeyPem: string): Promise<string> {
  checkHostId(hostId);
  const { keys, curve } = await importKeyPair(privateKeyPem);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [hostId] }],
    keys,
    signingAlgorithm: signingAlgorithmOf(curve) ?? { name: 'ECDSA', hash: 'SHA-256' },
  });
  return `${request.toString('pem')}\n`;
}
