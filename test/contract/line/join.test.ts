import { createHash, webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as httpsRequest } from 'node:https';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { joinCluster, type JoinOptions } from '#drivers/line/join-cluster.ts';
import type { JoinReply, JoinRequest } from '#drivers/line/join-messages.ts';
import { serverLimits } from '#drivers/line/limits.ts';
import type { RunningLineServer } from '#drivers/line/line-server.ts';
import { createHostKey, createHostRequest } from '#drivers/pki/host-key.ts';
import { x509 } from '#drivers/pki/x509.ts';
import { loopback, TestCluster, type ServerKeys } from './cluster.ts';

const token = 'plimsoll-join-secret';
const ticketKeyPem = 'the key that signs tickets';
const signal = AbortSignal.timeout(60_000);

let cluster: TestCluster;
let server: RunningLineServer;
let answer: (request: JoinRequest, signal: AbortSignal) => Promise<unknown>;
beforeEach(async () => {
  cluster = await TestCluster.create();
  answer = issue;
  server = await cluster.listen({ join: (request, joinSignal) => answer(request, joinSignal) });
});
afterEach(async () => {
  await server.close();
  await cluster.remove();
});

async function issue(request: JoinRequest): Promise<JoinReply> {
  const { certificatePem, intermediatesPem } = await cluster.ca.issueHost({
    requestPem: request.requestPem,
    hostId: request.hostId,
    addresses: request.addresses,
    lifetimeMs: 3_600_000,
    nowMs: Date.now(),
  });
  const { crlPems } = await cluster.ca.trust([], Date.now());
  return { certificatePem, intermediatesPem, caPem: cluster.ca.rootPem, crlPems: [...crlPems], ticketKeyPem };
}

async function foreignIntermediate(request: JoinRequest): Promise<unknown> {
  const other = await TestCluster.create();
  const { intermediatesPem } = await other.host('host-a');
  await other.remove();
  return { ...(await issue(request)), intermediatesPem };
}

async function foreignRoot(request: JoinRequest): Promise<unknown> {
  const other = await TestCluster.create();
  await other.remove();
  return { ...(await issue(request)), caPem: other.ca.rootPem };
}

async function options(changes: Partial<JoinOptions> = {}): Promise<JoinOptions> {
  return {
    controllerUrl: `https://${loopback}:${server.port}`,
    token,
    hostId: 'host-a',
    addresses: { underlay: '192.0.2.1', protected: '198.51.100.1', interface: 'eth0' },
    requestPem: await createHostRequest('host-a', createHostKey()),
    caFingerprint: cluster.ca.fingerprint,
    ...changes,
  };
}

describe('joining a cluster', () => {
  it('sends token, request and addresses, and brings back certificate, CA and ticket key', async () => {
    const requests: JoinRequest[] = [];
    answer = (request) => {
      requests.push(request);
      return issue(request);
    };
    const wanted = await options({ caFingerprint: cluster.ca.fingerprint.toUpperCase().replace('SHA256', 'sha256') });
    const joined = await joinCluster(wanted, signal);
    expect(joined).toMatchObject({ caPem: cluster.ca.rootPem, controllerPublicKeyPem: ticketKeyPem });
    expect(joined.certificatePem).toContain('BEGIN CERTIFICATE');
    expect(joined.intermediatesPem).toContain('BEGIN CERTIFICATE');
    expect(joined.crlPems).toHaveLength(2);
    const { hostId, requestPem, addresses } = wanted;
    expect(requests).toEqual([{ token, hostId, requestPem, addresses }]);
  });

  it("hands on the controller's refusal with its code", async () => {
    answer = () => Promise.reject(new PlimsollError('token-expired', 'The token expired; create a new one.'));
    await expect(joinCluster(await options(), signal)).rejects.toMatchObject({
      code: 'token-expired',
      message: 'The token expired; create a new one.',
    });
  });

  it('says nothing of what went wrong inside the controller', async () => {
    answer = () => Promise.reject(new Error('SQLITE: /var/lib/secret'));
    await expect(joinCluster(await options(), signal)).rejects.toMatchObject({
      code: 'internal',
      message: expect.not.stringContaining('SQLITE') as unknown,
    });
  });

  it.each([
    ['nothing', () => Promise.resolve(null)],
    ['half a reply', () => Promise.resolve({ certificatePem: 'x' })],
    ['rubbish certificates', async (request: JoinRequest) => ({ ...(await issue(request)), certificatePem: 'x' })],
    ['the intermediate CA of another cluster', foreignIntermediate],
    ['the root of another cluster', foreignRoot],
    ['the certificate of another host', (request: JoinRequest) => issue({ ...request, hostId: 'host-b' })],
  ])('refuses a reply with %s', async (_what, wrong) => {
    answer = wrong;
    await expect(joinCluster(await options(), signal)).rejects.toMatchObject({ code: 'message-invalid' });
  });

  it('ends with the signal, and tells the controller', async () => {
    const giveUp = new AbortController();
    const told = new Promise((resolve) => {
      answer = (_request, joinSignal) =>
        new Promise((_resolve, reject) => {
          joinSignal.addEventListener('abort', () => {
            resolve('told');
            reject(new Error('gone'));
          });
          giveUp.abort();
        });
    });
    await expect(joinCluster(await options(), giveUp.signal)).rejects.toMatchObject({ code: 'aborted' });
    expect(await told).toBe('told');
  });

  it('fails with link-lost at a dead port and with input-invalid on a bad fingerprint', async () => {
    const { port } = server;
    await expect(joinCluster(await options({ caFingerprint: 'sha256:12' }), signal)).rejects.toMatchObject({ code: 'input-invalid' });
    await server.close();
    await expect(joinCluster(await options({ controllerUrl: `https://${loopback}:${port}` }), signal)).rejects.toMatchObject({
      code: 'link-lost',
    });
  });
});

