/** Every profile that a backend carries, with every suite and authentication: it comes up, it carries, its keys can be replaced. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SuiteName } from '#core/channel/algorithms.ts';
import type { ChannelProfile, SaCounters } from '#core/model/channel.ts';
import { until } from '#test/support/until.ts';
import { profileOf } from './charon-pair.ts';
import { implementations } from './implementations.ts';
import { PortBench, onlySa, soon } from './port-bench.ts';

const carried = {
  libipsec: ['esp-tunnel'],
  kernel: ['esp-tunnel', 'esp-transport', 'ah', 'ah+esp'],
} as const;

const negotiated: Readonly<
  Record<SuiteName, { readonly encryption: string; readonly integrity: string | null; readonly ahIntegrity: string }>
> = {
  'aes-gcm': { encryption: 'AES_GCM_16-256', integrity: null, ahIntegrity: 'HMAC_SHA2_384_192' },
  'chacha20-poly1305': { encryption: 'CHACHA20_POLY1305', integrity: null, ahIntegrity: 'HMAC_SHA2_384_192' },
  'aes-cbc-sha2': { encryption: 'AES_CBC-256', integrity: 'HMAC_SHA2_256_128', ahIntegrity: 'HMAC_SHA2_256_128' },
};

const authentications: readonly Pick<ChannelProfile, 'authentication' | 'postQuantumKey'>[] = [
  { authentication: 'certificate', postQuantumKey: false },
  { authentication: 'certificate', postQuantumKey: true },
  { authentication: 'psk', postQuantumKey: false },
  { authentication: 'psk', postQuantumKey: true },
];

interface Case {
  readonly title: string;
  readonly profile: ChannelProfile;
  readonly suite: SuiteName;
}

function casesOf(backend: 'libipsec' | 'kernel'): readonly Case[] {
  return carried[backend].flatMap((name) =>
    (['aes-gcm', 'chacha20-poly1305', 'aes-cbc-sha2'] as const).flatMap((suite) =>
      authentications.map((authentication) => ({
        title: `${name}, ${suite}, ${authentication.authentication}${authentication.postQuantumKey ? ' and post-quantum key' : ''}`,
        profile: profileOf({ name, ...authentication }, suite),
        suite,
      })),
    ),
  );
}

/** Of the SA and all that it replaced. */
function packetsIn(sa: SaCounters & { readonly replaced: readonly SaCounters[] }): number {
  return [sa, ...sa.replaced].reduce((sum, counters) => sum + counters.packetsIn, 0);
}

for (const implementation of implementations) {
  describe.runIf(implementation.usable)(`channel profiles on ${implementation.title}`, () => {
    let bench: PortBench;

    beforeAll(async () => {
      bench = await PortBench.start(implementation);
    });
    afterEach(() => bench.reset());
    afterAll(() => bench.pair.stop());

    it.each(casesOf(implementation.backend))('$title: comes up as asked for, and carries', async ({ profile, suite }) => {
      const { a, b, toB } = await bench.open({ profile });
      const made = await a.establish(toB, soon());
      const { encryption, integrity, ahIntegrity } = negotiated[suite];
      const esp = { protocol: 'esp', encryption, integrity };
      expect(made).toMatchObject(profile.name === 'ah' ? { protocol: 'ah', encryption: 'none', integrity: ahIntegrity } : esp);
      expect(made.outer?.integrity).toBe(profile.name === 'ah+esp' ? ahIntegrity : undefined);
      await bench.pair.b.received();
      await bench.pair.a.send(bench.pair.b, profile, 20);
      await until('20 packets through the SA', async () => (await onlySa(b)).packetsIn === 20);
      const receiver = await onlySa(b);
      expect(receiver.outer?.packetsIn).toBe(profile.name === 'ah+esp' ? 20 : undefined);
      await until('20 packets at the receiver', async () => (await bench.pair.b.received()) > 0);
    });

    it.each(casesOf(implementation.backend).filter(({ suite }) => suite === 'aes-gcm'))(
      '$title: replaces its keys and loses no packet of the count',
      async ({ profile }) => {
        const { a, b, toB } = await bench.open({ profile });
        const first = await a.establish(toB, soon());
        const spis = [first.spiIn];
        for (const round of [1, 2]) {
          await bench.pair.a.send(bench.pair.b, profile, 5);
          await until('5 more packets', async () => packetsIn(await onlySa(b)) === 5 * round);
          await a.rekey('host-b', soon());
          spis.push((await onlySa(a)).spiIn);
        }
        expect(new Set(spis).size).toBe(3);
        const now = await onlySa(a);
        expect(now.replaced.map(({ spiIn, packetsOut }) => [spiIn, packetsOut])).toEqual([
          [spis[0], 5],
          [spis[1], 5],
        ]);
        if (first.outer !== null) expect(now.outer?.spiIn).not.toBe(first.outer.spiIn);
        expect(bench.changes).toEqual(expect.not.arrayContaining(['host-a: host-b down', 'host-b: host-a down']));
      },
    );

    it('keeps the counters of a replaced SA when it is gone', async () => {
      const { a, b, toB } = await bench.open();
      await a.establish(toB, soon());
      await bench.pair.a.send(bench.pair.b, toB.profile, 3);
      await a.rekey('host-b', soon());
      await until('the end of the old SA', async () => (await b.listSas(soon())).every(({ state }) => state === 'installed'));
      await until('its counters', async () => packetsIn(await onlySa(b)) === 3);
      expect((await onlySa(b)).packetsIn).toBe(0);
    });

    it('starts a new count with a channel that was made anew', async () => {
      const { a, b, toB, toA } = await bench.open();
      await a.establish(toB, soon());
      await a.rekey('host-b', soon());
      expect((await onlySa(a)).replaced).toHaveLength(1);
      await Promise.all([a.remove('host-b', soon()), b.remove('host-a', soon())]);
      await Promise.all([a.prepare(toB, bench.identityA, soon()), b.prepare(toA, bench.identityB, soon())]);
      expect((await a.establish(toB, soon())).replaced).toEqual([]);
    });

    it('refuses to replace the keys of a channel that is not there', async () => {
      const { a } = await bench.open();
      await expect(a.rekey('host-b', soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
    });

    it('ends an SA of another profile before it makes one of this', async () => {
      const before = await bench.open({ profile: profileOf({}, 'chacha20-poly1305') });
      const old = await before.a.establish(before.toB, soon());
      const { a, b, toB } = await bench.open({ profile: profileOf({ authentication: 'psk' }) });
      const made = await a.establish(toB, soon());
      expect([old.encryption, made.encryption]).toEqual(['CHACHA20_POLY1305', 'AES_GCM_16-256']);
      await until('one SA on either side', async () => (await a.listSas(soon())).length + (await b.listSas(soon())).length === 2);
    });

    it('makes a new SA when only the authentication differs', async () => {
      const before = await bench.open();
      const old = await before.a.establish(before.toB, soon());
      const { a, toB } = await bench.open({ profile: profileOf({ authentication: 'psk' }) });
      expect((await a.establish(toB, soon())).spiIn).not.toBe(old.spiIn);
    });

    it('refuses an SA when the two ends want different algorithms', async () => {
      const { a, toB } = await bench.open({ profileB: profileOf({}, 'aes-cbc-sha2') });
      await expect(a.establish(toB, soon())).rejects.toMatchObject({ code: 'ipsec-failed' });
      expect(await a.listSas(soon())).toEqual([]);
    });
  });
}
