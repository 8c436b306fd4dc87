/** Attacks on the packets of a channel that is up, by a stranger on the network between the two hosts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NODE } from '#lab/layout.ts';
import { type Frame, tampered, unchanged, withSpi } from './frames.ts';
import { actor, Listener, since } from './listener.ts';
import { limits, type Site } from './site.ts';

const count = 40;
const ports = { inside: 5000, plain: 5001 } as const;
/** Far from the ones that charon hands out, which begin with c. */
const bogusSpi = 0x0badc0de;

export function describePacketAttacks(siteOf: () => Site): void {
  describe('on the packets of a channel', () => {
    let inside: Listener;
    let plain: Listener;

    beforeAll(async () => {
      const host = siteOf().host('host2');
      await siteOf().keepChannel('host1', 'host2');
      inside = await Listener.start(host, 'udp', host.protected, ports.inside);
      plain = await Listener.start(host, 'udp', host.underlay, ports.plain);
    });
    afterAll(() => Promise.all([inside?.stop(), plain?.stop()]));

    it('ESP with one bit flipped is dropped and counted; a plain datagram with one bit flipped is taken for good', async () => {
      const { results } = siteOf();
      const esp = await heldEsp();
      const { received, refusedAfterMs } = await refused(esp.map(tampered), 'integrityPackets');
      expect(received).toEqual({ received: 0, changed: 0 });
      // The same packets as they were: nothing but the bit was wrong with them.
      expect(await delivered(inside, esp.map(unchanged))).toEqual({ received: count, changed: 0 });

      const datagrams = await heldDatagrams();
      const taken = await delivered(plain, datagrams.map(tampered));
      expect(taken).toEqual({ received: count, changed: count });
      const controlArm = `plain text: ${taken.changed} of ${count} accepted with the flipped bit`;
      results.add({ attack: 'tampered ESP', refusedBy: 'charon: integrity check', refusedAfterMs, controlArm });
    });

    it('ESP sent again is dropped and counted; a plain datagram sent again is taken again', async () => {
      const { results } = siteOf();
      const esp = (await heldEsp()).map(unchanged);
      expect(await delivered(inside, esp)).toEqual({ received: count, changed: 0 });
      const { received, refusedAfterMs } = await refused(esp, 'replayPackets');
      expect(received).toEqual({ received: 0, changed: 0 });

      const datagrams = (await heldDatagrams()).map(unchanged);
      expect(await delivered(plain, datagrams)).toEqual({ received: count, changed: 0 });
      expect(await delivered(plain, datagrams)).toEqual({ received: count, changed: 0 });
      const controlArm = `plain text: ${count} of ${count} accepted a second time`;
      results.add({ attack: 'replayed ESP', refusedBy: 'charon: replay window', refusedAfterMs, controlArm });
    });

    it('ESP under an SPI that nobody negotiated is dropped and logged; the same packets under their own are taken', async () => {
      const { results } = siteOf();
      const esp = await heldEsp();
      const before = inside.counts;
      const [errors, logged] = [await siteOf().errors(), (await siteOf().charonLog('host2')).length];
      const startMs = performance.now();
      await siteOf().wire.inject(esp.map((frame) => withSpi(frame, bogusSpi)));
      // Userspace ESP writes this at a level that only the log file has, so the agent cannot count it.
      const dropped = async () => mentions(await siteOf().charonLog('host2', logged), 'does not belong to an installed SA') === count;
      const refusedAfterMs = await siteOf().until(`${count} packets with an unknown SPI`, startMs, dropped);
      expect(since(before, inside.counts)).toEqual({ received: 0, changed: 0 });
      expect(await siteOf().errors()).toEqual(errors);
      expect(refusedAfterMs).toBeLessThan(limits.refusalMs);

      const taken = await delivered(inside, esp.map(unchanged));
      expect(taken).toEqual({ received: count, changed: 0 });
      const controlArm = `their own SPI: ${taken.received} of ${count} delivered`;
      results.add({ attack: 'bogus SPI', refusedBy: 'charon: no installed SA', refusedAfterMs, controlArm });
    });

    /** ESP from host1 that has not reached host2. */
    function heldEsp(): Promise<readonly Frame[]> {
      const [from, to] = [siteOf().host('host1'), siteOf().host('host2')];
      const espInUdp = `src host ${from.underlay} and dst host ${to.underlay} and udp dst port 4500 and udp[4:2] > 200 and udp[8:4] != 0`;
      return siteOf().wire.withhold('host2', espInUdp, count, () => send(from.protected, to.protected, ports.inside));
    }

    function heldDatagrams(): Promise<readonly Frame[]> {
      const [from, to] = [siteOf().host('host1').underlay, siteOf().host('host2').underlay];
      const filter = `src host ${from} and dst host ${to} and udp dst port ${ports.plain}`;
      return siteOf().wire.withhold('host2', filter, count, () => send(from, to, ports.plain));
    }

    function send(from: string, to: string, port: number): Promise<void> {
      return siteOf().must('host1', [NODE, actor('udp-sender'), from, to, `${port}`, `${count}`]);
    }

    /** Sends packets that have to be refused: what was delivered all the same, and when all were counted. */
    async function refused(frames: readonly Buffer[], counter: 'integrityPackets' | 'replayPackets') {
      const [counts, errors] = [inside.counts, await siteOf().errors()];
      const startMs = performance.now();
      await siteOf().wire.inject(frames);
      const counted = async () => (await siteOf().errors())[counter] === errors[counter] + count;
      const refusedAfterMs = await siteOf().until(`${count} more ${counter}`, startMs, counted);
      expect(await siteOf().errors()).toEqual({ ...errors, [counter]: errors[counter] + count });
      expect(refusedAfterMs).toBeLessThan(limits.refusalMs);
      return { received: since(counts, inside.counts), refusedAfterMs };
    }

    /** Sends packets that have to be delivered: what came. */
    async function delivered(listener: Listener, frames: readonly Buffer[]) {
      const before = listener.counts;
      const startMs = performance.now();
      await siteOf().wire.inject(frames);
      const all = () => since(before, listener.counts).received >= count;
      await siteOf().until(`${count} datagrams to be delivered`, startMs, all);
      return since(before, listener.counts);
    }
  });
}

function mentions(log: string, what: string): number {
  return log.split(what).length - 1;
}
