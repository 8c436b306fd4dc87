import { X509Certificate } from 'node:crypto';
import { PlimsollError } from '#core/model/result.ts';
import type { HostIdentity } from '#core/ports.ts';
import type { ViciClient } from './client.ts';
import { derBlocks } from './pem.ts';

/**
 * Gives charon the CAs between root and leaves, and the revocation lists; idempotent. Of two lists of one issuer charon keeps the
 * newer. It finds lists by the issuer's key identifier or else by its name, so no two CAs may have one name.
 *
 * Certificates cannot be taken back over VICI but with everybody's credentials at once. That is harmless: only self-signed CAs are
 * anchors, and ours are named in each connection.
 */
export async function loadTrust(client: ViciClient, identity: HostIdentity, signal: AbortSignal): Promise<void> {
  const intermediates = derBlocks(identity.intermediatesPem, 'certificate', "the cluster's intermediate certificates");
  const lists = identity.crlPems.flatMap((pem) => derBlocks(pem, 'list', "the cluster's revocation lists"));
  if (intermediates.some(isSelfSigned)) {
    throw new PlimsollError(
      'ipsec-failed',
      "A root is among the cluster's intermediate certificates, and charon would trust it: let the controller send this host's trust again.",
    );
  }
  for (const certificate of intermediates) await client.loadCert(certificate, { signal });
  for (const list of lists) await client.loadCrl(list, { signal });
  // What was found good by an older list must be looked at again.
  await client.flushCerts({ signal });
}

function isSelfSigned(der: Uint8Array): boolean {
  try {
    const certificate = new X509Certificate(der);
    return certificate.checkIssued(certificate);
  } catch (cause) {
    throw new PlimsollError(
      'ipsec-failed',
      "One of the cluster's intermediate certificates cannot be read: let the controller send this host's trust again.",
      { cause },
    );
  }
}
