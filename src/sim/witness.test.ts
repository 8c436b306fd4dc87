import { describe, expect, test } from 'vitest';
import { Bench } from './bench.ts';
import { SimWitness } from './witness.ts';

const intervalMs = 5;
const idle = { dirtyMiBPerSecond: 0, workingSetMiB: 0 };

async function watching() {
  const bench = new Bench(idle);
  const witness = new SimWitness(bench.world, bench.world.host('host2'));
  const echo = await bench.settled(witness.watch(bench.guest.address, intervalMs, bench.signal));
  if (echo === null) throw new Error('nobody has the address');
  return { bench, witness, echo };
}

const gapsMs = (gaps: readonly { readonly fromMs: number; readonly untilMs: number | null }[]) =>
  gaps.map(({ fromMs, untilMs }) => (untilMs === null ? null : untilMs - fromMs));

describe('a simulated witness', () => {
  test('sees of a migration the one gap that its downtime is, and no gap of a VM that stays', async () => {
    const { bench, echo } = await watching();
    await bench.run(5);
    expect(echo.report()).toMatchObject({ gaps: [], sent: 1020, answered: 1020 });
    const outcome = bench.migrate();
    await bench.run(40);
    const ended = await outcome;
    if (typeof ended === 'string') throw new Error(ended);
    const { gaps, sent, answered } = await echo.stop();
    const [gap] = gapsMs(gaps);
    expect(gaps).toHaveLength(1);
    expect(Math.abs((gap ?? 0) - (ended.downtimeMs ?? 0))).toBeLessThanOrEqual(2 * intervalMs);
    expect(sent - answered).toBe((gap ?? 0) / intervalMs - 1);
  });

  test('sees a gap without an end while nothing answers', async () => {
    const { bench, echo } = await watching();
    void bench.migrate({ method: 'stop-and-copy' });
    await bench.run(1);
    const early = echo.report();
    expect(gapsMs(early.gaps)).toEqual([null]);
    expect(early.lastAnswerAtMs).toBe(early.gaps[0]?.fromMs);
    await bench.run(40);
    expect(gapsMs(echo.report().gaps)).toEqual([expect.any(Number)]);
  });

  test('sees a cut as what it is from where it looks', async () => {
    const { bench, echo } = await watching();
    for (const cut of [true, false, true, false]) {
      bench.world.network[cut ? 'cut' : 'heal']('host1', 'host2');
      await bench.run(0.3);
    }
    expect(gapsMs(echo.report().gaps)).toEqual([305, 305]);
  });

  test('says no more after it was stopped', async () => {
    const { bench, echo } = await watching();
    const last = await echo.stop();
    bench.world.network.cut('host1', 'host2');
    await bench.run(5);
    expect(echo.report()).toEqual(last);
  });

  test('knows addresses and places, and no stranger', async () => {
    const { bench, witness } = await watching();
    const { mac, address } = bench.guest;
    const look = async () => bench.settled(witness.seenAt(mac, bench.signal));
    expect(await bench.settled(witness.addressesOf(mac, bench.signal))).toEqual([address]);
    expect(await bench.settled(witness.watch('192.0.2.1', intervalMs, bench.signal))).toBeNull();
    expect(await look()).toBe('elsewhere');
    void bench.migrate();
    await bench.run(40);
    expect(await look()).toBe('local');
    expect(await bench.settled(witness.seenAt('52:54:00:ff:ff:ff', bench.signal))).toBeNull();
  });
});
