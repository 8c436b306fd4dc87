import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostIdentity, Line } from '#core/ports.ts';
import type { LineLimits } from '#drivers/line/limits.ts';
import { createLineServer, type LineServerOptions, type RunningLineServer, type ServerTls } from '#drivers/line/line-server.ts';
import type { PeerCertificate } from '#drivers/line/peer-certificate.ts';
import { openClusterCa, type ClusterCa, type ControllerTls } from '#drivers/pki/cluster-ca.ts';
import { createHostKey, createHostRequest } from '#drivers/pki/host-key.ts';

const hourMs = 3_600_000;
export const loopback = '127.0.0.1';

export type ServerKeys = ServerTls;

/** A cluster with a CA of its own, in a temporary folder. */
export class TestCluster {
  readonly ca: ClusterCa;
  readonly #dir: string;

  private constructor(ca: ClusterCa, dir: string) {
    this.ca = ca;
    this.#dir = dir;
  }

  /** Its CAs are as old as `sinceMs` says: two days, so that it can have issued certificates that have ended. */
  static async create(sinceMs: number = Date.now() - 48 * hourMs): Promise<TestCluster> {
    const dir = await mkdtemp(join(tmpdir(), 'plimsoll-line-'));
    return new TestCluster(await openClusterCa(dir, sinceMs), dir);
  }

  async remove(): Promise<void> {
    await rm(this.#dir, { recursive: true });
  }

  async host(hostId: string, dates: { readonly nowMs?: number; readonly lifetimeMs?: number } = {}): Promise<HostIdentity> {
    const privateKeyPem = createHostKey();
    const { certificatePem, intermediatesPem, notAfterMs } = await this.ca.issueHost({
      requestPem: await createHostRequest(hostId, privateKeyPem),
      hostId,
      addresses: { underlay: loopback, protected: loopback },
      lifetimeMs: dates.lifetimeMs ?? hourMs,
      nowMs: dates.nowMs ?? Date.now(),
    });
    return { hostId, certificatePem, privateKeyPem, caPem: this.ca.rootPem, intermediatesPem, crlPems: [], notAfterMs };
  }

  /** Certificate and key of a controller that is dialled at the loopback address, unless other addresses are named. */
  async controller(addresses: readonly string[] = [loopback]): Promise<ControllerTls> {
    return await this.ca.issueController({ names: [], addresses, lifetimeMs: hourMs, nowMs: Date.now() });
  }

  async listen(options: Partial<LineServerOptions> = {}): Promise<RunningLineServer> {
    return await createLineServer({
      listen: { address: loopback, port: 0 },
      tls: await this.controller(),
      join: () => Promise.reject(new Error('nobody joins in this test')),
      ...options,
    });
  }
}

export interface IncomingLine {
  readonly hostId: string;
  readonly line: Line;
  readonly certificate: PeerCertificate;
}

/** Lines as they come in, each to be taken once. */
export class Incoming {
  readonly #lines: IncomingLine[] = [];
  #wake: () => void = () => undefined;

  constructor(server: RunningLineServer) {
    server.onLine((hostId, line, certificate) => {
      this.#lines.push({ hostId, line, certificate });
      this.#wake();
    });
  }

  get waiting(): number {
    return this.#lines.length;
  }

  async next(): Promise<IncomingLine> {
    for (;;) {
      const first = this.#lines.shift();
      if (first !== undefined) return first;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export function closed(line: Line): Promise<string> {
  return new Promise((resolve) => line.onClose(resolve));
}

export function nextMessage(line: Line): Promise<unknown> {
  return new Promise((resolve) => line.onMessage(resolve));
}

/** Limits small enough that a silent peer is noticed within a test. */
export const quickLimits: Partial<LineLimits> = { pingIntervalMs: 20, deadPeerMs: 200, closeMsMax: 100 };

/** A wire that can go dead without closing: connections stay up and nothing passes any more. */
export class CuttableWire {
  readonly port: number;
  readonly #sockets: readonly Socket[];
  readonly #close: () => Promise<void>;

  private constructor(port: number, sockets: readonly Socket[], close: () => Promise<void>) {
    this.port = port;
    this.#sockets = sockets;
    this.#close = close;
  }

  static async to(targetPort: number): Promise<CuttableWire> {
    const sockets: Socket[] = [];
    const server = createServer((near) => {
      const far = connect(targetPort, loopback);
      for (const socket of [near, far]) {
        socket.on('error', () => socket.destroy());
        sockets.push(socket);
      }
      near.pipe(far);
      far.pipe(near);
    });
    server.listen(0, loopback);
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    return new CuttableWire(port, sockets, async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    });
  }

  cut(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  async close(): Promise<void> {
    await this.#close();
  }
}
