import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type ConnectionOptions, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import type { HostAddresses, HostId } from '#core/model/host.ts';
import { PlimsollError, type RefusalCode } from '#core/model/result.ts';
import { controllerAddress, hostAndPort, type ControllerAddress } from './controller-url.ts';
import { readBody } from './http-body.ts';
import { parseJoinReply, parseRefusal, type JoinReply, type JoinRequest } from './join-messages.ts';
import { clientLimits, joinPath } from './limits.ts';
import { checkController } from './peer-certificate.ts';

export interface JoinOptions {
  readonly controllerUrl: string;
  readonly token: string;
  readonly hostId: HostId;
  readonly addresses: HostAddresses;
  /** PKCS#10, signed with the host's key. */
  readonly requestPem: string;
  /** `sha256:` and the hex SHA-256 of the root's DER, as the controller prints it. */
  readonly caFingerprint: string;
}

export interface Joined {
  readonly certificatePem: string;
  /** The CAs between root and leaves, the one that signed the certificate first. */
  readonly intermediatesPem: string;
  /** The root, which has the pinned fingerprint. */
  readonly caPem: string;
  readonly crlPems: readonly string[];
  /** Ed25519, SPKI PEM: verifies tickets. */
  readonly controllerPublicKeyPem: string;
}

/** Codes a controller may answer a join with; another one is news to this version and counts as `internal`. */
const joinCodes: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  'config-invalid',
  'host-exists',
  'host-revoked',
  'host-unknown',
  'input-invalid',
  'link-lost',
  'message-invalid',
  'token-expired',
  'token-invalid',
]);

/**
 * Joins this host with a one-time token. First connection: take the chain, find the certificate that has the
 * pinned fingerprint: the root. Second connection: the TLS stack verifies the controller with that root as its only
 * trust anchor, and only then is the token sent. Rejects with `input-invalid` (a bad fingerprint),
 * `config-invalid` (not the pinned CA: nothing was sent), `link-lost`, `aborted`, or the controller's own code.
 */
export async function joinCluster(options: JoinOptions, signal: AbortSignal): Promise<Joined> {
  const pin = options.caFingerprint.toLowerCase();
  if (!/^sha256:[0-9a-f]{64}$/.test(pin)) {
    throw new PlimsollError('input-invalid', 'The CA fingerprint must be sha256: and 64 hex digits; copy it from the controller.');
  }
  const address = controllerAddress(options.controllerUrl);
  const ended = AbortSignal.any([signal, AbortSignal.timeout(clientLimits.joinMsMax)]);
  try {
    ended.throwIfAborted();
    const caPem = await fetchPinnedRoot(address, pin, ended);
    const { token, hostId, requestPem, addresses } = options;
    const reply = await postJoin(address, caPem, { token, hostId, requestPem, addresses: pickAddresses(addresses) }, ended);
    checkReply(reply, pin, hostId);
    const { certificatePem, intermediatesPem, caPem: rootPem, crlPems, ticketKeyPem } = reply;
    return { certificatePem, intermediatesPem, caPem: rootPem, crlPems, controllerPublicKeyPem: ticketKeyPem };
  } catch (error) {
    if (signal.aborted) throw new PlimsollError('aborted', 'The join was given up.', { cause: signal.reason });
    if (error instanceof PlimsollError) throw error;
    throw new PlimsollError(
      'link-lost',
      `The controller at ${hostAndPort(address)} cannot be reached over TLS; check its address and service.`,
      { cause: error },
    );
  }
}

function pickAddresses(addresses: HostAddresses): JoinRequest['addresses'] {
  return { underlay: addresses.underlay, protected: addresses.protected, interface: addresses.interface };
}

/** Sends nothing but the TLS handshake; whoever answers is not trusted yet, only asked for its chain. */
async function fetchPinnedRoot(address: ControllerAddress, pin: string, signal: AbortSignal): Promise<string> {
  const socket = connect(tlsOptions(address));
  try {
    await once(socket, 'secureConnect', { signal });
    const pinned = chainOf(socket.getPeerCertificate(true)).find((der) => fingerprintOf(der) === pin);
    const ca = pinned === undefined ? null : new X509Certificate(pinned);
    if (ca?.ca === true) return ca.toString();
  } finally {
    abandon(socket);
  }
  throw notPinned(address);
}

