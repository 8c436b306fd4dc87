import { createHash, type X509Certificate } from 'node:crypto';
import { checkServerIdentity as checkNames, TLSSocket, type PeerCertificate as TlsPeerCertificate } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { HostId } from '#core/model/host.ts';
import { authorityIdOf } from './authority-id.ts';
import { controllerName } from './limits.ts';

/** What identifies a certificate that the TLS stack has verified. Hex is lower-case. */
export interface PeerCertificate {
  readonly serialNumber: string;
  /** Key identifier of the CA that signed it, hex: whose revocation list may name it. */
  readonly authorityId: string;
  /** Of the DER, hex. */
  readonly sha256: string;
  readonly notAfterMs: number;
}

/** The host behind a connection, by its certificate. */
export interface VerifiedHost extends PeerCertificate {
  readonly hostId: HostId;
}

/**
 * The host behind a connection, or null: only for a certificate that the TLS stack verified against the cluster's
 * root (chain, dates, purpose client authentication) and whose common name is also its DNS name.
 */
export function verifiedHost(socket: Duplex): VerifiedHost | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const certificate = socket.getPeerX509Certificate();
  const hostId: unknown = certificate?.toLegacyObject().subject.CN;
  if (certificate === undefined || typeof hostId !== 'string' || hostId === controllerName) return null;
  if (certificate.checkHost(hostId, { subject: 'never', wildcards: false }) === undefined) return null;
  return { hostId, ...peerCertificate(certificate) };
}

export function peerCertificate(certificate: X509Certificate): PeerCertificate {
  return {
    serialNumber: certificate.serialNumber.toLowerCase(),
    authorityId: authorityIdOf(certificate.raw),
    sha256: createHash('sha256').update(certificate.raw).digest('hex'),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/**
 * For `checkServerIdentity` of node:tls, which calls it after the chain is verified: every host of the cluster has
 * a server certificate of the same CA, so the common name must be the controller's, and the dialled name or
 * address must be in the certificate.
 */
export function checkController(dialledName: string, certificate: TlsPeerCertificate): Error | undefined {
  const commonName: unknown = certificate.subject.CN;
  if (commonName !== controllerName) return new Error(`The certificate's common name is not ${controllerName}`);
  return checkNames(dialledName, certificate);
}
