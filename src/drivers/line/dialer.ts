import { WebSocket, type ClientOptions } from 'ws';
import type { TLSSocket } from 'node:tls';
import { PlimsollError } from '#core/model/result.ts';
import type { Dialer, HostIdentity, Line } from '#core/ports.ts';
import { controllerAddress, hostAndPort, type ControllerAddress } from './controller-url.ts';
import { readBody } from './http-body.ts';
import { parseRefusal } from './join-messages.ts';
import { agentPath, clientLimits, lineLimits, type LineLimits } from './limits.ts';
import { checkController, peerCertificate, type PeerCertificate } from './peer-certificate.ts';
import { WsLine } from './ws-line.ts';

export interface DialerOptions {
  /** `https://HOST:PORT` of the controller. */
  readonly url: string;
  /** Asked on each dial, so that a renewed identity is used without a restart. */
  readonly identity: () => HostIdentity;
  /** Whether the revocation lists of this identity name the controller's certificate; without it nothing is looked up. */
  readonly isRevoked?: (identity: HostIdentity, certificate: PeerCertificate) => boolean;
  readonly limits?: Partial<LineLimits>;
  readonly dialMsMax?: number;
}

/**
 * Dials the controller with mutual TLS 1.3, with the identity of that moment; the cluster's root is the only trust anchor.
 * `dial` rejects with `link-lost` when the controller is not reached
 * in time, is not the controller of this cluster, or refuses; with `aborted` when its signal aborts.
 * Throws `config-invalid` when the address is none.
 */
export function createDialer(options: DialerOptions): Dialer {
  const address = controllerAddress(options.url);
  const limits = { ...lineLimits, ...options.limits };
  const dialMsMax = options.dialMsMax ?? clientLimits.dialMsMax;
  return {
    dial: async (signal) => {
      const deadline = AbortSignal.timeout(dialMsMax);
      const ended = AbortSignal.any([signal, deadline]);
      try {
        ended.throwIfAborted();
        return await open(address, options, limits, ended);
      } catch (error) {
        if (signal.aborted) throw new PlimsollError('aborted', 'The dial was given up.', { cause: signal.reason });
        if (error instanceof PlimsollError) throw error;
        const why = deadline.aborted
          ? `did not answer within ${dialMsMax} ms`
          : 'cannot be reached or is not the controller of this cluster';
        throw new PlimsollError(
          'link-lost',
          `The controller at ${hostAndPort(address)} ${why}; check its address, certificate and service.`,
          { cause: error },
        );
      }
    },
  };
}

async function open(address: ControllerAddress, options: DialerOptions, limits: LineLimits, signal: AbortSignal): Promise<Line> {
  const identity = options.identity();
  const tls: ClientOptions = {
    ca: identity.caPem,
    cert: `${identity.certificatePem}\n${issuerOf(identity)}`,
    key: identity.privateKeyPem,
    minVersion: 'TLSv1.3',
    // The types of ws want a boolean here; node:tls, which gets it, wants an error or undefined.
    checkServerIdentity: checkController as unknown as NonNullable<ClientOptions['checkServerIdentity']>,
    perMessageDeflate: false,
    maxPayload: limits.messageBytesMax,
    followRedirects: false,
  };
  const socket = new WebSocket(`wss://${hostAndPort(address)}${agentPath}`, tls);
  const abort = (): void => socket.terminate();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await new Promise<Line>((resolve, reject) => {
      let connection: TLSSocket | null = null;
      socket.on('error', reject);
      socket.once('unexpected-response', (_request, response) => {
        readBody(response, clientLimits.refusalBytesMax, signal)
          .then((body) => reject(refusedBy(address, response.statusCode, body)), reject)
          .finally(() => response.destroy());
      });
      socket.once('upgrade', (response) => {
        connection = response.socket as TLSSocket;
      });
      // The line is made inside the event: a message may follow in the same packet.
      socket.once('open', () => {
        if (connection === null) return;
        const certificate = peerOf(connection);
        if (certificate === undefined || options.isRevoked?.(identity, certificate) === true) {
          reject(
            new PlimsollError(
              'link-lost',
              `The controller at ${hostAndPort(address)} shows a certificate that was revoked or cannot be checked.`,
            ),
          );
          socket.terminate();
          return;
        }
        resolve(new WsLine(socket, connection, limits, certificate.notAfterMs));
      });
    });
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** The first of the intermediate CAs is the one that signed the certificate; the others are not part of its chain. */
function issuerOf({ intermediatesPem }: HostIdentity): string {
  return /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/.exec(intermediatesPem)?.[0] ?? '';
}

function peerOf(connection: TLSSocket): PeerCertificate | undefined {
  const certificate = connection.getPeerX509Certificate();
  return certificate && peerCertificate(certificate);
}

function refusedBy(address: ControllerAddress, status: number | undefined, body: unknown): PlimsollError {
  const said = parseRefusal(body)?.message ?? '';
  return new PlimsollError('link-lost', `The controller at ${hostAndPort(address)} refused this host (${status}): ${said}`);
}
