import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SecurityAssociation } from '#core/model/channel.ts';
import { connectionConfig } from '#drivers/strongswan/connection-config.ts';
import { until } from '#test/support/until.ts';
import { channelPeer, profileOf } from './charon-pair.ts';
import { implementations } from './implementations.ts';
import { PortBench, onlySa, soon } from './port-bench.ts';

for (const implementation of implementations) {
  describe.runIf(implementation.usable)(`the Ipsec port on ${implementation.title}`, () => {
    let bench: PortBench;

    beforeAll(async () => {
      bench = await PortBench.start(implementation);
    });
    afterEach(() => bench.reset());
    afterAll(() => bench.pair.stop());

    it('tells version and backend', async () => {
      const ipsec = bench.ipsecOn(bench.pair.a);
      expect(await ipsec.version(soon())).toMatch(/^strongSwan 5\.9\./);
      expect(await ipsec.backend(soon())).toBe(implementation.backend);
    });

    it('establishes a tunnel between exactly these two hosts, seen alike from both ends', async () => {
      const { a, b, toB } = await bench.open();
      const made = await a.establish(toB, soon());
      expect(made).toMatchObject({
        peerHostId: 'host-b',
        protocol: 'esp',
        state: 'installed',
        mode: 'tunnel',
        udpEncapsulated: implementation.backend === 'libipsec',
        encryption: 'AES_GCM_16-256',
        integrity: null,
        keyExchange: 'ECP_384',
        extendedSequenceNumbers: implementation.backend === 'kernel',
        bytesIn: 0,
        packetsOut: 0,
        outer: null,
        replaced: [],
      });
      expect(made.spiIn).toMatch(/^[0-9a-f]{8}$/);
      const theirs = await onlySa(b);
      expect([theirs.peerHostId, theirs.spiIn, theirs.spiOut]).toEqual(['host-a', made.spiOut, made.spiIn]);
      await Promise.all([bench.changed('host-a: host-b up'), bench.changed('host-b: host-a up')]);
    });

    it('counts what goes through the SA', async () => {
      const { a, b, toB } = await bench.open();
      await a.establish(toB, soon());
      await bench.pair.a.send(bench.pair.b, toB.profile, 7);
      await until('7 packets at the receiver', async () => (await onlySa(b)).packetsIn >= 7);
      const [sender, receiver] = [await onlySa(a), await onlySa(b)];
      expect(sender.packetsOut).toBe(7);
      expect(receiver.packetsIn).toBe(7);
      expect(receiver.bytesIn).toBe(sender.bytesOut);
      expect(sender.bytesOut).toBeGreaterThan(7 * 28);
    });

    it('keeps the SA that is there, also for simultaneous callers', async () => {
      const { a, b, toB, toA } = await bench.open();
      const [one, two] = await Promise.all([a.establish(toB, soon()), a.establish(toB, soon())]);
      const three = await a.establish(toB, soon());
      expect([two.spiIn, three.spiIn]).toEqual([one.spiIn, one.spiIn]);
      expect((await b.establish(toA, soon())).spiIn).toBe(one.spiOut);
    });

    it('follows a rekeying of the IKE_SA without telling that the SA went away', async () => {
      const { a, toB } = await bench.open();
      const before = await a.establish(toB, soon());
      await bench.changed('host-a: host-b up');
      const client = bench.clientOn(bench.pair.a);
      const rekeyed: string[] = [];
      await client.onIkeRekey((change) => rekeyed.push(change.oldUniqueId, change.newUniqueId)).ready;
      expect(await client.rekey({ ike: 'plimsoll-host-b' })).toBe(1);
      await until('the rekeying of the IKE_SA', () => rekeyed.length === 2);
      expect(rekeyed[0]).toBe(before.ikeUniqueId);
      await until('the new IKE_SA', async () => (await onlySa(a)).ikeUniqueId === rekeyed[1]);
      expect((await onlySa(a)).spiIn).toBe(before.spiIn);
      expect(bench.changes).toEqual(expect.not.arrayContaining(['host-a: host-b down', 'host-b: host-a down']));
    });

    it('removes the SA and the connection on its side, and tells both; twice is fine', async () => {
      const { a, b, toB, toA } = await bench.open();
      await a.establish(toB, soon());
      await Promise.all([bench.changed('host-a: host-b up'), bench.changed('host-b: host-a up')]);
      await b.remove('host-a', soon());
      await b.remove('host-a', soon());
      await Promise.all([bench.changed('host-a: host-b down'), bench.changed('host-b: host-a down')]);
      await until('no SA on the other side', async () => (await a.listSas(soon())).length === 0);
      await expect(a.establish(toB, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      await expect(b.establish(toA, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
    });

    it('gives up on a silent peer at its deadline, and leaves nothing half-made', async () => {
      await bench.open();
      await bench.pair.b.killCharon();
      const quick = bench.ipsecOn(bench.pair.a, 500);
      const toB = channelPeer(bench.pair.a, bench.pair.b);
      await quick.prepare(toB, bench.identityA, soon());
      const startedMs = performance.now();
      await expect(quick.establish(toB, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      expect(performance.now() - startedMs).toBeLessThan(3_000);
      expect(await bench.clientOn(bench.pair.a).listSas()).toEqual([]);
      await bench.pair.b.startCharon();
    });

    it('stops an establish that is aborted', async () => {
      const { a, toB } = await bench.open();
      await bench.pair.b.killCharon();
      const controller = new AbortController();
      const establishing = a.establish(toB, controller.signal);
      const client = bench.clientOn(bench.pair.a);
      await until('a half-made IKE_SA', async () => (await client.listSas()).length > 0);
      controller.abort();
      await expect(establishing).rejects.toMatchObject({ code: 'aborted' });
      expect(await client.listSas()).toEqual([]);
      await bench.pair.b.startCharon();
    });

    it('tells that SAs are gone with a killed daemon, and gives a restarted one its connections again', async () => {
      const { a, b, toB, toA } = await bench.open();
      const before = await a.establish(toB, soon());
      await bench.changed('host-b: host-a up');
      await bench.pair.b.killCharon();
      await bench.changed('host-b: host-a down');
      await expect(b.listSas(soon())).rejects.toMatchObject({ code: 'ipsec-unavailable' });
      await expect(b.prepare(toA, bench.identityB, soon())).rejects.toMatchObject({ code: 'ipsec-unavailable' });
      await bench.pair.b.startCharon();
      const client = bench.clientOn(bench.pair.b);
      await until('the connection', async () => (await client.getConns()).includes('plimsoll-host-a'));
      const after = await b.establish(toA, soon());
      expect(after.spiIn).not.toBe(before.spiOut);
    });

    it('makes a new SA after remove, when the old one looks alive because the peer died silently', async () => {
      const { a, b, toB, toA } = await bench.open();
      const stale = await a.establish(toB, soon());
      await bench.pair.b.killCharon();
      await bench.pair.b.startCharon();
      await until('the driver to be connected again', async () => (await b.listSas(soon())).length === 0);
      await b.prepare(toA, bench.identityB, soon());
      expect((await a.establish(toB, soon())).spiIn).toBe(stale.spiIn);
      await a.remove('host-b', soon());
      await a.prepare(toB, bench.identityA, soon());
      const made = await a.establish(toB, soon());
      expect((await onlySa(b)).spiIn).toBe(made.spiOut);
    });

    it('makes a connection that charon accepts for every profile and either backend', async () => {
      const client = bench.clientOn(bench.pair.a);
      for (const backend of ['kernel', 'libipsec'] as const) {
        for (const name of ['esp-tunnel', 'esp-transport', 'ah', 'ah+esp'] as const) {
          const peer = channelPeer(bench.pair.a, bench.pair.b, profileOf({ name }));
          await client.loadConn('plimsoll-host-b', connectionConfig(peer, bench.identityA, backend));
          expect(await client.getConns()).toEqual(['plimsoll-host-b']);
        }
      }
    });

    it("loads again what an operator's swanctl took away", async () => {
      const { a, toB } = await bench.open();
      const client = bench.clientOn(bench.pair.a);
      await client.unloadConn('plimsoll-host-b');
      await client.clearCreds();
      expect((await a.establish(toB, soon())).state).toBe('installed');
    });

    it('unloads connections and keys at the end, and lets running SAs live', async () => {
      const { a, toB } = await bench.open({ profile: profileOf({ postQuantumKey: true }) });
      const client = bench.clientOn(bench.pair.a);
      await a.establish(toB, soon());
      expect([await client.getConns(), (await client.getKeys()).length]).toEqual([['plimsoll-host-b'], 1]);
      expect(await client.getShared()).toEqual(['plimsoll-host-b.ppk']);
      await a.close();
      await a.close();
      expect([await client.getConns(), await client.getKeys(), await client.getShared()]).toEqual([[], [], []]);
      expect(await client.listSas()).toHaveLength(1);
      await expect(a.listSas(soon())).rejects.toMatchObject({ code: 'ipsec-unavailable' });
    });

    it('can be made before the daemon is there', async () => {
      await bench.pair.a.killCharon();
      const early = bench.ipsecOn(bench.pair.a);
      await expect(early.version(soon())).rejects.toMatchObject({ code: 'ipsec-unavailable' });
      await bench.pair.a.startCharon();
      // The dial that found nobody may be the one that is answered for.
      await until('the driver to be connected', async () => (await early.listSas(soon())).length === 0);
    });

    it('refuses what cannot be a peer, and a certificate without the name of its host', async () => {
      const { a, toB } = await bench.open();
      for (const peerHostId of ['*', '%any', 'a b', '', 'Host-B', 'x'.repeat(65)]) {
        await expect(a.prepare({ ...toB, peerHostId }, bench.identityA, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      }
      const wrongAddress = { ...toB, peerAddresses: { ...toB.peerAddresses, underlay: '%any' } };
      await expect(a.prepare(wrongAddress, bench.identityA, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      await expect(a.prepare(toB, { ...bench.identityA, hostId: 'host-x' }, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      await expect(a.establish(wrongAddress, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
    });

    it('refuses a profile that nobody may use, one that this backend cannot carry, and one without its keys', async () => {
      const { a, toB } = await bench.open();
      const attempt = (profile: typeof toB.profile): Promise<void> => a.prepare({ ...toB, profile }, bench.identityA, soon());
      await expect(attempt(profileOf({ espProposals: ['3des-sha1'] }))).rejects.toMatchObject({ code: 'profile-refused' });
      await expect(attempt(profileOf({ authentication: 'psk' }))).rejects.toMatchObject({ code: 'profile-refused' });
      if (implementation.backend === 'libipsec') {
        for (const name of ['esp-transport', 'ah', 'ah+esp'] as const)
          await expect(attempt(profileOf({ name }))).rejects.toMatchObject({ code: 'profile-unsupported' });
      }
      const made: SecurityAssociation = await a.establish(toB, soon());
      expect(made.state).toBe('installed');
    });
  });
}
