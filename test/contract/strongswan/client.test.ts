import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ViciClient } from '#drivers/strongswan/client.ts';
import type { StrongswanError } from '#drivers/strongswan/errors.ts';
import { Session } from '#drivers/strongswan/session.ts';
import { unixSocket } from '#drivers/strongswan/transport.ts';
import type { CharonPair } from './charon-pair.ts';
import { type Identities, createIdentities } from './identities.ts';
import { implementations } from './implementations.ts';
import { createHostKey } from './test-pki.ts';
import { until } from '#test/support/until.ts';

for (const implementation of implementations) {
  describe.runIf(implementation.usable)(`the VICI client against ${implementation.title}`, () => {
    let pair: CharonPair;
    let identities: Identities;
    const clients: { close(): void }[] = [];
    const newClient = (): ViciClient => {
      const client = new ViciClient(unixSocket(pair.a.socketPath));
      clients.push(client);
      return client;
    };
    const newSession = (): Session => {
      const session = new Session(unixSocket(pair.a.socketPath));
      clients.push(session);
      return session;
    };

    beforeAll(async () => {
      [pair, identities] = await Promise.all([implementation.start(), createIdentities()]);
    });
    afterEach(() => {
      for (const client of clients.splice(0)) client.close();
    });
    afterAll(async () => {
      await pair.stop();
    });

    it('tells the version and the loaded plugins', async () => {
      const client = newClient();
      expect(await client.version()).toMatchObject({ daemon: 'charon', version: expect.stringMatching(/^5\.9\./) as unknown });
      const stats = await client.stats();
      expect(stats.plugins).toContain('vici');
      expect(stats.workersTotal).toBeGreaterThanOrEqual(16);
      expect(stats.ikeSasTotal).toBe(0);
    });

    it('loads, lists and unloads a private key', async () => {
      const client = newClient();
      const id = await client.loadKey(createHostKey());
      expect(id).toMatch(/^[0-9a-f]{40}$/);
      expect(await client.getKeys()).toContain(id);
      await client.unloadKey(id);
      expect(await client.getKeys()).not.toContain(id);
      await expect(client.unloadKey(id)).rejects.toMatchObject({ code: 'strongswan-command-failed' });
    });

    it('refuses a key and a certificate that are none', async () => {
      const client = newClient();
      await expect(client.loadKey('no key')).rejects.toMatchObject({ code: 'strongswan-command-failed', command: 'load-key' });
      await expect(client.loadCert('no certificate')).rejects.toMatchObject({ code: 'strongswan-command-failed' });
      await client.loadCert((await identities.of('host-a')).certificatePem);
    });

    it('takes a revocation list, and forgets what it found good before', async () => {
      const client = newClient();
      const [list = ''] = (await identities.of('host-a')).crlPems;
      await client.loadCrl(new Uint8Array(Buffer.from(list.replaceAll(/-----.*-----|\s/g, ''), 'base64')));
      await client.flushCerts();
    });

    it('loads, lists and unloads a shared key, and forgets all credentials at once', async () => {
      const client = newClient();
      await client.loadShared({ id: 'one', type: 'IKE', data: Buffer.from('correct horse'), owners: ['host-a', 'host-b'] });
      await client.loadShared({ id: 'two', type: 'PPK', data: Uint8Array.of(0, 255, 128), owners: ['host-c'] });
      expect([...(await client.getShared())].toSorted()).toEqual(['one', 'two']);
      await client.unloadShared('one');
      expect(await client.getShared()).toEqual(['two']);
      await client.loadKey(createHostKey());
      await client.clearCreds();
      expect([await client.getShared(), await client.getKeys()]).toEqual([[], []]);
    });

    it('loads, describes and unloads a connection', async () => {
      const client = newClient();
      const children = { net: { mode: 'tunnel', local_ts: ['10.1.0.0/24'], remote_ts: ['10.2.0.0/24'] } };
      const ends = { local: { auth: 'psk', id: 'a' }, remote: { auth: 'psk', id: 'b' } };
      await client.loadConn('site', { version: '2', remote_addrs: ['192.0.2.1'], ...ends, children });
      expect(await client.getConns()).toEqual(['site']);
      const site = (await client.listConns()).get('site');
      expect(site?.texts('remote_addrs')).toEqual(['192.0.2.1']);
      expect(site?.fields('children').fields('net').texts('remote-ts').length ?? 0).toBeLessThanOrEqual(1);
      await client.unloadConn('site');
      expect(await client.getConns()).toEqual([]);
    });

    it("says in charon's words why a connection was refused", async () => {
      const client = newClient();
      const wrong = client.loadConn('wrong', { children: { net: { mode: 'sideways' } } });
      await expect(wrong).rejects.toMatchObject({
        code: 'strongswan-command-failed',
        daemonMessage: expect.stringContaining('mode') as unknown,
      });
      await expect(client.unloadConn('wrong')).rejects.toMatchObject({ code: 'strongswan-command-failed' });
      await expect(client.initiate({ ike: 'wrong', child: 'net' }, { timeoutMs: 1_000 })).rejects.toMatchObject({
        code: 'strongswan-command-failed',
        daemonMessage: "CHILD_SA config 'net' not found",
      });
      await expect(client.terminate({ ike: 'wrong' }, { timeoutMs: 1_000 })).rejects.toMatchObject({ code: 'strongswan-command-failed' });
      await expect(client.rekey({ ike: 'wrong' })).rejects.toMatchObject({ code: 'strongswan-command-failed' });
      expect(await client.listSas()).toEqual([]);
    });

    it('tells an unknown command and an unknown event apart from a failed one', async () => {
      const session = newSession();
      await expect(session.call('no-such-command')).rejects.toMatchObject({ code: 'strongswan-unknown-command' });
      await expect(session.subscribe('no-such-event', () => undefined).ready).rejects.toMatchObject({ code: 'strongswan-unknown-event' });
      expect((await session.call('version'))['daemon']).toBe('charon');
    });

    it('gives each of many simultaneous calls its own answer', async () => {
      const client = newClient();
      const rounds = Array.from({ length: 20 }, () => Promise.all([client.version(), client.getConns(), client.listSas()]));
      for (const [version, conns, sas] of await Promise.all(rounds)) {
        expect(version.daemon).toBe('charon');
        expect([conns, sas]).toEqual([[], []]);
      }
      expect(client.generation).toBe(1);
    });

    it('delivers log events until it is told to stop', async () => {
      const client = newClient();
      const lines: string[] = [];
      const log = client.onLog((line) => lines.push(line.text));
      await log.ready;
      const load = async (): Promise<void> => client.unloadKey(await client.loadKey(createHostKey()));
      await load();
      await until('the log line', () => Promise.resolve(lines.includes('loaded ANY private key')));
      log.stop();
      const count = lines.length;
      await load();
      expect(lines).toHaveLength(count);
    });

    it('keeps the order of replies after a call that timed out', async () => {
      const client = newClient();
      await client.version();
      const thaw = await pair.a.freezeCharon();
      try {
        const late = client.version({ deadlineMs: 150 });
        const waiting = client.getConns();
        await expect(late).rejects.toMatchObject({ code: 'strongswan-timed-out', command: 'version' });
        thaw();
        expect(await waiting).toEqual([]);
        expect((await client.stats()).plugins).toContain('vici');
        expect(client.generation).toBe(2);
      } finally {
        thaw();
      }
    });

    it('keeps the order of replies after a call that was aborted', async () => {
      const client = newClient();
      await client.version();
      const thaw = await pair.a.freezeCharon();
      try {
        const controller = new AbortController();
        const aborted = client.version({ signal: controller.signal });
        const waiting = client.stats();
        controller.abort(new Error('changed my mind'));
        await expect(aborted).rejects.toMatchObject({ code: 'strongswan-aborted' });
        thaw();
        expect((await waiting).plugins).toContain('vici');
        expect(await client.getConns()).toEqual([]);
      } finally {
        thaw();
      }
    });

    it('bounds the calls that last', async () => {
      const client = newClient();
      const thaw = await pair.a.freezeCharon();
      try {
        const lasting = Array.from({ length: 9 }, () => client.terminate({ ike: 'none' }, { timeoutMs: 1_000 }));
        const outcomes = Promise.allSettled(lasting);
        await expect(lasting[8]).rejects.toMatchObject({ code: 'strongswan-queue-full' });
        thaw();
        const codes = (await outcomes).map((outcome) =>
          outcome.status === 'rejected' ? (outcome.reason as StrongswanError).code : 'done',
        );
        expect(codes.filter((code) => code === 'strongswan-command-failed')).toHaveLength(8);
      } finally {
        thaw();
      }
    });

    it('finds a restarted daemon by itself and goes on delivering events', async () => {
      const client = newClient();
      const states: string[] = [];
      client.onState((state) => states.push(state.kind));
      const lines: string[] = [];
      await client.onLog((line) => lines.push(line.text)).ready;
      await pair.a.killCharon();
      await expect(client.version()).rejects.toMatchObject({
        code: expect.stringMatching(/^strongswan-(unreachable|connection-lost)$/) as unknown,
      });
      await pair.a.startCharon();
      await until('the new connection', () => Promise.resolve(client.generation === 2));
      await client.loadKey(createHostKey());
      await until('the log line', () => Promise.resolve(lines.includes('loaded ANY private key')));
      expect(states).toEqual(['connected', 'lost', 'connected']);
    });
  });
}
