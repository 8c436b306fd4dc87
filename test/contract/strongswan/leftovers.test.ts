/** What a killed agent left in charon and in the kernel, as the next one finds it. */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectionConfig } from '#drivers/strongswan/connection-config.ts';
import { Xfrm } from '#drivers/strongswan/xfrm.ts';
import { until } from '#test/support/until.ts';
import { channelPeer, profileOf } from './charon-pair.ts';
import { implementations, kernelImplementations } from './implementations.ts';
import { PortBench, onlySa, soon } from './port-bench.ts';

for (const implementation of [...implementations, ...kernelImplementations.slice(0, 1)]) {
  describe.runIf(implementation.usable)(`what an earlier agent left on ${implementation.title}`, () => {
    let bench: PortBench;
    const profile = profileOf(implementation.backend === 'kernel' ? { name: 'ah+esp' } : {});

    beforeAll(async () => {
      bench = await PortBench.start(implementation);
    });
    afterEach(() => bench.reset());
    afterAll(() => bench.pair.stop());

    /** What `prepare` loads, by nobody who would unload it. */
    async function leaveBehind(peerHostId: string): Promise<void> {
      const client = bench.clientOn(bench.pair.a);
      const peer = { ...channelPeer(bench.pair.a, bench.pair.b, profile), peerHostId };
      const name = `plimsoll-${peerHostId}`;
      await client.loadShared({ id: `${name}.psk`, type: 'IKE', data: randomBytes(32), owners: ['fqdn:host-a', `fqdn:${peerHostId}`] });
      await client.loadConn(name, connectionConfig(peer, bench.identityA, implementation.backend));
      const { runIp } = bench.pair.a.driverOptions;
      if (implementation.backend === 'kernel' && runIp !== undefined) await new Xfrm(runIp).install(peer, soon());
    }

    async function policies(): Promise<number> {
      const { runIp } = bench.pair.a.driverOptions;
      return implementation.backend === 'kernel' && runIp !== undefined ? (await new Xfrm(runIp).reqidsInUse(soon())).size : 0;
    }

    it('is taken away when no SA belongs to it, and what is not ours stays', async () => {
      await leaveBehind('host-b');
      await leaveBehind('host-gone');
      const client = bench.clientOn(bench.pair.a);
      await client.loadConn('site', { version: '2', remote_addrs: ['192.0.2.1'], children: {} });
      await client.loadShared({ id: 'site', type: 'IKE', data: randomBytes(32), owners: ['a', 'b'] });
      await bench.ipsecOn(bench.pair.a).version(soon());
      await until('the sweep', async () => (await client.getConns()).join() === 'site' && (await client.getShared()).join() === 'site');
      await until('the policies', async () => (await policies()) === 0);
      await client.unloadConn('site');
      await client.unloadShared('site');
    });

    it('stays while an SA is up, and the next agent takes it over', async () => {
      const first = await bench.open({ profile });
      const made = await first.a.establish(first.toB, soon());
      await leaveBehind('host-b');
      await leaveBehind('host-gone');
      const next = bench.ipsecOn(bench.pair.a);
      const client = bench.clientOn(bench.pair.a);
      await next.version(soon());
      await until('the sweep', async () => !(await client.getConns()).includes('plimsoll-host-gone'));
      expect((await onlySa(next)).spiIn).toBe(made.spiIn);
      await next.prepare(first.toB, bench.identityA, soon());
      expect((await next.establish(first.toB, soon())).spiIn).toBe(made.spiIn);
      await next.remove('host-b', soon());
      expect([await next.listSas(soon()), await client.getConns(), await client.getShared(), await policies()]).toEqual([[], [], [], 0]);
    });
  });
}
