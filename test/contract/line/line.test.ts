import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostIdentity, Line } from '#core/ports.ts';
import { createDialer, type DialerOptions } from '#drivers/line/dialer.ts';
import { controllerName, type LineLimits } from '#drivers/line/limits.ts';
import type { RunningLineServer } from '#drivers/line/line-server.ts';
import { certificateFacts } from '#drivers/pki/certificate-facts.ts';
import { controllerName as issuedName } from '#drivers/pki/names.ts';
import { revocationCheck } from '#drivers/pki/revocation-list.ts';
import { closed, CuttableWire, Incoming, loopback, nextMessage, quickLimits, TestCluster } from './cluster.ts';

let cluster: TestCluster;
let server: RunningLineServer;
let incoming: Incoming;
let hostA: HostIdentity;
beforeEach(async () => {
  cluster = await TestCluster.create();
  server = await cluster.listen();
  incoming = new Incoming(server);
  hostA = await cluster.host('host-a');
});
afterEach(async () => {
  await server.close();
  await cluster.remove();
});

function dial(identity: HostIdentity, port = server.port, limits: Partial<LineLimits> = {}): Promise<Line> {
  const url = `https://${loopback}:${port}`;
  const isRevoked: DialerOptions['isRevoked'] = ({ crlPems }, certificate) => revocationCheck(crlPems)(certificate);
  return createDialer({ url, identity: () => identity, isRevoked, limits }).dial(AbortSignal.timeout(10_000));
}

async function restart(options: Parameters<TestCluster['listen']>[0]): Promise<void> {
  await server.close();
  server = await cluster.listen(options);
  incoming = new Incoming(server);
}