function notPinned(address: ControllerAddress, cause?: unknown): PlimsollError {
  return new PlimsollError(
    'config-invalid',
    `Whoever answers at ${hostAndPort(address)} does not prove to be the controller of the cluster with this CA fingerprint; the token was not sent. Check address and fingerprint: somebody may be in between.`,
    { cause },
  );
}

function chainOf(leaf: DetailedPeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  let next: DetailedPeerCertificate | undefined = leaf;
  while (next?.raw !== undefined && chain.length < clientLimits.chainCertificatesMax) {
    chain.push(next.raw);
    // node shows a root as its own issuer.
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain;
}

function fingerprintOf(der: Buffer): string {
  return `sha256:${createHash('sha256').update(der).digest('hex')}`;
}

async function postJoin(address: ControllerAddress, caPem: string, body: JoinRequest, signal: AbortSignal): Promise<JoinReply> {
  const response = await send(address, caPem, JSON.stringify(body), signal);
  const value = await readBody(response, clientLimits.joinReplyBytesMax, signal);
  if (response.statusCode === 200) return parseJoinReply(value);
  const refusal = parseRefusal(value);
  const code = [...joinCodes].find((known) => known === refusal?.code) ?? 'internal';
  throw new PlimsollError(code, refusal?.message ?? `The controller answered the join with status ${response.statusCode}; see its log.`);
}

/** The request is written only on a connection whose verification is over and went well. */
async function send(address: ControllerAddress, caPem: string, text: string, signal: AbortSignal): Promise<IncomingMessage> {
  const socket = await connectVerified(address, caPem, signal);
  const request = httpRequest({
    createConnection: () => socket,
    path: joinPath,
    method: 'POST',
    headers: { host: hostAndPort(address), 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
    signal,
  });
  return await new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', reject);
    request.end(text);
  });
}

async function connectVerified(address: ControllerAddress, caPem: string, signal: AbortSignal): Promise<TLSSocket> {
  // Not `rejectUnauthorized`: node then reports a refused certificate as one more socket error, which could not be
  // told from a broken connection without its message.
  const socket = connect({ ...tlsOptions(address), ca: caPem, checkServerIdentity: checkController });
  try {
    await once(socket, 'secureConnect', { signal });
    if (socket.authorized) return socket;
  } catch (error) {
    abandon(socket);
    throw error;
  }
  abandon(socket);
  throw notPinned(address, socket.authorizationError);
}

function tlsOptions(address: ControllerAddress): ConnectionOptions {
  return { host: address.host, port: address.port, servername: address.serverName, minVersion: 'TLSv1.3', rejectUnauthorized: false };
}

function abandon(socket: TLSSocket): void {
  socket.on('error', () => socket.destroy());
  socket.destroy();
}

/** A first look, so that a wrong answer is told from a fault of this host; what stores the identity verifies all of it. */
function checkReply(reply: JoinReply, pin: string, hostId: HostId): void {
  const wrong = 'The controller answered with a certificate that is not for this host and cluster; join again with a new token.';
  let good: boolean;
  try {
    const root = new X509Certificate(reply.caPem);
    // Of several certificates in a text, node reads the first: the CA that signed this host's.
    const issuer = new X509Certificate(reply.intermediatesPem);
    const certificate = new X509Certificate(reply.certificatePem);
    const named = certificate.toLegacyObject().subject.CN === hostId;
    good = named && fingerprintOf(root.raw) === pin && isSignedBy(issuer, root) && isSignedBy(certificate, issuer);
  } catch (error) {
    throw new PlimsollError('message-invalid', wrong, { cause: error });
  }
  if (!good) throw new PlimsollError('message-invalid', wrong);
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
