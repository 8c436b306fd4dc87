/** ESP inside AH: two SAs and our own policies, which must never let anything out beside them. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Xfrm } from '#drivers/strongswan/xfrm.ts';
import { until } from '#test/support/until.ts';
import { profileOf } from './charon-pair.ts';
import { isReal, kernelImplementations } from './implementations.ts';
import { PortBench, onlySa, soon } from './port-bench.ts';
import { RealHost } from './real-charon.ts';

const profile = profileOf({ name: 'ah+esp' });

for (const implementation of kernelImplementations) {
  describe.runIf(implementation.usable)(`the AH+ESP bundle on ${implementation.title}`, () => {
    let bench: PortBench;

    beforeAll(async () => {
      bench = await PortBench.start(implementation);
    });
    afterEach(() => bench.reset());
    afterAll(() => bench.pair.stop());

    const policiesOn = (host = bench.pair.a): Promise<ReadonlySet<number>> =>
      new Xfrm(host.driverOptions.runIp ?? noIp).reqidsInUse(soon());
    const noIp = (): Promise<string> => Promise.reject(new Error('this host has no ip'));
    const arrived = async (): Promise<number> => {
      await bench.pair.b.received();
      await bench.pair.a.send(bench.pair.b, profile, 4);
      return await bench.pair.b.received();
    };

    it('is one channel: both SAs, seen alike from both ends, and counted together', async () => {
      const { a, b, toB } = await bench.open({ profile });
      const made = await a.establish(toB, soon());
      expect(made).toMatchObject({
        protocol: 'esp',
        mode: 'transport',
        encryption: 'AES_GCM_16-256',
        outer: { integrity: 'HMAC_SHA2_384_192' },
      });
      const theirs = await onlySa(b);
      expect([theirs.spiIn, theirs.outer?.spiIn]).toEqual([made.spiOut, made.outer?.spiOut]);
      expect(await b.listSas(soon())).toHaveLength(1);
      await bench.pair.a.send(bench.pair.b, profile, 4);
      await until('the packets in both', async () => {
        const { packetsIn, outer } = await onlySa(b);
        return packetsIn === 4 && outer?.packetsIn === 4;
      });
    });

    it.runIf(isReal(implementation))('lets nothing pass without its SAs, where the same hosts unprepared let all pass', async () => {
      expect(await arrived()).toBe(4);
      const { a, b, toB } = await bench.open({ profile });
      expect(await arrived()).toBe(0);
      await a.establish(toB, soon());
      expect(await arrived()).toBe(4);
      const client = bench.clientOn(bench.pair.a);
      const [ike] = await client.listSas({ ike: 'plimsoll-host-b' });
      await client.terminate({ ikeId: ike?.uniqueId ?? '' }, { timeoutMs: 5_000 });
      expect(await arrived()).toBe(0);
      await Promise.all([a.remove('host-b', soon()), b.remove('host-a', soon())]);
      expect(await arrived()).toBe(4);
    });

    it('is down with either half', async () => {
      const { a, toB } = await bench.open({ profile });
      for (const half of ['inner', 'outer']) {
        await a.establish(toB, soon());
        await bench.changed('host-a: host-b up');
        bench.changes.length = 0;
        const client = bench.clientOn(bench.pair.a);
        const children = (await client.listSas({ ike: 'plimsoll-host-b' })).flatMap((ike) => ike.children);
        const childId = children.find(({ name }) => name.startsWith(half))?.uniqueId ?? '';
        await client.terminate({ childId }, { timeoutMs: 5_000 });
        await bench.changed('host-a: host-b down');
        expect((await a.listSas(soon())).filter(({ state }) => state === 'installed')).toEqual([]);
      }
      expect((await a.establish(toB, soon())).outer).not.toBeNull();
    });

    it('leaves no policy behind, and none for a profile that has no use for them', async () => {
      const { a } = await bench.open({ profile });
      expect((await policiesOn()).size).toBe(2);
      await a.remove('host-b', soon());
      expect(await policiesOn()).toEqual(new Set());
      await bench.open({ profile });
      await bench.open({ profile: profileOf({ name: 'ah' }) });
      expect(await policiesOn()).toEqual(new Set());
    });

    it('ends in the kernel also while charon is away', async () => {
      const { a, toB } = await bench.open({ profile });
      await a.establish(toB, soon());
      await bench.pair.a.killCharon();
      expect((await policiesOn()).size).toBe(2);
      await expect(a.remove('host-b', soon())).rejects.toMatchObject({ code: 'ipsec-unavailable' });
      expect((await policiesOn()).size).toBe(0);
      if (bench.pair.a instanceof RealHost)
        expect(await bench.pair.a.exec('ip', 'xfrm', 'state', 'list', 'nokeys')).not.toContain('reqid 1350');
      await bench.pair.a.startCharon();
    });

    it('keeps its policies while an SA is up, when the agent ends in good order', async () => {
      const { a, b, toB } = await bench.open({ profile });
      await a.establish(toB, soon());
      await Promise.all([a.close(), b.close()]);
      expect([(await policiesOn()).size, (await policiesOn(bench.pair.b)).size]).toEqual([2, 2]);
    });

    it('puts back policies that somebody has flushed', async () => {
      const { a, toB } = await bench.open({ profile });
      await new Xfrm(bench.pair.a.driverOptions.runIp ?? noIp).removeBundle('host-b', soon());
      expect((await policiesOn()).size).toBe(0);
      await a.establish(toB, soon());
      expect((await policiesOn()).size).toBe(2);
    });

    it('comes up again after charon was killed on both sides', async () => {
      const { a, toB } = await bench.open({ profile });
      await a.establish(toB, soon());
      for (const host of [bench.pair.a, bench.pair.b]) {
        await host.killCharon();
        await host.startCharon();
      }
      for (const [host, name] of [
        [bench.pair.a, 'plimsoll-host-b'],
        [bench.pair.b, 'plimsoll-host-a'],
      ] as const) {
        const client = bench.clientOn(host);
        await until('the connection', async () => (await client.getConns()).includes(name));
      }
      expect((await a.establish(toB, soon())).outer).not.toBeNull();
      if (isReal(implementation)) expect(await arrived()).toBe(4);
    });
  });
}
