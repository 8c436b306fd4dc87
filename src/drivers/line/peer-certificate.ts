import { checkServerIdentity as checkNames, TLSSocket, type PeerCertificate } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { HostId } from '#core/model/host.ts';
import { controllerName } from './limits.ts';

export interface VerifiedHost {
  readonly hostId: HostId;
  readonly expiresAtMs: number;
}

/**
 * The host behind a connection, or null: only for a certificate that the TLS stack verified against the cluster
 * CA (chain, dates, purpose client authentication) and whose common name is also its DNS name.
 */
export function verifiedHost(socket: Duplex): VerifiedHost | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  const hostId: unknown = certificate.toLegacyObject().subject.CN;
  if (typeof hostId !== 'string' || hostId === controllerName) return null;
  if (certificate.checkHost(hostId, { subject: 'never', wildcards: false }) === undefined) return null;
  return { hostId, expiresAtMs: certificate.validToDate.getTime() };
}

/**
 * For `checkServerIdentity` of node:tls, which calls it after the chain is verified: every host of the cluster has
 * a server certificate of the same CA, so the common name must be the controller's, and the dialled name or
 * address must be in the certificate.
 */
export function checkController(dialledName: string, certificate: PeerCertificate): Error | undefined {
  const commonName: unknown = certificate.subject.CN;
  if (commonName !== controllerName) return new Error(`The certificate's common name is not ${controllerName}`);
  return checkNames(dialledName, certificate);
}
