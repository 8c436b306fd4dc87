/** What only real daemons can show: IPv6, and keys replaced by themselves. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#test/support/until.ts';
import { profileOf } from './charon-pair.ts';
import { implementations, ipv6Implementations, isReal } from './implementations.ts';
import { PortBench, onlySa, soon } from './port-bench.ts';

for (const implementation of ipv6Implementations) {
  describe.runIf(implementation.usable)(`channels on ${implementation.title}`, () => {
    let bench: PortBench;

    beforeAll(async () => {
      bench = await PortBench.start(implementation);
    });
    afterEach(() => bench.reset());
    afterAll(() => bench.pair.stop());

    const names =
      implementation.backend === 'kernel' ? (['esp-tunnel', 'esp-transport', 'ah', 'ah+esp'] as const) : (['esp-tunnel'] as const);
    it.each(names)('%s comes up and carries', async (name) => {
      const profile = profileOf({ name });
      const { a, b, toB } = await bench.open({ profile });
      await a.establish(toB, soon());
      await bench.pair.a.send(bench.pair.b, profile, 9);
      await until('9 packets', async () => (await onlySa(b)).packetsIn === 9);
    });
  });
}

for (const implementation of implementations.filter(isReal)) {
  describe.runIf(implementation.usable)(`rekeying by bytes on ${implementation.title}`, () => {
    let bench: PortBench;

    beforeAll(async () => {
      bench = await PortBench.start(implementation);
    });
    afterEach(() => bench.reset());
    afterAll(() => bench.pair.stop());

    it('replaces the keys after so many bytes, by itself', async () => {
      const profile = profileOf({ rekeyBytes: 2 ** 20 });
      const { a, toB } = await bench.open({ profile });
      const made = await a.establish(toB, soon());
      // 34 bytes each, in parts: on a busy machine a socket drops some, and the hard limit must not be passed before charon has acted.
      await until('another SA', async () => {
        if ((await onlySa(a)).bytesOut < 2 ** 20) await bench.pair.a.send(bench.pair.b, profile, 4000);
        return (await onlySa(a)).spiIn !== made.spiIn;
      });
      const [replaced] = (await onlySa(a)).replaced;
      expect(replaced?.spiIn).toBe(made.spiIn);
      expect(replaced?.bytesOut).toBeGreaterThan(0.8 * 2 ** 20);
    });
  });
}
