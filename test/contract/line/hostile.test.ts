import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket, type ClientOptions } from 'ws';
import type { HostIdentity } from '#core/ports.ts';
import type { RunningLineServer } from '#drivers/line/line-server.ts';
import { closed, Incoming, loopback, nextMessage, TestCluster } from './cluster.ts';

let cluster: TestCluster;
let stranger: TestCluster;
let server: RunningLineServer;
let incoming: Incoming;
beforeEach(async () => {
  [cluster, stranger] = await Promise.all([TestCluster.create(), TestCluster.create()]);
  server = await cluster.listen({ limits: { messageBytesMax: 64 * 1024, closeMsMax: 200 } });
  incoming = new Incoming(server);
});
afterEach(async () => {
  await server.close();
  await Promise.all([cluster.remove(), stranger.remove()]);
});

type Shown = Pick<HostIdentity, 'certificatePem' | 'intermediatesPem' | 'privateKeyPem'>;

function rawOptions(identity: Shown | null): ClientOptions {
  const own = identity === null ? {} : { cert: identity.certificatePem + identity.intermediatesPem, key: identity.privateKeyPem };
  return { ca: cluster.ca.rootPem, perMessageDeflate: false, ...own };
}

/** The status with which an upgrade is answered: 101 when the line opens. */
async function upgradeStatus(identity: Shown | null, path = '/v1/agent', options: ClientOptions = {}): Promise<number | string> {
  const socket = new WebSocket(`wss://${loopback}:${server.port}${path}`, { ...rawOptions(identity), ...options });
  try {
    return await new Promise<number | string>((resolve) => {
      socket.once('open', () => resolve(101));
      socket.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
      socket.once('unexpected-response', (_request, response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
    });
  } finally {
    socket.on('error', () => undefined);
    socket.terminate();
  }
}

async function rawSocket(): Promise<WebSocket> {
  const socket = new WebSocket(`wss://${loopback}:${server.port}/v1/agent`, rawOptions(await cluster.host('host-a')));
  socket.on('error', () => undefined);
  await once(socket, 'open');
  return socket;
}

describe("the controller's door", () => {
  it('opens for a host of the cluster', async () => {
    expect(await upgradeStatus(await cluster.host('host-a'))).toBe(101);
  });

  it('stays shut without a certificate', async () => {
    expect(await upgradeStatus(null)).toBe(401);
    expect(incoming.waiting).toBe(0);
  });

  it('stays shut for the same host name under another CA', async () => {
    expect(await upgradeStatus(await stranger.host('host-a'))).toBe(401);
    expect(incoming.waiting).toBe(0);
  });

  it('stays shut for a host that does not show which CA signed its certificate, and for one that shows a CA of its own', async () => {
    const host = await cluster.host('host-a');
    expect(await upgradeStatus({ ...host, intermediatesPem: '' })).toBe(401);
    expect(await upgradeStatus({ ...host, intermediatesPem: (await stranger.host('host-a')).intermediatesPem })).toBe(401);
    expect(await upgradeStatus(host)).toBe(101);
  });

  it('stays shut for the key of receipts, which has a certificate too', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const issued = await cluster.ca.issueSigner(publicKey.export({ format: 'pem', type: 'spki' }).toString(), Date.now());
    const privateKeyPem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    expect(await upgradeStatus({ ...issued, privateKeyPem })).toBe(401);
    expect(incoming.waiting).toBe(0);
  });

  it('stays shut for an expired certificate and one that is not valid yet', async () => {
    const dayMs = 24 * 3_600_000;
    expect(await upgradeStatus(await cluster.host('host-a', { nowMs: Date.now() - dayMs }))).toBe(401);
    expect(await upgradeStatus(await cluster.host('host-a', { nowMs: Date.now() + dayMs }))).toBe(401);
    expect(incoming.waiting).toBe(0);
  });

  it("stays shut for the controller's own certificate", async () => {
    expect(await upgradeStatus(await cluster.controller())).toBe(401);
    expect(incoming.waiting).toBe(0);
  });

  it('does not speak TLS 1.2', async () => {
    const status = await upgradeStatus(await cluster.host('host-a'), '/v1/agent', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
    expect(status).toBe('EPROTO');
  });

  it('answers everything else with a status and JSON', async () => {
    expect(await upgradeStatus(await cluster.host('host-a'), '/v1/other')).toBe(404);
    expect(await get('/v1/agent')).toMatchObject({ status: 426, body: { code: 'input-invalid' } });
    expect(await get('/v1/join')).toMatchObject({ status: 405, body: { code: 'input-invalid' } });
    expect(await get('/')).toMatchObject({ status: 404, body: { code: 'input-invalid' } });
    expect(await get('/../../etc/passwd')).toMatchObject({ status: 404, body: { code: 'input-invalid' } });
  });
});

describe('a hostile message', () => {
  it.each([
    ['text that is not JSON', '{"kind":'],
    ['an empty message', ''],
    ['a binary message', Buffer.from([0, 1, 2])],
  ])('closes the line with message-invalid: %s', async (_what, message) => {
    const socket = await rawSocket();
    const { line } = await incoming.next();
    const seen: unknown[] = [];
    line.onMessage((value) => seen.push(value));
    socket.send(message);
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([1007, 'message-invalid']);
    expect(await closed(line)).toBe('message-invalid');
    expect(seen).toEqual([]);
  });

  it('closes the line when it is larger than the limit, and passes one byte below', async () => {
    const socket = await rawSocket();
    const { line } = await incoming.next();
    const first = nextMessage(line);
    socket.send(JSON.stringify('x'.repeat(64 * 1024 - 2)));
    expect(await first).toHaveLength(64 * 1024 - 2);
    socket.send(JSON.stringify('x'.repeat(64 * 1024 - 1)));
    expect(await closed(line)).toBe('message-too-large');
  });

  it('leaves the server ready for the next line', async () => {
    const socket = await rawSocket();
    const { line } = await incoming.next();
    line.onMessage(() => undefined);
    socket.send('rubbish');
    expect(await closed(line)).toBe('message-invalid');
    const again = await rawSocket();
    const next = await incoming.next();
    again.send('"hello"');
    expect(await nextMessage(next.line)).toBe('hello');
    again.terminate();
  });

  it('ends the line when the connection is cut in the middle of a frame', async () => {
    const socket = await rawSocket();
    const { line } = await incoming.next();
    line.onMessage(() => undefined);
    socket.terminate();
    expect(await closed(line)).toBe('link-lost');
  });
});

async function get(path: string): Promise<{ readonly status: number | undefined; readonly body: unknown }> {
  const request = httpsRequest({ host: loopback, port: server.port, path, ca: cluster.ca.rootPem, agent: false });
  return await new Promise((resolve, reject) => {
    request.on('error', reject);
    request.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.once('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) as unknown }));
    });
    request.end();
  });
}
