/** Plain text to the ports of migrations, under the name of the peer, by a stranger on the network. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { controlPorts, dataPorts, guardTable } from '#core/channel/guard-rules.ts';
import { datagram } from './actors/datagram.ts';
import { NODE } from '#lab/layout.ts';
import { acceptsSyn, type Ends, forgedDatagram, forgedSyn, type Frame, fromPort } from './frames.ts';
import { actor, type Counts, Listener, since } from './listener.ts';
import { limits, type Site } from './site.ts';

const count = 20;
const kinds = 4;
const migrationPort = dataPorts.first;
const [, libvirtTlsPort] = controlPorts;
/** Source ports: the first one of each kind of forged packet. */
const fromPorts = { datagram: 41_000, migrationSyn: 42_000, libvirtSyn: 43_000, inside: 44_000 } as const;
/** Of no service that the guard knows. */
const anyPort = 5002;
/** The agent looks after its guard every 10 s. */
const guardTriesMax = 5;

/** What became of forged packets: delivered datagrams, answered SYNs. */
interface Passed {
  readonly datagrams: Counts;
  readonly inside: Counts;
  readonly migrationSyns: number;
  readonly libvirtSyns: number;
}

export function describeInjection(siteOf: () => Site): void {
  describe('in plain text on the migration ports', () => {
    let datagrams: Listener;
    let inside: Listener;
    let connections: Listener;
    let like: Frame;

    beforeAll(async () => {
      const [from, to] = [siteOf().host('host1').underlay, siteOf().host('host2').underlay];
      datagrams = await Listener.start(siteOf().host('host2'), 'udp', to, migrationPort);
      inside = await Listener.start(siteOf().host('host2'), 'udp', siteOf().host('host2').protected, anyPort);
      connections = await Listener.start(siteOf().host('host2'), 'tcp', to, migrationPort);
      // Any frame of host1 to host2 shows their Ethernet addresses.
      const frames = await siteOf().wire.watch(() => siteOf().must('host1', [NODE, actor('udp-sender'), from, to, `${anyPort}`, '1']));
      const found = frames.find((frame) => frame.from === from && frame.to === to);
      if (found === undefined) throw new Error('host1 sends nothing to host2');
      like = found;
    });
    afterAll(() => Promise.all([datagrams?.stop(), inside?.stop(), connections?.stop()]));

    it('datagrams and SYNs are dropped and counted; without the guard they arrive, until it comes back by itself', async () => {
      const site = siteOf();
      const before = await site.guard();
      const startMs = performance.now();
      const stopped = await inject();
      const dropped = async () => (await site.guard()).droppedInPackets - before.droppedInPackets === kinds * count;
      const refusedAfterMs = await site.until(`${kinds * count} dropped packets`, startMs, dropped);
      expect(stopped()).toEqual(nothing);
      expect(refusedAfterMs).toBeLessThan(limits.refusalMs);

      const passed = await withoutGuard();
      const all = { received: count, changed: 0 };
      const arrived = () => passed().datagrams.received >= count && passed().inside.received >= count;
      await site.until('the datagrams without the guard', performance.now(), arrived);
      expect(passed()).toEqual({ datagrams: all, inside: all, migrationSyns: count, libvirtSyns: count });
      await site.until('the guard to be back', performance.now(), async () => (await site.guard()).installed);
      const stoppedAgain = await inject();
      expect(stoppedAgain()).toEqual(nothing);

      const refusedBy = 'guard: dropped on its way in';
      const add = (attack: string, what: string): void =>
        site.results.add({ attack, refusedBy, refusedAfterMs, controlArm: `without the guard: ${count} of ${count} ${what}` });
      add(`plain UDP to port ${migrationPort}`, 'delivered');
      add('plain UDP to the protected address', 'delivered');
      add(`plain TCP to port ${migrationPort}`, 'SYNs answered');
      add(`plain TCP to port ${libvirtTlsPort}`, 'SYNs answered by libvirtd');
    });

    const none: Counts = { received: 0, changed: 0 };
    const nothing: Passed = { datagrams: none, inside: none, migrationSyns: 0, libvirtSyns: 0 };

    /** Sends forged packets to host2; what is returned tells what became of them so far. */
    async function inject(): Promise<() => Passed> {
      const site = siteOf();
      const before = { datagrams: datagrams.counts, inside: inside.counts };
      const frames = await site.wire.watch(() => site.wire.inject(forged()));
      const answers = frames.filter((frame) => frame.from === site.host('host2').underlay && acceptsSyn(frame));
      const from = (port: number): number => new Set(answers.filter((frame) => fromPort(frame) === port).map(toPort)).size;
      return () => ({
        datagrams: since(before.datagrams, datagrams.counts),
        inside: since(before.inside, inside.counts),
        migrationSyns: from(migrationPort),
        libvirtSyns: from(libvirtTlsPort),
      });
    }

    function forged(): readonly Buffer[] {
      const { from, to } = like;
      const ends = (first: number, index: number, port: number): Ends => ({ from, fromPort: first + index, to, toPort: port });
      return Array.from({ length: count }, (_, index) => [
        forgedDatagram(like, ends(fromPorts.datagram, index, migrationPort), datagram(index)),
        forgedDatagram(like, { ...ends(fromPorts.inside, index, anyPort), to: siteOf().host('host2').protected }, datagram(index)),
        forgedSyn(like, ends(fromPorts.migrationSyn, index, migrationPort)),
        forgedSyn(like, ends(fromPorts.libvirtSyn, index, libvirtTlsPort)),
      ]).flat();
    }

    /** The guard may come back in the middle: then once more. */
    async function withoutGuard() {
      for (let left = guardTriesMax; ; left -= 1) {
        await siteOf().must('host2', ['nft', 'delete', 'table', 'inet', guardTable]);
        const passed = await inject();
        const isBack = (await siteOf().host('host2').exec(['nft', 'list', 'table', 'inet', guardTable])).code === 0;
        if (!isBack || left === 1) return passed;
      }
    }
  });
}

function toPort({ bytes, payloadAt }: Frame): number {
  return bytes.readUInt16BE(payloadAt + 2);
}
