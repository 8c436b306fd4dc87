/** Packets that IPsec refuses are counted, and those it takes are not. */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { kernelErrors } from '#drivers/strongswan/error-counters.ts';
import { Xfrm } from '#drivers/strongswan/xfrm.ts';
import { until } from '#test/support/until.ts';
import { channelPeer, profileOf } from './charon-pair.ts';
import { PortBench, onlySa, soon } from './port-bench.ts';
import { RealHost, startRealPair, whyNoRealCharon } from './real-charon.ts';

const why = whyNoRealCharon();
const implementation = { title: 'the real charon', usable: why === undefined, backend: 'libipsec' as const, start: () => startRealPair() };

describe.runIf(implementation.usable)(`refused packets (${why ?? 'real charon, real kernel'})`, () => {
  let bench: PortBench;

  beforeAll(async () => {
    bench = await PortBench.start(implementation);
  });
  afterEach(() => bench.reset());
  afterAll(() => bench.pair.stop());

  /** ESP in UDP as a stranger on the wire would make it: any SPI and sequence number, no valid tag. */
  async function inject(spi: string, sequence: number): Promise<void> {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(Number.parseInt(spi, 16), 0);
    head.writeUInt32BE(sequence, 4);
    if (!(bench.pair.a instanceof RealHost)) throw new Error('a real host is needed');
    await bench.pair.a.sendRaw(bench.pair.b.underlay, 4500, Buffer.concat([head, randomBytes(64)]));
  }

  it('are counted from the log of userspace ESP: forged as integrity, seen before as replay', async () => {
    const { a, b, toB } = await bench.open();
    await a.establish(toB, soon());
    await bench.pair.a.send(bench.pair.b, toB.profile, 5);
    await until('good packets', async () => (await onlySa(b)).packetsIn === 5);
    expect(await b.errors(soon())).toEqual({ integrityPackets: 0, replayPackets: 0, unknownSpiPackets: 0, plainTextPackets: 0 });
    const { spiIn } = await onlySa(b);
    for (const sequence of [100, 101, 102]) await inject(spiIn, sequence);
    for (const sequence of [1, 2]) await inject(spiIn, sequence);
    await inject('00c0ffee', 1);
    // charon writes the last one at a level that VICI does not deliver: it must not be mistaken for another.
    await until('the counts', async () => (await b.errors(soon()))?.replayPackets === 2);
    expect(await b.errors(soon())).toEqual({ integrityPackets: 3, replayPackets: 2, unknownSpiPackets: 0, plainTextPackets: 0 });
    expect((await onlySa(b)).packetsIn).toBe(5);
  });

  it("are dropped and counted by the kernel's own policies when they come in plain text, and pass without the policies", async () => {
    const profile = profileOf({ name: 'ah+esp' });
    const { a, b } = bench.pair;
    const toA = channelPeer(b, a, profile);
    const { runIp, xfrmStatPath = '' } = b.driverOptions;
    if (runIp === undefined) throw new Error('this host has no ip');
    const xfrm = new Xfrm(runIp);
    const plain = async (): Promise<readonly [number, number]> => {
      const before = (await kernelErrors(xfrmStatPath, soon()))?.plainTextPackets ?? Number.NaN;
      await b.received();
      await a.send(b, profile, 6);
      const now = (await kernelErrors(xfrmStatPath, soon()))?.plainTextPackets ?? Number.NaN;
      return [await b.received(), now - before];
    };
    expect(await plain()).toEqual([6, 0]);
    await xfrm.install(toA, soon());
    await xfrm.install(toA, soon());
    expect(await plain()).toEqual([0, 6]);
    // And out: without an SA nothing leaves in plain text.
    await a.received();
    await b.send(a, profile, 6);
    expect(await a.received()).toBe(0);
    await xfrm.removeBundle('host-a', soon());
    expect(await plain()).toEqual([6, 0]);
  });
});
