import { describe, expect, test } from 'vitest';
import { InvariantBreach, SimCluster } from './cluster.ts';
import { Copy } from './guest.ts';
import { migrateWeb, pairScenario, surroundings } from './examples.ts';

const migrating = { vm: 'web', reaches: 'transfer', plusSeconds: 3 } as const;

async function run(options: Parameters<typeof pairScenario>[0]): Promise<SimCluster> {
  const cluster = new SimCluster(pairScenario(options), surroundings);
  await cluster.run();
  return cluster;
}

describe('a simulated cluster', () => {
  test('moves a VM through the real controller and agents', async () => {
    const cluster = await run({ events: [migrateWeb] });
    const [home] = cluster.world.copiesOf(cluster.world.guest('web').vmId);
    expect(home?.host.hostId).toBe('host2');
    expect(cluster.store.allLedger()).toMatchObject([{ outcome: 'moved', fromHostId: 'host1', toHostId: 'host2' }]);
    expect(cluster.world.plainBytes).toBe(0);
  });

  test('tells the same story for the same seed, and the same outcome in other words for another', async () => {
    const [first, again, other] = [
      await run({ events: [migrateWeb] }),
      await run({ events: [migrateWeb] }),
      await run({ seed: 2, events: [migrateWeb] }),
    ];
    expect(again.log.text).toBe(first.log.text);
    expect(other.log.text).not.toBe(first.log.text);
    expect(other.store.allLedger().map(({ outcome }) => outcome)).toEqual(['moved']);
  });

  test('stops at a plain byte, which the guards prevent in the same story', async () => {
    const story = [migrateWeb, { at: migrating, do: 'kill', what: 'charon', host: 'host1' }];
    const guarded = await run({ events: story });
    expect(guarded.world.plainBytes).toBe(0);
    const unguarded = [...['host1', 'host2'].map((host) => ({ at: migrating, do: 'guard', host, becomes: 'leaky' })), ...story];
    const failure: unknown = await run({ events: unguarded }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InvariantBreach);
    expect(String(failure)).toMatch(/seed 1: plain-bytes: \d+ bytes/);
  });

  test('names a process whose code ends by itself', async () => {
    const cluster = new SimCluster(pairScenario(), surroundings);
    await cluster.runFor(5);
    cluster.store.nextControllerEpoch = () => Promise.reject(new Error('disk on fire'));
    cluster.apply({ at: 0, do: 'kill-controller' });
    cluster.apply({ at: 0, do: 'start-controller' });
    await expect(cluster.runFor(5)).rejects.toThrow('process-crashed: controller ended by itself: disk on fire');
  });

  test('shares the CPU of a host that is asked for more than it has', async () => {
    const cluster = await run({ events: [{ at: 1, do: 'demand', vm: 'web', cores: 2 }] });
    const host = cluster.world.host('host1');
    expect(host.cpuUsedCores).toBeCloseTo(2.05);
    expect(host.cpuPressurePercent).toBe(0);
    host.add(new Copy(cluster.world.guest('mail'), 'running'));
    cluster.world.guest('mail').demandCores = 2;
    expect(host.cpuUsedCores).toBe(4);
    expect(host.cpuPressurePercent).toBeCloseTo(1.23, 1);
  });
});
