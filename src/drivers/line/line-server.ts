import { constants } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { WebSocketServer } from 'ws';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Line, LineServer, Log } from '#core/ports.ts';
import { refuseUpgrade, replyJson } from './http-reply.ts';
import type { JoinRequest } from './join-messages.ts';
import { JoinService } from './join-service.ts';
import { agentPath, joinPath, lineLimits, serverLimits, type LineLimits } from './limits.ts';
import { verifiedHost, type PeerCertificate, type VerifiedHost } from './peer-certificate.ts';
import { WsLine } from './ws-line.ts';

export interface LineServerOptions {
  /** Port 0 takes a free one. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly tls: ServerTls;
  /**
   * Asked at each dial with a certificate that is valid: true refuses the host, with code `host-revoked`. Lines that are open
   * already are for the caller to close.
   */
  readonly isRevoked?: (host: VerifiedHost) => boolean;
  /** Answers a well-formed join request with a `JoinReply`; a PlimsollError goes to the host as it is. */
  readonly join: (request: JoinRequest, signal: AbortSignal) => Promise<unknown>;
  readonly limits?: Partial<LineLimits>;
  readonly log?: Log;
}

/** PEM. `intermediatesPem` is the CA that signed the certificate, `caPem` the cluster's root: the only trust anchor. */
export interface ServerTls {
  readonly certificatePem: string;
  readonly intermediatesPem: string;
  readonly privateKeyPem: string;
  readonly caPem: string;
}

export type LineListener = (hostId: HostId, line: Line, certificate: PeerCertificate) => void;

export interface RunningLineServer extends LineServer {
  readonly port: number;
  /** The third argument is the certificate that the host has shown on this line. */
  onLine(listener: LineListener): void;
  /** Shows this certificate from the next connection on; lines that are up stay. Throws `config-invalid` and keeps the old one. */
  setTls(tls: ServerTls): void;
  /** Closes every line with reason `server-closed`, stops listening; resolves when all connections are gone. */
  close(): Promise<void>;
}

/** Starts the controller's listener for agents. Throws `config-invalid` when address, port or certificate do not serve. */
export async function createLineServer(options: LineServerOptions): Promise<RunningLineServer> {
  const server = createTlsServer(options);
  const running = new WsLineServer(server, options);
  try {
    server.listen(options.listen.port, options.listen.address);
    await once(server, 'listening');
  } catch (error) {
    throw new PlimsollError(
      'config-invalid',
      `Cannot listen on ${options.listen.address} port ${options.listen.port}; choose a free port and an address of this machine.`,
      {
        cause: error,
      },
    );
  }
  server.on('error', (error) => options.log?.error('agent listener failed', { error: error.message }));
  return running;
}

function createTlsServer(options: LineServerOptions): Server {
  try {
    const server = createServer({
      ...contextOf(options.tls),
      requestCert: true,
      // A joining host has no certificate yet; the agent's path checks `authorized` itself.
      rejectUnauthorized: false,
      handshakeTimeout: serverLimits.tlsHandshakeMsMax,
      requestTimeout: serverLimits.requestMsMax,
      headersTimeout: serverLimits.requestMsMax,
      connectionsCheckingInterval: serverLimits.requestMsMax / 2,
      maxHeaderSize: serverLimits.headerBytesMax,
    });
    server.maxConnections = serverLimits.connectionsMax;
    return server;
  } catch (error) {
    throw unusable(error);
  }
}

