/** Each check must be able to fail: an untouched cluster breaks nothing, and a planted fault is named. */
import { describe, expect, test } from 'vitest';
import { defaultPolicy } from '#core/model/policy.ts';
import { InvariantBreach, SimCluster } from './cluster.ts';
import { Bench } from './bench.ts';
import { migrateWeb, noWatcher, pairScenario, plainOptions, surroundings } from './examples.ts';
import { Copy } from './guest.ts';
import { breachesNow, chainBreaches } from './invariants.ts';
import { MigrationJob } from './migration-job.ts';
import { simulatedKey } from './signer.ts';
import { SimStore } from './store.ts';

const key = simulatedKey('controller');

async function movedOnce(): Promise<SimCluster> {
  const cluster = new SimCluster(pairScenario({ events: [migrateWeb] }), surroundings);
  await cluster.run();
  return cluster;
}

const codes = (cluster: SimCluster) => breachesNow(cluster).map(({ code }) => code);

describe('the invariants', { timeout: 60_000 }, () => {
  test('hold for a cluster that has migrated a VM', async () => {
    const cluster = await movedOnce();
    expect(breachesNow(cluster)).toEqual([]);
    expect(chainBreaches(cluster.store, key, surroundings.sha256)).toEqual([]);
    expect(cluster.store.allLedger()).toHaveLength(1);
  });

  test('name a second running copy', async () => {
    const cluster = await movedOnce();
    cluster.world.host('host1').add(new Copy(cluster.world.guest('web'), 'running'));
    expect(codes(cluster)).toEqual(['two-copies']);
    expect(() => cluster.check()).toThrow(InvariantBreach);
    expect(() => new SimCluster(pairScenario(), surroundings).check()).not.toThrow();
  });

  test('name a VM that runs nowhere', async () => {
    const cluster = await movedOnce();
    const [home] = cluster.world.copiesOf(cluster.world.guest('web').vmId);
    if (home) home.host.remove(home.copy);
    expect(codes(cluster)).toEqual(['no-copy']);
  });

  test('name a VM that stands still although nobody is at work on it', async () => {
    const cluster = await movedOnce();
    const [home] = cluster.world.copiesOf(cluster.world.guest('web').vmId);
    if (home) home.copy.state = 'paused';
    expect(codes(cluster)).toEqual(['no-copy']);
  });

  test('name a half of a memory without the other, unless a process died with it; the destination of a post-copy counts as running', () => {
    const cluster = new SimCluster(pairScenario(), surroundings);
    const [source, destination] = [cluster.world.host('host1'), cluster.world.host('host2')];
    const [left, right] = [source.copy(cluster.world.guest('web').vmId), new Copy(cluster.world.guest('web'), 'running')];
    if (!left) throw new Error('web is not on host1');
    [left.state, left.postCopy, right.postCopy] = ['paused', 'active', 'active'];
    destination.add(right);
    expect(codes(cluster)).toEqual([]);
    destination.remove(right);
    expect(codes(cluster)).toEqual(['no-copy', 'memory-lost']);
    cluster.world.casualties.add(left.guest.vmId);
    expect(codes(cluster)).toEqual([]);
  });

  test('do not miss the half on the source once the destination has all of the memory', () => {
    const cluster = new SimCluster(pairScenario(), surroundings);
    const half = new Copy(cluster.world.guest('web'), 'shut-off');
    [half.state, half.postCopy] = ['paused', 'failed'];
    cluster.world.host('host2').add(half);
    expect(codes(cluster)).toEqual([]);
    half.state = 'running';
    expect(codes(cluster)).toEqual(['two-copies']);
  });

  test('name a post-copy that nobody recovers although its hosts reach each other', async () => {
    const bench = new Bench({ dirtyMiBPerSecond: 1, workingSetMiB: 16 });
    const { world, time } = bench;
    const watched = { world, store: new SimStore(time, noWatcher), policy: defaultPolicy };
    void bench.migrate({ method: 'post-copy' });
    await bench.run(2);
    void bench.hypervisors[0].changeJob(bench.guest.vmId, { kind: 'post-copy' }, bench.signal);
    await bench.run(1);
    world.network.cut('host1', 'host2');
    await bench.run(40);
    expect(world.broken.size).toBe(1);
    expect(breachesNow(watched)).toEqual([]);
    world.network.heal('host1', 'host2');
    expect(breachesNow(watched).map(({ code }) => code)).toEqual(['no-copy']);
  });

  test('name plain bytes of a stream that has neither SA nor guard; with either guard there are none', async () => {
    const cluster = await movedOnce();
    const [from, to] = [cluster.world.host('host1'), cluster.world.host('host2')];
    expect(cluster.world.carry(from, to, 1000)).toBe('dropped');
    from.filter.condition = 'absent';
    expect(cluster.world.carry(from, to, 1000)).toBe('dropped');
    expect(codes(cluster)).toEqual([]);
    to.filter.condition = 'leaky';
    expect(cluster.world.carry(from, to, 1000)).toBe('carried');
    expect(codes(cluster)).toEqual(['plain-bytes']);
  });

  test('name migrations beyond the limits of a host and of the cluster', async () => {
    const cluster = await movedOnce();
    const [source, destination] = [cluster.world.host('host2'), cluster.world.host('host1')];
    const request = {
      peerHostId: 'host1',
      peerAddress: '10.79.0.1',
      streamSecurity: 'none' as const,
      options: plainOptions,
    };
    for (const copy of source.copies) {
      const ends = { source, destination, copy };
      const job = new MigrationJob(cluster.world, ends, { ...request, vmId: copy.guest.vmId }, () => undefined);
      expect(cluster.world.jobs.has(job)).toBe(true);
    }
    expect(codes(cluster)).toEqual(['host-limit', 'host-limit']);
    const strict = { ...cluster.policy, migrationsPerHostMax: 2, migrationsPerClusterMax: 1 };
    expect(breachesNow({ world: cluster.world, store: cluster.store, policy: strict }).map(({ code }) => code)).toEqual(['cluster-limit']);
  });

  test('name a host with more memory in use than it has', async () => {
    const cluster = await movedOnce();
    const [home] = cluster.world.copiesOf(cluster.world.guest('web').vmId);
    if (home) home.copy.residentBytes = 9 * 2 ** 30;
    expect(codes(cluster)).toEqual(['host-memory']);
  });

  test('name an ended migration that is missing in the ledger and has no receipt', async () => {
    const cluster = await movedOnce();
    const bare = new SimStore(cluster.time, noWatcher);
    for (const migration of cluster.store.allMigrations()) void bare.saveMigration(migration);
    const found = breachesNow({ world: cluster.world, store: bare, policy: cluster.policy });
    expect(found.map(({ code }) => code)).toEqual(['ledger-incomplete', 'receipt-missing']);
  });

  test('name a ledger entry of a migration that was never asked for, and one that is there with two outcomes', async () => {
    const cluster = await movedOnce();
    const [entry] = cluster.store.allLedger();
    if (entry) void cluster.store.appendLedger({ ...entry, outcome: 'unclear' });
    expect(codes(cluster)).toEqual(['ledger-incomplete']);
    if (entry) void cluster.store.appendLedger({ ...entry, migrationId: 'never' });
    expect(codes(cluster)).toEqual(['ledger-incomplete', 'ledger-incomplete']);
  });

  test('name a receipt that was taken out of the chain, and one that nobody signed', async () => {
    const events = [migrateWeb, { at: 60, do: 'migrate', vm: 'web', to: 'host1' }];
    const cluster = new SimCluster(pairScenario({ runForSeconds: 120, events }), surroundings);
    await cluster.run();
    const [first, second] = cluster.store.allReceipts();
    const cut = new SimStore(cluster.time, noWatcher);
    if (second) void cut.saveReceipt(second);
    expect(chainBreaches(cut, key, surroundings.sha256).map(({ code }) => code)).toEqual(['receipt-chain']);
    const forged = new SimStore(cluster.time, noWatcher);
    if (first) void forged.saveReceipt(first);
    expect(chainBreaches(forged, simulatedKey('somebody else'), surroundings.sha256).map(({ code }) => code)).toEqual(['receipt-chain']);
    expect(chainBreaches(forged, key, surroundings.sha256)).toEqual([]);
  });
});