describe('a line between agent and controller', () => {
  it("takes the host's name from its certificate and carries JSON values both ways", async () => {
    const agent = await dial(hostA);
    const { hostId, line } = await incoming.next();
    expect(hostId).toBe('host-a');
    agent.send({ kind: 'sample', text: 'größe', list: [1, null] });
    expect(await nextMessage(line)).toEqual({ kind: 'sample', text: 'größe', list: [1, null] });
    line.send('welcome');
    expect(await nextMessage(agent)).toBe('welcome');
  });

  it('loses nothing that is sent before anyone listens, and keeps the order', async () => {
    const agent = await dial(hostA);
    const { line } = await incoming.next();
    for (let number = 0; number < 200; number += 1) line.send(number);
    // A turn of the other direction shows that the messages had time to arrive.
    agent.send('ping');
    await nextMessage(line);
    const received: unknown[] = [];
    await new Promise<void>((resolve) => {
      agent.onMessage((message) => {
        received.push(message);
        if (received.length === 200) resolve();
      });
    });
    expect(received).toEqual(Array.from({ length: 200 }, (_, number) => number));
  });

  it('tells both ends the reason of a close, once', async () => {
    const agent = await dial(hostA);
    const { line } = await incoming.next();
    const reasons: string[] = [];
    line.onClose((reason) => reasons.push(reason));
    line.onMessage(() => undefined);
    const atAgent = closed(agent);
    agent.onMessage(() => undefined);
    line.close('drained');
    line.close('again');
    expect(await atAgent).toBe('drained');
    expect(await closed(line)).toBe('drained');
    expect(reasons).toEqual(['drained']);
    expect(() => line.send('into the void')).not.toThrow();
  });

  it('closes the first line when the same host dials again', async () => {
    const first = await dial(hostA);
    first.onMessage(() => undefined);
    const { line: firstLine } = await incoming.next();
    const second = await dial(hostA);
    const { line: secondLine } = await incoming.next();
    expect(await closed(firstLine)).toBe('replaced');
    expect(await closed(first)).toBe('replaced');
    second.send('still here');
    expect(await nextMessage(secondLine)).toBe('still here');
  });

  it('hands over which certificate the host has shown, as the PKI knows it', async () => {
    await dial(hostA);
    const { certificate } = await incoming.next();
    const { serialNumber, authorityId, sha256, notAfterMs } = certificateFacts(hostA.certificatePem);
    expect(certificate).toMatchObject({ serialNumber, authorityId, sha256, notAfterMs });
  });

  it('keeps lines of different hosts apart', async () => {
    const first = await dial(hostA);
    const { line } = await incoming.next();
    await dial(await cluster.host('host-b'));
    expect((await incoming.next()).hostId).toBe('host-b');
    first.send('not replaced');
    expect(await nextMessage(line)).toBe('not replaced');
  });

  it('can be dialled again after the server restarted on its port', async () => {
    const agent = await dial(hostA);
    agent.onMessage(() => undefined);
    const { port } = server;
    const ended = closed(agent);
    await server.close();
    expect(await ended).toBe('server-closed');
    await expect(dial(hostA, port)).rejects.toMatchObject({ code: 'link-lost' });
    server = await cluster.listen({ listen: { address: loopback, port } });
    incoming = new Incoming(server);
    await dial(hostA, port);
    expect((await incoming.next()).hostId).toBe('host-a');
  });

  it('refuses to listen on a port that is taken', async () => {
    await expect(cluster.listen({ listen: { address: loopback, port: server.port } })).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('agrees with the PKI on the name of the controller', () => {
    expect(controllerName).toBe(issuedName);
  });
});

describe('dialling', () => {
  it('fails with link-lost at a dead port and at a port that never answers', async () => {
    const callers: Socket[] = [];
    const deaf = createServer((caller) => callers.push(caller));
    deaf.listen(0, loopback);
    await once(deaf, 'listening');
    const address = deaf.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const dialer = createDialer({ url: `https://${loopback}:${port}`, identity: () => hostA, dialMsMax: 100 });
    await expect(dialer.dial(new AbortController().signal)).rejects.toMatchObject({ code: 'link-lost' });
    const hurried = new AbortController();
    const waiting = createDialer({ url: `https://${loopback}:${port}`, identity: () => hostA }).dial(hurried.signal);
    hurried.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
    for (const caller of callers) caller.destroy();
    deaf.close();
    await once(deaf, 'close');
    await expect(dial(hostA, port)).rejects.toMatchObject({ code: 'link-lost' });
  });

  it('fails with link-lost while nobody at the controller takes lines yet', async () => {
    const early = await cluster.listen();
    try {
      await expect(dial(hostA, early.port)).rejects.toMatchObject({ code: 'link-lost' });
    } finally {
      await early.close();
    }
  });

  it('refuses a controller of another cluster', async () => {
    const other = await TestCluster.create();
    try {
      await restart({ tls: await other.controller() });
      await expect(dial(hostA)).rejects.toMatchObject({ code: 'link-lost' });
      expect(incoming.waiting).toBe(0);
    } finally {
      await other.remove();
    }
  });

  it('refuses a host of its own cluster that poses as the controller', async () => {
    await restart({ tls: await cluster.host('host-b') });
    await expect(dial(hostA)).rejects.toMatchObject({ code: 'link-lost' });
    expect(incoming.waiting).toBe(0);
  });

  it("refuses the controller's certificate at an address that is not in it", async () => {
    await restart({ tls: await cluster.controller(['192.0.2.1']) });
    await expect(dial(hostA)).rejects.toMatchObject({ code: 'link-lost' });
    await restart({ tls: await cluster.controller([loopback]) });
    await expect(dial(hostA)).resolves.toBeDefined();
  });
});

describe('a revoked certificate', () => {
  it('opens no line, by its number or by the name of its host, and says so; the same one did before', async () => {
    const { serialNumber, authorityId } = certificateFacts(hostA.certificatePem);
    const revoked = new Set<string>();
    await restart({ isRevoked: (host) => revoked.has(`${host.authorityId}/${host.serialNumber}`) || revoked.has(host.hostId) });
    await dial(hostA);
    await incoming.next();
    revoked.add(`${authorityId}/${serialNumber}`);
    await expect(dial(hostA)).rejects.toMatchObject({ code: 'link-lost', message: expect.stringContaining('revoked') as unknown });
    const again = await cluster.host('host-a');
    await dial(again);
    await incoming.next();
    revoked.add('host-a');
    await expect(dial(again)).rejects.toMatchObject({ code: 'link-lost' });
    await dial(await cluster.host('host-b'));
    expect((await incoming.next()).hostId).toBe('host-b');
    expect(incoming.waiting).toBe(0);
  });

  it('of the controller is refused by a host that has the list; without the list it is not', async () => {
    const tls = await cluster.controller();
    await restart({ tls });
    const { serialNumber, authorityId } = certificateFacts(tls.certificatePem);
    const { crlPems } = await cluster.ca.trust([{ serialNumber, authorityId, revokedAtMs: Date.now() }], Date.now());
    await expect(dial({ ...hostA, crlPems })).rejects.toMatchObject({ code: 'link-lost' });
    await expect(dial(hostA)).resolves.toBeDefined();
    server.setTls(await cluster.controller());
    await expect(dial({ ...hostA, crlPems })).resolves.toBeDefined();
  });
});

describe('a new certificate of the controller', () => {
  it('is shown from the next connection on, and no line is dropped', async () => {
    const agent = await dial(hostA);
    const { line } = await incoming.next();
    const reasons: string[] = [];
    line.onClose((reason) => reasons.push(reason));
    const [before, renewed] = [await shown(), await cluster.controller()];
    server.setTls(renewed);
    expect(await shown()).toBe(certificateFacts(renewed.certificatePem).sha256);
    expect(await shown()).not.toBe(before);
    agent.send('still here');
    expect(await nextMessage(line)).toBe('still here');
    await dial(await cluster.host('host-b'));
    expect((await incoming.next()).hostId).toBe('host-b');
    expect(reasons).toEqual([]);
  });

  it('that does not fit its key is refused, and the old one stays', async () => {
    const before = await shown();
    const [one, other] = [await cluster.controller(), await cluster.controller()];
    expect(() => server.setTls({ ...one, privateKeyPem: other.privateKeyPem })).toThrow(
      expect.objectContaining({ code: 'config-invalid' }) as Error,
    );
    expect(await shown()).toBe(before);
  });

  it('and of the host are taken from wherever they come from at each dial', async () => {
    const identities = [hostA, await cluster.host('host-a')];
    let used = 0;
    const dialer = createDialer({ url: `https://${loopback}:${server.port}`, identity: () => identities[used++] ?? hostA });
    for (const identity of identities) {
      await dialer.dial(AbortSignal.timeout(10_000));
      expect((await incoming.next()).certificate.sha256).toBe(certificateFacts(identity.certificatePem).sha256);
    }
  });

  it('is accepted by the root alone: the CA between may be one that the host has never seen', async () => {
    const old = await TestCluster.create(Date.now() - 25 * 24 * 3_600_000);
    try {
      const host = await old.host('host-a');
      expect(await old.ca.renewIntermediate(Date.now())).toBe(true);
      const tls = await old.controller();
      expect(tls.intermediatesPem).not.toBe(host.intermediatesPem);
      await restart({ tls });
      const listening = new Incoming(server);
      await dial(host);
      expect((await listening.next()).hostId).toBe('host-a');
    } finally {
      await old.remove();
    }
  });
});

/** SHA-256 of the certificate that the server shows now. */
async function shown(): Promise<string> {
  const socket = connect({ host: loopback, port: server.port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const raw = socket.getPeerX509Certificate()?.raw ?? new Uint8Array();
  socket.destroy();
  return createHash('sha256').update(raw).digest('hex');
}

describe('a line that goes wrong', () => {
  it('ends on both ends when the wire goes dead without a word', async () => {
    await restart({ limits: quickLimits });
    const wire = await CuttableWire.to(server.port);
    try {
      const agent = await dial(hostA, wire.port, quickLimits);
      const { line } = await incoming.next();
      const heard = nextMessage(line);
      agent.onMessage(() => undefined);
      agent.send('alive');
      expect(await heard).toBe('alive');
      wire.cut();
      expect(await Promise.all([closed(agent), closed(line)])).toEqual(['dead-peer', 'dead-peer']);
    } finally {
      await wire.close();
    }
  });

  it('stays open for as long as the pings pass, however quiet its owners are', async () => {
    await restart({ limits: quickLimits });
    const agent = await dial(hostA, server.port, quickLimits);
    const { line } = await incoming.next();
    const reasons: string[] = [];
    line.onClose((reason) => reasons.push(reason));
    line.onMessage(() => undefined);
    agent.onMessage(() => undefined);
    // Only a stretch of time can show that nothing happens in it: five times the dead-peer limit.
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, 1_000);
    await promise;
    expect(reasons).toEqual([]);
  });

  it("ends when the host's certificate does", async () => {
    await restart({ limits: quickLimits });
    const brief = await cluster.host('host-b', { lifetimeMs: 3_000 });
    const agent = await dial(brief, server.port, quickLimits);
    agent.onMessage(() => undefined);
    const { line } = await incoming.next();
    line.onMessage(() => undefined);
    expect(await closed(line)).toBe('certificate-expired');
    await expect(dial(brief)).rejects.toMatchObject({ code: 'link-lost' });
  });

  it('is closed, not thinned out, when its peer does not keep up', async () => {
    await restart({ limits: { ...quickLimits, deadPeerMs: 30_000, bufferedBytesMax: 1024 * 1024 } });
    await dial(hostA);
    const { line } = await incoming.next();
    const ended = closed(line);
    const block = 'x'.repeat(256 * 1024);
    // The agent reads nothing, so after the kernel's buffers the line's own fill up. After the end `send` does nothing.
    for (let sent = 0; sent < 1_000; sent += 1) line.send(block);
    expect(await ended).toBe('backpressure');
  });

  it('refuses to send what is no JSON value or too large, and stays open', async () => {
    await restart({ limits: { messageBytesMax: 1024 } });
    const agent = await dial(hostA);
    const { line } = await incoming.next();
    expect(() => line.send(undefined)).toThrow(expect.objectContaining({ code: 'message-invalid' }) as Error);
    expect(() => line.send('x'.repeat(2_000))).toThrow(expect.objectContaining({ code: 'message-invalid' }) as Error);
    line.send('fits');
    expect(await nextMessage(agent)).toBe('fits');
  });
});
