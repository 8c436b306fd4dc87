/** Who is let in, and who is not. Each refusal has its control arm: the same ends with good credentials come up. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HostIdentity } from '#core/ports.ts';
import { connectionConfig } from '#drivers/strongswan/connection-config.ts';
import { isSection } from '#drivers/strongswan/message.ts';
import { profileOf, secretsOf } from './charon-pair.ts';
import { implementations } from './implementations.ts';
import { until } from '#test/support/until.ts';
import { type Channel, type OpenOptions, PortBench, refusal, soon } from './port-bench.ts';

const psk = profileOf({ authentication: 'psk' });
const quantum = profileOf({ postQuantumKey: true });

for (const implementation of implementations) {
  describe.runIf(implementation.usable)(`authentication on ${implementation.title}`, () => {
    let bench: PortBench;

    beforeAll(async () => {
      bench = await PortBench.start(implementation);
    });
    afterEach(() => bench.reset());
    afterAll(() => bench.pair.stop());

    /** Refused at once, as `bad` has it; up, as `good` has it. */
    async function onlyGoodComesUp(bad: OpenOptions, good: OpenOptions, quick = true): Promise<void> {
      const refused = await refusal(await bench.open(bad));
      console.log(`refused after ${refused.tookMs} ms: ${refused.message.slice(0, 200)}`);
      if (quick) expect(refused.tookMs, 'the time to refusal in ms').toBeLessThan(5_000);
      const { a, toB } = await bench.open(good);
      expect((await a.establish(toB, soon())).state).toBe('installed');
    }

    const cases: readonly (readonly [string, () => Promise<OpenOptions>])[] = [
      ['our certificate is of another CA', async () => ({ identityA: await bench.identities.rogue('host-a') })],
      ["the peer's certificate is of another CA", async () => ({ identityB: await bench.identities.rogue('host-b') })],
      ["the peer's certificate is expired", async () => ({ identityB: await bench.identities.expired('host-b') })],
      ["the peer's certificate is revoked", async () => ({ identityA: await revoking('B') })],
      ['our certificate is revoked', async () => ({ identityB: await revoking('A') })],
      ['there are no revocation lists', async () => ({ identityA: await unlisted() })],
    ];

    async function revoking(whom: 'A' | 'B'): Promise<HostIdentity> {
      const [holder, revoked] = whom === 'A' ? [bench.identityB, bench.identityA] : [bench.identityA, bench.identityB];
      return await bench.identities.revoking(holder, revoked);
    }

    /** Another cluster's member: charon keeps the lists that it was given before, and none is of this one. */
    async function unlisted(): Promise<HostIdentity> {
      return { ...(await bench.identities.of('host-a')), crlPems: [] };
    }

    for (const [what, bad] of cases) {
      it(`refuses when ${what}`, async () => {
        // What was loaded before must not help, and must not harm what comes after.
        for (const host of [bench.pair.a, bench.pair.b]) await bench.clientOn(host).clearCreds();
        const refused = await refusal(await bench.open(await bad()));
        console.log(`${what}: refused after ${refused.tookMs} ms: ${refused.message.slice(0, 250)}`);
        expect(refused.tookMs, 'the time to refusal in ms').toBeLessThan(5_000);
        for (const host of [bench.pair.a, bench.pair.b]) await bench.clientOn(host).clearCreds();
        const { a, toB } = await bench.open();
        expect((await a.establish(toB, soon())).state).toBe('installed');
      });
    }

    it('refuses when the intermediate itself is revoked', async () => {
      for (const host of [bench.pair.a, bench.pair.b]) await bench.clientOn(host).clearCreds();
      const { pki } = bench.identities;
      const crlPems = [await pki.rootListAgainstIntermediate(), await pki.intermediateList()];
      const { tookMs } = await refusal(await bench.open({ identityA: { ...bench.identityA, crlPems } }));
      expect(tookMs, 'the time to refusal in ms').toBeLessThan(5_000);
      for (const host of [bench.pair.a, bench.pair.b]) await bench.clientOn(host).clearCreds();
      const { a, toB } = await bench.open();
      expect((await a.establish(toB, soon())).state).toBe('installed');
    });

    it('refuses another member of the cluster, and a member that claims a name which is not its own', async () => {
      await refusal(await bench.open({ identityB: await bench.identities.of('host-c') }));
      const channel = await bench.open();
      await forge(channel, await bench.identities.of('host-c'));
      const { tookMs, message } = await refusal(channel);
      console.log(`forged identity: refused after ${tookMs} ms: ${message.slice(0, 250)}`);
      await forge(channel, bench.identityB);
      expect((await channel.a.establish(channel.toB, soon())).state).toBe('installed');
    });

    /** Loads host-b's connection past the driver, which would not: with host-b's name and this certificate and key. */
    async function forge(channel: Channel, identity: HostIdentity): Promise<void> {
      const client = bench.clientOn(bench.pair.b);
      const honest = connectionConfig(channel.toA, identity, implementation.backend);
      const { local } = honest;
      const forged = { ...honest, local: { ...(isSection(local) ? local : {}), id: 'fqdn:host-b' } };
      await client.loadKey(identity.privateKeyPem);
      await client.loadConn('plimsoll-host-a', forged);
    }

    it('refuses a wrong pre-shared key', async () => {
      await onlyGoodComesUp({ profile: psk, secretsB: secretsOf(psk) }, { profile: psk });
    });

    it('does not tell the key in a refusal', async () => {
      const profile = profileOf({ authentication: 'psk', postQuantumKey: true });
      const [secrets, secretsB] = [secretsOf(profile), secretsOf(profile)];
      const { everything } = await refusal(await bench.open({ profile, secrets, secretsB }));
      for (const key of [secrets, secretsB].flatMap((both) => Object.values(both)))
        for (const form of [key, Buffer.from(String(key), 'base64').toString('hex')]) expect(everything).not.toContain(form);
    });

    it('refuses a wrong post-quantum key', async () => {
      await onlyGoodComesUp({ profile: quantum, secretsB: secretsOf(quantum) }, { profile: quantum });
    });

    it('says of an SA whether the post-quantum key is in its keys, also after an IKE rekey', async () => {
      for (const profile of [quantum, profileOf()]) {
        const { a, toB } = await bench.open({ profile });
        await a.establish(toB, soon());
        const said = async () =>
          (await Promise.all([bench.pair.a, bench.pair.b].map((host) => bench.clientOn(host).listSas())))
            .flat()
            .map(({ postQuantumKey }) => postQuantumKey);
        expect(await said()).toEqual([profile.postQuantumKey, profile.postQuantumKey]);
        const client = bench.clientOn(bench.pair.a);
        const [before] = await client.listSas();
        await client.rekey({ ike: 'plimsoll-host-b' });
        await until('the IKE_SA to be replaced', async () =>
          (await client.listSas()).every(({ uniqueId }) => uniqueId !== before?.uniqueId),
        );
        expect(new Set(await said())).toEqual(new Set([profile.postQuantumKey]));
        await bench.reset();
      }
    });

    it('refuses a peer that would do without the post-quantum key', async () => {
      await onlyGoodComesUp({ profile: quantum, profileB: profileOf(), secretsB: secretsOf(profileOf()) }, { profile: quantum });
      await bench.reset();
      await onlyGoodComesUp({ profile: profileOf(), profileB: quantum, secretsB: secretsOf(quantum) }, { profile: quantum });
    });

    it('refuses a certificate where a key is asked for', async () => {
      await onlyGoodComesUp({ profile: psk, profileB: profileOf(), secretsB: secretsOf(profileOf()) }, { profile: psk });
    });

    it('unloads the keys of a channel that is closed', async () => {
      const profile = profileOf({ authentication: 'psk', postQuantumKey: true });
      const { a } = await bench.open({ profile });
      const client = bench.clientOn(bench.pair.a);
      expect([...(await client.getShared())].toSorted()).toEqual(['plimsoll-host-b.ppk', 'plimsoll-host-b.psk']);
      await a.remove('host-b', soon());
      expect(await client.getShared()).toEqual([]);
    });

    it('counts a revocation at the next authentication, without touching the SA that is there', async () => {
      for (const host of [bench.pair.a, bench.pair.b]) await bench.clientOn(host).clearCreds();
      const { a, b, toB, toA } = await bench.open();
      const before = await a.establish(toB, soon());
      await a.updateTrust(await revoking('B'), soon());
      expect((await a.establish(toB, soon())).spiIn).toBe(before.spiIn);
      await Promise.all([a.remove('host-b', soon()), b.remove('host-a', soon())]);
      const revoked = { a, b, toB, toA };
      await Promise.all([a.prepare(toB, await revoking('B'), soon()), b.prepare(toA, bench.identityB, soon())]);
      await refusal(revoked);
    });

    it('uses a newer trust for peers that are prepared already, also after charon has restarted', async () => {
      for (const host of [bench.pair.a, bench.pair.b]) await bench.clientOn(host).clearCreds();
      const channel = await bench.open();
      await channel.a.updateTrust(await revoking('B'), soon());
      await refusal(channel);
      await bench.pair.a.killCharon();
      await bench.pair.a.startCharon();
      await until('the driver to be connected again', () =>
        channel.a.listSas(soon()).then(
          () => true,
          () => false,
        ),
      );
      await refusal(channel);
      for (const host of [bench.pair.a, bench.pair.b]) await bench.clientOn(host).clearCreds();
      await channel.a.updateTrust(bench.identityA, soon());
      await channel.b.prepare(channel.toA, bench.identityB, soon());
      expect((await channel.a.establish(channel.toB, soon())).state).toBe('installed');
    });

    it('takes a renewed certificate into use while the SA stays', async () => {
      const { a, toB } = await bench.open();
      const before = await a.establish(toB, soon());
      const renewed = await bench.identities.of('host-a');
      const client = bench.clientOn(bench.pair.a);
      const [oldKey] = await client.getKeys();
      await a.updateTrust(renewed, soon());
      expect((await a.establish(toB, soon())).spiIn).toBe(before.spiIn);
      const keys = await client.getKeys();
      expect(keys).toHaveLength(1);
      expect(keys[0]).not.toBe(oldKey);
    });
  });
}