describe('a stranger at the join door', () => {
  it('gets a 4xx with code and sentence for rubbish, unknown fields and an oversized body', async () => {
    let called = false;
    answer = () => {
      called = true;
      return Promise.resolve({});
    };
    const { addresses, hostId, requestPem } = await options();
    const bodies = [
      '',
      'rubbish',
      '[]',
      JSON.stringify({ token, hostId, requestPem }),
      JSON.stringify({ token, hostId, requestPem, addresses, admin: true }),
      'x'.repeat(40_000),
    ];
    for (const body of bodies) expect(await post(body)).toMatchObject({ status: 400, body: { code: 'message-invalid' } });
    expect(called).toBe(false);
  });

  it('is told to come back when too many are joining at once, and is served when they are done', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    answer = async () => {
      await promise;
      return {};
    };
    const { addresses, hostId, requestPem } = await options();
    const body = JSON.stringify({ token, hostId, requestPem, addresses });
    const posts = Array.from({ length: serverLimits.joinsInFlightMax + 1 }, () => post(body));
    const first = await Promise.race(posts);
    resolve();
    expect(first).toMatchObject({ status: 503, body: { code: 'link-lost' } });
    expect((await Promise.all(posts)).filter(({ status }) => status === 200)).toHaveLength(serverLimits.joinsInFlightMax);
    expect(await post(body)).toMatchObject({ status: 200 });
  });
});

describe('somebody between a joining host and the controller', () => {
  let stranger: TestCluster;
  beforeEach(async () => {
    stranger = await TestCluster.create();
  });
  afterEach(async () => {
    await stranger.remove();
  });

  it('does not get the token with a CA of its own; a host that pins that CA would send it', async () => {
    const keys = await stranger.controller();
    expect(await heardBy(keys, cluster.ca.fingerprint)).toEqual({ code: 'config-invalid', heard: '' });
    expect((await heardBy(keys, stranger.ca.fingerprint)).heard).toContain(token);
  });

  it("does not get the token with a host's certificate of the right cluster", async () => {
    const keys = await cluster.host('host-b');
    expect(await heardBy(keys, cluster.ca.fingerprint)).toEqual({ code: 'config-invalid', heard: '' });
    expect((await heardBy(await cluster.controller(), cluster.ca.fingerprint)).heard).toContain(token);
  });

  it("does not get the token by showing the right CA behind a certificate that names it but has another's signature", async () => {
    const keys = await forgedController(await cluster.controller());
    expect(await heardBy(keys, cluster.ca.fingerprint)).toEqual({ code: 'config-invalid', heard: '' });
  });
});

/** A certificate for the controller that claims the cluster's intermediate as its issuer and is signed by a key of the attacker. */
async function forgedController({ intermediatesPem, caPem }: ServerKeys): Promise<ServerKeys> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const own = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const forger = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: ['plimsoll-controller'] }],
    issuer: new x509.X509Certificate(intermediatesPem).subjectName,
    publicKey: own.publicKey,
    signingKey: forger.privateKey,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: loopback }])],
  });
  const key = await webcrypto.subtle.exportKey('pkcs8', own.privateKey);
  const privateKeyPem = x509.PemConverter.encode(key, 'PRIVATE KEY');
  return { certificatePem: certificate.toString('pem'), privateKeyPem, intermediatesPem, caPem };
}

/** Lets a host with this pin join at a server with these keys; returns all the server could read, and the host's error. */
async function heardBy(keys: ServerKeys, caFingerprint: string): Promise<{ readonly code: unknown; readonly heard: string }> {
  let heard = '';
  const trap = createServer({ cert: [keys.certificatePem, keys.intermediatesPem, keys.caPem].join('\n'), key: keys.privateKeyPem });
  trap.on('tlsClientError', () => undefined);
  trap.on('secureConnection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
    });
  });
  trap.on('request', (_request, response) => response.writeHead(403).end('{}'));
  trap.listen(0, loopback);
  await once(trap, 'listening');
  const address = trap.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    await joinCluster(await options({ controllerUrl: `https://${loopback}:${port}`, caFingerprint }), signal);
    return { code: null, heard };
  } catch (error) {
    return { code: error instanceof PlimsollError ? error.code : error, heard };
  } finally {
    const ended = once(trap, 'close');
    trap.close();
    trap.closeAllConnections();
    await ended;
  }
}

async function post(text: string): Promise<{ readonly status: number | undefined; readonly body: unknown }> {
  const request = httpsRequest({
    host: loopback,
    port: server.port,
    path: '/v1/join',
    method: 'POST',
    ca: cluster.ca.rootPem,
    agent: false,
  });
  return await new Promise((resolve, reject) => {
    request.on('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () => resolve({ status: response.statusCode, body: JSON.parse(Buffer.concat(chunks).toString()) as unknown }));
    });
    request.end(text);
  });
}

it('the fingerprint is the SHA-256 of the DER that openssl and browsers show', () => {
  const der = new x509.X509Certificate(cluster.ca.rootPem).rawData;
  expect(cluster.ca.fingerprint).toBe(`sha256:${createHash('sha256').update(new Uint8Array(der)).digest('hex')}`);
});
