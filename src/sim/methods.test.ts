/** Each method through the real controller and agents; every breach of an invariant ends the run. */
import { describe, expect, test } from 'vitest';
import { SimCluster } from './cluster.ts';
import { pairScenario, surroundings } from './examples.ts';

const migrateBy = (method: string) => ({ at: 10, do: 'migrate', vm: 'web', to: 'host2', by: 'anna', wish: { method } });

async function run(events: readonly unknown[], runForSeconds = 120): Promise<SimCluster> {
  const migration = { allowPostCopy: true, stopMsMax: 120_000 };
  const cluster = new SimCluster(pairScenario({ runForSeconds, events, migration }), surroundings);
  await cluster.run();
  return cluster;
}

const placesOf = (cluster: SimCluster) =>
  cluster.world.copiesOf(cluster.world.guest('web').vmId).map(({ host, copy }) => `${host.hostId} ${copy.state}`);

describe('a simulated migration', () => {
  test.each(['pre-copy', 'hybrid', 'post-copy', 'stop-and-copy', 'save-restore'])('by %s arrives', { timeout: 60_000 }, async (method) => {
    const cluster = await run([migrateBy(method)]);
    expect(placesOf(cluster)).toEqual(['host2 running']);
    expect(cluster.store.allLedger()).toMatchObject([{ outcome: 'moved' }]);
    expect(cluster.world.plainBytes).toBe(0);
    const [migration] = cluster.store.allMigrations();
    expect(migration?.plan?.options.method).toBe(method);
    expect(migration?.channelAfter?.sa?.bytesOut).toBeGreaterThan(2 ** 30);
  });

  test.each(['kill-source-qemu', 'kill-destination-qemu'])(
    'that loses half of the memory by %s ends as such',
    { timeout: 60_000 },
    async (what) => {
      const kill = { at: { vm: 'web', reaches: 'post-copy', plusSeconds: 3 }, do: what, vm: 'web' };
      const cluster = await run([migrateBy('post-copy'), kill]);
      expect(cluster.store.allLedger()).toMatchObject([{ outcome: 'unclear', failureCode: 'memory-lost' }]);
      expect(placesOf(cluster).some((place) => place.endsWith('running'))).toBe(false);
    },
  );
});
