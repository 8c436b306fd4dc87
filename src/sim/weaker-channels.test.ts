/** The channels that are not IPsec through the real controller and agents; every breach of an invariant ends the run. */
import type { ChannelKind } from '#core/model/channel.ts';
import { describe, expect, test } from 'vitest';
import { SimCluster } from './cluster.ts';
import { pairScenario, surroundings } from './examples.ts';
import { statementOf } from './narrator.ts';

async function pair(seed = 1): Promise<SimCluster> {
  const cluster = new SimCluster(pairScenario({ seed, runForSeconds: 100 }), surroundings);
  await cluster.runFor(5);
  return cluster;
}

function controllerOf(cluster: SimCluster) {
  const { controller } = cluster.actors;
  if (controller === null) throw new Error('there is no controller');
  return controller;
}

/** As time passes. */
async function settled<Value>(cluster: SimCluster, work: Promise<Value>): Promise<Value> {
  work.catch(() => null);
  await cluster.runFor(1);
  return work;
}

async function migrate(cluster: SimCluster, channelKind: ChannelKind): Promise<string> {
  const controller = controllerOf(cluster);
  const body = { fromHostId: 'host1', toHostId: 'host2', reason: 'to compare', lifetimeMs: 3_600_000 };
  const { grantId } = await settled(cluster, controller.requestGrant(body, 'anna'));
  await settled(cluster, controller.approveGrant(grantId, 'bert'));
  const { request } = await settled(cluster, controller.migrate({ vm: 'web', toHostId: 'host2', channelKind, grantId }, 'anna'));
  return request.migrationId;
}

function placesOf(cluster: SimCluster): readonly string[] {
  const { vmId } = cluster.world.guest('web');
  return cluster.world.copiesOf(vmId).flatMap(({ host, copy }) => (copy.state === 'running' ? [host.hostId] : []));
}

const open = (cluster: SimCluster) => cluster.store.allMigrations().filter(({ endedAtMs }) => endedAtMs === null).length;

describe('a simulated migration', () => {
  test.each(['none', 'qemu-tls', 'ssh', 'sealed-image'] as const)('by %s arrives, marked as weaker', async (kind) => {
    const cluster = await pair();
    await migrate(cluster, kind);
    await cluster.runFor(90);
    expect(placesOf(cluster)).toEqual(['host2']);
    expect(open(cluster)).toBe(0);
    const [receipt] = cluster.store.allReceipts();
    expect(receipt && statementOf(receipt)).toMatchObject({ outcome: 'moved', approvedBy: 'bert', channel: { kind, weaker: true } });
    const [migration] = cluster.store.allMigrations();
    expect(migration?.outcome?.cipher ?? null).toEqual(kind === 'none' ? null : expect.stringContaining('simulated'));
    expect(cluster.world.exemptBytes > 0).toBe(kind === 'none' || kind === 'qemu-tls');
  });

  test.each(['qemu-tls', 'ssh', 'sealed-image'] as const)('by %s is refused without a grant', async (channelKind) => {
    const cluster = await pair();
    const asked = controllerOf(cluster).migrate({ vm: 'web', toHostId: 'host2', channelKind }, 'anna');
    await expect(settled(cluster, asked)).rejects.toMatchObject({ code: 'grant-missing' });
  });

  test('as an image goes on when the controller restarts at any moment of it', { timeout: 60_000 }, async () => {
    // Before the first byte, while it is measured what the move will cost, it is called off.
    for (const seconds of [0.2, 1, 2.2, 3, 4, 7, 17, 24, 26, 28, 30]) {
      const cluster = await pair();
      await migrate(cluster, 'sealed-image');
      await cluster.runFor(seconds);
      cluster.actors.killController();
      await cluster.runFor(2);
      cluster.actors.startController();
      await cluster.runFor(150);
      expect({ seconds, places: placesOf(cluster), open: open(cluster) }).toEqual({
        seconds,
        places: [seconds < 2 ? 'host1' : 'host2'],
        open: 0,
      });
    }
  });

  test('as an image comes back when the controller stays away', async () => {
    const cluster = await pair();
    await migrate(cluster, 'sealed-image');
    await cluster.runFor(5);
    cluster.actors.killController();
    await cluster.runFor(200);
    expect(placesOf(cluster)).toEqual(['host1']);
    cluster.actors.startController();
    await cluster.runFor(30);
    expect(cluster.store.allLedger()).toMatchObject([{ outcome: 'stayed' }]);
  });

  test('as an image is aborted on request, and runs where it ran', async () => {
    const cluster = await pair();
    const migrationId = await migrate(cluster, 'sealed-image');
    await cluster.runFor(5);
    await settled(cluster, controllerOf(cluster).abortMigration(migrationId, 'anna'));
    await cluster.runFor(30);
    expect(placesOf(cluster)).toEqual(['host1']);
    expect(cluster.store.allLedger()).toMatchObject([{ outcome: 'stayed', failureCode: 'aborted' }]);
  });

  const victims = [
    ['the agent of the source', ['host1']],
    ['the agent of the destination', ['host2']],
    ['both agents', ['host1', 'host2']],
  ] as const;

  test.each(victims)('as an image is one running VM in the end, whenever %s is killed', { timeout: 60_000 }, async (_who, hosts) => {
    const ends = new Set<string>();
    for (let tenths = 1; tenths < 320; tenths += 13) {
      const cluster = await pair();
      await migrate(cluster, 'sealed-image');
      await cluster.runFor(tenths / 10);
      for (const hostId of hosts) cluster.actors.killAgent(hostId);
      await cluster.runFor(2);
      for (const hostId of hosts) cluster.actors.startAgent(hostId);
      await cluster.runFor(200);
      expect({ tenths, running: placesOf(cluster).length, open: open(cluster) }).toEqual({ tenths, running: 1, open: 0 });
      ends.add(placesOf(cluster).join());
    }
    expect(ends.size).toBe(2);
  });

  test(
    'as an image is one running VM when the source restarts at once, around the moment of the start on the destination',
    { timeout: 60_000 },
    async () => {
      for (let tenths = 266; tenths < 302; tenths += 3) {
        const cluster = await pair();
        await migrate(cluster, 'sealed-image');
        await cluster.runFor(tenths / 10);
        cluster.actors.killAgent('host1');
        await cluster.runFor(0.1);
        cluster.actors.startAgent('host1');
        await cluster.runFor(60);
        expect({ tenths, running: placesOf(cluster).length, open: open(cluster) }).toEqual({ tenths, running: 1, open: 0 });
      }
    },
  );

  test('is over at once when its destination is revoked and the VM runs on its source', async () => {
    const cluster = await pair();
    await migrate(cluster, 'ssh');
    await cluster.runFor(5);
    await settled(cluster, controllerOf(cluster).revokeHost('host2', 'stolen', 'anna'));
    await cluster.runFor(10);
    const [migration] = cluster.store.allMigrations();
    expect(migration).toMatchObject({ phase: 'failed', failure: { message: expect.stringContaining('it is revoked') } });
    expect(placesOf(cluster)).toEqual(['host1']);
  });
});