function contextOf(tls: ServerTls): SecureContextOptions {
  return {
    // The root goes along so that a joining host, which has only its fingerprint, can find it in the chain.
    cert: [tls.certificatePem, tls.intermediatesPem, tls.caPem].join('\n'),
    key: tls.privateKeyPem,
    ca: tls.caPem,
    minVersion: 'TLSv1.3',
    // No resumption: each connection verifies the host's certificate and its dates anew.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function unusable(cause: unknown): PlimsollError {
  return new PlimsollError('config-invalid', "The controller's certificate and key cannot be used; issue them again.", { cause });
}

class WsLineServer implements RunningLineServer {
  readonly #server: Server;
  readonly #webSockets: WebSocketServer;
  readonly #limits: LineLimits;
  readonly #log: Log | undefined;
  readonly #joins: JoinService;
  /** The one line of each host. */
  readonly #lines = new Map<HostId, WsLine>();
  /** Every connection that is not gone yet, closing ones too. */
  readonly #open = new Set<WsLine>();
  readonly #isRevoked: (host: VerifiedHost) => boolean;
  #listeners: readonly LineListener[] = [];
  /** Every TCP connection, those in the TLS handshake too, which node's own list does not have. */
  readonly #sockets = new Set<Socket>();
  #closing = false;

  constructor(server: Server, options: LineServerOptions) {
    this.#server = server;
    this.#limits = { ...lineLimits, ...options.limits };
    this.#log = options.log;
    this.#isRevoked = options.isRevoked ?? (() => false);
    this.#joins = new JoinService(options.join, options.log);
    this.#webSockets = new WebSocketServer({
      noServer: true,
      maxPayload: this.#limits.messageBytesMax,
      perMessageDeflate: false,
      clientTracking: false,
    });
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => this.#request(request, response));
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#upgrade(request, socket, head));
    // A port scan or a client of another CA: nothing to do, and not worth an error line each.
    server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  onLine(listener: LineListener): void {
    this.#listeners = [...this.#listeners, listener];
  }

  setTls(tls: ServerTls): void {
    try {
      this.#server.setSecureContext(contextOf(tls));
    } catch (error) {
      throw unusable(error);
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    const stopped = this.#server.listening ? once(this.#server, 'close') : Promise.resolve();
    this.#server.close();
    this.#joins.close();
    for (const line of this.#open) line.close('server-closed');
    await Promise.all([...this.#open].map((line) => line.ended));
    for (const socket of this.#sockets) socket.destroy();
    await stopped;
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const path = pathOf(request);
    if (path === joinPath) {
      this.#joins.serve(request, response);
    } else if (path === agentPath) {
      replyJson(
        response,
        426,
        { code: 'input-invalid', message: `${agentPath} speaks WebSocket only; run the plimsoll agent.` },
        { upgrade: 'websocket' },
      );
    } else {
      replyJson(response, 404, { code: 'input-invalid', message: `There is only ${agentPath} and ${joinPath} here.` });
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    if (pathOf(request) !== agentPath) {
      refuseUpgrade(socket, 404, { code: 'input-invalid', message: `WebSocket is spoken at ${agentPath} only.` });
      return;
    }
    const host = verifiedHost(request.socket);
    if (host === null) {
      const message = 'A valid host certificate of this cluster is needed; join this host to the cluster.';
      this.#log?.warn('agent refused', { remoteAddress: request.socket.remoteAddress ?? null });
      refuseUpgrade(socket, 401, { code: 'host-unknown', message });
      return;
    }
    if (this.#isRevoked(host)) {
      this.#log?.warn('revoked host refused', { hostId: host.hostId, remoteAddress: request.socket.remoteAddress ?? null });
      refuseUpgrade(socket, 403, { code: 'host-revoked', message: 'This host was revoked; join it again with a new token.' });
      return;
    }
    if (this.#closing || this.#listeners.length === 0) {
      refuseUpgrade(socket, 503, { code: 'link-lost', message: 'The controller is not ready; dial again.' }, { 'retry-after': '1' });
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) =>
      this.#accept(host, new WsLine(webSocket, request.socket, this.#limits, host.notAfterMs)),
    );
  }

  #accept(host: VerifiedHost, line: WsLine): void {
    const { hostId } = host;
    this.#open.add(line);
    void line.ended.then(() => this.#open.delete(line));
    line.onClose(() => {
      if (this.#lines.get(hostId) === line) this.#lines.delete(hostId);
    });
    // The old line's owner hears of its end before anyone hears of the new one.
    this.#lines.get(hostId)?.close('replaced');
    this.#lines.set(hostId, line);
    for (const listener of this.#listeners) listener(hostId, line, host);
  }
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}
