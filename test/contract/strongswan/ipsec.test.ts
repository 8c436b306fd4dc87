import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SecurityAssociation } from '#core/model/channel.ts';
import type { HostIdentity, Ipsec } from '#core/ports.ts';
import { ViciClient } from '#drivers/strongswan/client.ts';
import { connectionConfig } from '#drivers/strongswan/connection-config.ts';
import { createStrongswanIpsec } from '#drivers/strongswan/ipsec.ts';
import { unixSocket } from '#drivers/strongswan/transport.ts';
import { type CharonHost, type CharonPair, channelPeer } from './charon-pair.ts';
import { type Identities, createIdentities } from './identities.ts';
import { implementations } from './implementations.ts';
import { until } from '#test/support/until.ts';

const soon = (): AbortSignal => AbortSignal.timeout(20_000);

for (const implementation of implementations) {
  describe.runIf(implementation.usable)(`the Ipsec port on ${implementation.title}`, () => {
    let pair: CharonPair;
    let identities: Identities;
    let identityA: HostIdentity;
    let identityB: HostIdentity;
    let a: Ipsec;
    let b: Ipsec;
    const changes: string[] = [];
    const opened: Ipsec[] = [];
    const ipsecOn = (host: CharonHost, establishTimeoutMs = 5_000): Ipsec => {
      const ipsec = createStrongswanIpsec({ socketPath: host.socketPath, establishTimeoutMs });
      ipsec.onSaChange((change) => changes.push(`${host.name}: ${change.peerHostId} ${change.up ? 'up' : 'down'}`));
      opened.push(ipsec);
      return ipsec;
    };
    const toB = (): ReturnType<typeof channelPeer> => channelPeer(pair.a, pair.b);
    const toA = (): ReturnType<typeof channelPeer> => channelPeer(pair.b, pair.a);
    const open = async (): Promise<void> => {
      a = ipsecOn(pair.a);
      b = ipsecOn(pair.b);
      await Promise.all([a.prepare(toB(), identityA, soon()), b.prepare(toA(), identityB, soon())]);
    };
    const only = async (ipsec: Ipsec): Promise<SecurityAssociation> => {
      const [sa, ...others] = await ipsec.listSas(soon());
      expect(others).toEqual([]);
      if (sa === undefined) throw new Error('there is no SA');
      return sa;
    };
    const changed = (change: string): Promise<void> => until(change, () => Promise.resolve(changes.includes(change)));

    beforeAll(async () => {
      [pair, identities] = await Promise.all([implementation.start(), createIdentities()]);
      [identityA, identityB] = await Promise.all([identities.of('host-a'), identities.of('host-b')]);
    });
    afterEach(async () => {
      for (const ipsec of opened.splice(0)) await ipsec.close();
      for (const [host, peer] of [
        [pair.a, pair.b],
        [pair.b, pair.a],
      ] as const) {
        const cleaner = createStrongswanIpsec({ socketPath: host.socketPath });
        await cleaner.remove(peer.name, soon());
        await cleaner.close();
      }
      changes.length = 0;
    });
    afterAll(async () => {
      await pair.stop();
      await identities.remove();
    });

    it('tells version and backend', async () => {
      const ipsec = ipsecOn(pair.a);
      expect(await ipsec.version(soon())).toMatch(/^strongSwan 5\.9\./);
      expect(await ipsec.backend(soon())).toBe('libipsec');
    });

    it('establishes a tunnel between exactly these two hosts, seen alike from both ends', async () => {
      await open();
      const made = await a.establish(toB(), soon());
      expect(made).toMatchObject({
        peerHostId: 'host-b',
        state: 'installed',
        mode: 'tunnel',
        udpEncapsulated: true,
        encryption: 'AES_GCM_16-256',
        integrity: null,
        keyExchange: 'ECP_384',
        bytesIn: 0,
        packetsOut: 0,
      });
      expect(made.spiIn).toMatch(/^[0-9a-f]{8}$/);
      const theirs = await only(b);
      expect([theirs.peerHostId, theirs.spiIn, theirs.spiOut]).toEqual(['host-a', made.spiOut, made.spiIn]);
      await Promise.all([changed('host-a: host-b up'), changed('host-b: host-a up')]);
    });

    it('counts what goes through the SA', async () => {
      await open();
      await a.establish(toB(), soon());
      await pair.a.send(pair.b, 7);
      await until('7 packets at the receiver', async () => (await only(b)).packetsIn >= 7);
      const [sender, receiver] = [await only(a), await only(b)];
      expect(sender.packetsOut).toBe(7);
      expect(receiver.packetsIn).toBe(7);
      expect(receiver.bytesIn).toBe(sender.bytesOut);
      expect(sender.bytesOut).toBeGreaterThan(7 * 28);
    });

    it('keeps the SA that is there, also for simultaneous callers', async () => {
      await open();
      const [one, two] = await Promise.all([a.establish(toB(), soon()), a.establish(toB(), soon())]);
      const three = await a.establish(toB(), soon());
      expect([two.spiIn, three.spiIn]).toEqual([one.spiIn, one.spiIn]);
      expect((await b.establish(toA(), soon())).spiIn).toBe(one.spiOut);
    });

    it('rekeys without telling that the SA went away', async () => {
      await open();
      const before = await a.establish(toB(), soon());
      await changed('host-a: host-b up');
      const client = new ViciClient(unixSocket(pair.a.socketPath));
      const rekeyed: string[] = [];
      await client.onChildRekey((change) => rekeyed.push(change.ikeName, change.old.spiIn, change.new.spiIn)).ready;
      await client.onIkeRekey((change) => rekeyed.push(change.oldUniqueId, change.newUniqueId)).ready;
      expect(await client.rekey({ ike: 'plimsoll-host-b', child: 'channel' })).toBe(1);
      await until('the rekeying', () => Promise.resolve(rekeyed.length === 3));
      expect(rekeyed.slice(0, 2)).toEqual(['plimsoll-host-b', before.spiIn]);
      // charon keeps the old CHILD_SA for 5 s more, for packets that are still under way.
      const installed = async (): Promise<readonly SecurityAssociation[]> =>
        (await a.listSas(soon())).filter((sa) => sa.state === 'installed');
      await until('the new SA alone', async () => (await installed()).map((sa) => sa.spiIn).join() === rekeyed[2]);
      expect(await client.rekey({ ike: 'plimsoll-host-b' })).toBe(1);
      await until('the rekeying of the IKE_SA', () => Promise.resolve(rekeyed.length === 5));
      expect(rekeyed[3]).toBe(before.ikeUniqueId);
      client.close();
      await until('the new IKE_SA', async () => (await a.listSas(soon())).every((sa) => sa.ikeUniqueId === rekeyed[4]));
      expect((await installed()).map((sa) => sa.spiIn)).toEqual([rekeyed[2]]);
      expect(changes).toEqual(expect.not.arrayContaining(['host-a: host-b down', 'host-b: host-a down']));
    });

    it('removes the SA and the connection on its side, and tells both; twice is fine', async () => {
      await open();
      await a.establish(toB(), soon());
      await Promise.all([changed('host-a: host-b up'), changed('host-b: host-a up')]);
      await b.remove('host-a', soon());
      await b.remove('host-a', soon());
      await Promise.all([changed('host-a: host-b down'), changed('host-b: host-a down')]);
      await until('no SA on the other side', async () => (await a.listSas(soon())).length === 0);
      await expect(a.establish(toB(), soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      await expect(b.establish(toA(), soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
    });

    it('refuses a peer whose certificate another CA signed, while the right certificate is accepted', async () => {
      await open();
      await a.prepare(toB(), await identities.rogue('host-a'), soon());
      await expect(a.establish(toB(), soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      expect([await a.listSas(soon()), await b.listSas(soon())]).toEqual([[], []]);
      await a.prepare(toB(), identityA, soon());
      expect((await a.establish(toB(), soon())).state).toBe('installed');
    });

    it('refuses another host of the same cluster at this address', async () => {
      await open();
      await b.prepare(toA(), await identities.of('host-c'), soon());
      await expect(a.establish(toB(), soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      expect([await a.listSas(soon()), await b.listSas(soon())]).toEqual([[], []]);
    });

    it('gives up on a silent peer at its deadline, and leaves nothing half-made', async () => {
      await open();
      await pair.b.killCharon();
      const quick = ipsecOn(pair.a, 500);
      await quick.prepare(toB(), identityA, soon());
      const startedMs = performance.now();
      await expect(quick.establish(toB(), soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      expect(performance.now() - startedMs).toBeLessThan(3_000);
      const client = new ViciClient(unixSocket(pair.a.socketPath));
      expect(await client.listSas()).toEqual([]);
      client.close();
      await pair.b.startCharon();
    });

    it('stops an establish that is aborted', async () => {
      await open();
      await pair.b.killCharon();
      const controller = new AbortController();
      const establishing = a.establish(toB(), controller.signal);
      const client = new ViciClient(unixSocket(pair.a.socketPath));
      await until('a half-made IKE_SA', async () => (await client.listSas()).length > 0);
      controller.abort();
      await expect(establishing).rejects.toMatchObject({ code: 'aborted' });
      expect(await client.listSas()).toEqual([]);
      client.close();
      await pair.b.startCharon();
    });

    it('tells that SAs are gone with a killed daemon, and gives a restarted one its connections again', async () => {
      await open();
      const before = await a.establish(toB(), soon());
      await changed('host-b: host-a up');
      await pair.b.killCharon();
      await changed('host-b: host-a down');
      await expect(b.listSas(soon())).rejects.toMatchObject({ code: 'ipsec-unavailable' });
      await expect(b.prepare(toA(), identityB, soon())).rejects.toMatchObject({ code: 'ipsec-unavailable' });
      await pair.b.startCharon();
      const client = new ViciClient(unixSocket(pair.b.socketPath));
      await until('the connection', async () => (await client.getConns()).includes('plimsoll-host-a'));
      client.close();
      const after = await b.establish(toA(), soon());
      expect(after.spiIn).not.toBe(before.spiOut);
    });

    it('makes a new SA after remove, when the old one looks alive because the peer died silently', async () => {
      await open();
      const stale = await a.establish(toB(), soon());
      await pair.b.killCharon();
      await pair.b.startCharon();
      await b.prepare(toA(), identityB, soon());
      expect((await a.establish(toB(), soon())).spiIn).toBe(stale.spiIn);
      await a.remove('host-b', soon());
      await a.prepare(toB(), identityA, soon());
      const made = await a.establish(toB(), soon());
      expect((await only(b)).spiIn).toBe(made.spiOut);
    });

    it('makes a connection that charon accepts for either backend', async () => {
      const client = new ViciClient(unixSocket(pair.a.socketPath));
      for (const backend of ['kernel', 'libipsec'] as const) {
        await client.loadConn('plimsoll-host-b', connectionConfig(toB(), identityA, backend));
        expect(await client.getConns()).toEqual(['plimsoll-host-b']);
      }
      client.close();
    });

    it("loads again what an operator's swanctl took away", async () => {
      await open();
      const client = new ViciClient(unixSocket(pair.a.socketPath));
      await client.unloadConn('plimsoll-host-b');
      await client.clearCreds();
      client.close();
      expect((await a.establish(toB(), soon())).state).toBe('installed');
    });

    it('unloads connections and keys at the end, and lets running SAs live', async () => {
      await open();
      await a.establish(toB(), soon());
      await a.close();
      await a.close();
      const client = new ViciClient(unixSocket(pair.a.socketPath));
      expect([await client.getConns(), await client.getKeys()]).toEqual([[], []]);
      expect(await client.listSas()).toHaveLength(1);
      client.close();
      await expect(a.listSas(soon())).rejects.toMatchObject({ code: 'ipsec-unavailable' });
    });

    it('can be made before the daemon is there', async () => {
      await pair.a.killCharon();
      const early = ipsecOn(pair.a);
      await expect(early.version(soon())).rejects.toMatchObject({ code: 'ipsec-unavailable' });
      await pair.a.startCharon();
      expect(await early.listSas(soon())).toEqual([]);
    });

    it('refuses what cannot be a peer, and a certificate without the name of its host', async () => {
      await open();
      for (const peerHostId of ['*', '%any', 'a b', '', 'Host-B', 'x'.repeat(65)]) {
        await expect(a.prepare({ ...toB(), peerHostId }, identityA, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      }
      const wrongAddress = { ...toB(), peerAddresses: { ...toB().peerAddresses, underlay: '%any' } };
      await expect(a.prepare(wrongAddress, identityA, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      await expect(a.prepare(toB(), { ...identityA, hostId: 'host-x' }, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      await expect(a.establish(wrongAddress, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
    });
  });
}
